"""What the commands have in common: their options, and how they come from `--dir` to a pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline import launch, settings as settings_table
from pipeline.errors import NotRunningError, PipelineError
from pipeline.host import files
from pipeline.host.terminal import visible
from pipeline.paths import Places, places_for, resolve_log_dir, runtime_root
from pipeline.settings import given_outside

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from pipeline.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def dir_option(command: Command) -> Command:
    """Add `--dir`."""
    return click.option(
        "--dir",
        "directory",
        metavar="DIR",
        shell_complete=_directories,
        help="The log directory.  [default: $PIPELINE_LOG_DIR, else ~/.pipeline/logs]",
    )(command)


def _directories(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="dir")]


def json_option(what: str) -> Callable[[Command], Command]:
    """Add `--json`; `what` is printed."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as one JSON object.")


def timeout_option(seconds: float, meaning: str) -> Callable[[Command], Command]:
    """Add `--timeout`."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help=meaning,
    )


def places_of(directory: str | None) -> Places:
    """
    Return where the pipeline of a log directory lives, and act as the directory's owner from now on.

    A pipeline with a `state_dir` of its own has another runtime directory; what is not said in the
    environment is found where the pipeline left a note of its places.
    """
    log_dir = resolve_log_dir(directory or given_outside("log_dir"))
    act_as_owner(log_dir)
    places = places_for(log_dir, given_outside("state_dir"))
    if places.runtime_dir.exists():
        return places
    root = runtime_root()
    for name in files.names_in(root):
        home = files.read_json(root / name / "home.json") or {}
        if home.get("log_dir") == str(log_dir):
            found = places_for(log_dir, str(home.get("state_dir", "")))
            if found.runtime_dir == root / name:
                return found
    return places


def settings_of(places: Places, noted: Mapping[str, Any] | None = None) -> Settings:
    """
    Return the settings of the pipeline here, else those of the environment and the settings file.

    `noted` are values that the last pipeline has left, for names that nothing outside gives.
    """
    published = launch.published_settings(places)
    if published is not None:
        return published.settings
    own = {"log_dir": str(places.log_dir), "state_dir": str(places.state_dir)}
    sources = settings_table.read(own).sources
    left = {name: value for name, value in (noted or {}).items() if name not in sources}
    return settings_table.load({**left, **own})[0]


def act_as_owner(log_dir: Path) -> None:
    """When we are root, become the owner of the log directory: only that user finds its pipeline."""
    if os.geteuid() != 0:
        return
    try:
        owner = log_dir.stat()
    except OSError:
        return
    if owner.st_uid == 0:
        return
    import pwd

    try:
        entry = pwd.getpwuid(owner.st_uid)
        group = entry.pw_gid
        os.initgroups(entry.pw_name, group)
    except KeyError:
        group = owner.st_gid
        os.setgroups([])
    os.setgid(group)
    os.setuid(owner.st_uid)


def running_supervisor(places: Places) -> int:
    """Return the pid of the supervisor, which can be signalled. Raises NotRunningError when there is none."""
    pid = launch.supervisor_pid(places)
    if pid is None:
        raise NotRunningError(
            "no pipeline runs",
            where=shown(places.log_dir),
            remedy="Try: pipeline run, or let the application start it",
        )
    if pid <= 0:
        raise PipelineError(
            "the supervisor runs in another pid namespace",
            where=shown(places.log_dir),
            remedy="Try: the same command inside its container",
        )
    return pid


def shown(path: object) -> str:
    """Return a path so that a terminal shows it and obeys none of it."""
    return visible(str(path))
