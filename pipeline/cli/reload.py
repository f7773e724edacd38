"""`pipeline reload`: the settings read again, without stopping anybody."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline import launch, settings as settings_table
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, running_supervisor, shown, timeout_option
from pipeline.cli.waiting import wait_until
from pipeline.errors import SettingsError
from pipeline.host import clock, files
from pipeline.settings import Origin, Reading, Settings
from pipeline.settings.reloading import reload

if TYPE_CHECKING:
    from pipeline.paths import Places

EPILOG: Final = """\b
Examples:
  $ pipeline reload                                   read the settings file of the pipeline again
  $ pipeline reload --settings-file pipeline.toml     read this one from now on
  $ PIPELINE_FSYNC_INTERVAL_SEC=0.2 pipeline reload --settings-file pipeline.toml

\b
The same as SIGUSR2 to the supervisor. A new value that cannot be used changes nothing. What the program that
started the pipeline gave as keywords goes before the environment, and that before the file. Applications
that run keep the settings they started with; which settings need a new start: docs/reference/settings.md.
"""
_PLACES: Final = ("log_dir", "state_dir")


@click.command(name="reload", epilog=EPILOG)
@dir_option
@click.option(
    "--settings-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Read this file, and the PIPELINE_ variables here, from now on.",
)
@timeout_option(30, "How long to wait for the new writer.")
@json_option("what was done")
@click.pass_context
def command(
    ctx: click.Context, directory: str | None, settings_file: str | None, timeout: float, *, as_json: bool
) -> None:
    """
    Read the settings again and let the workers take them.

    The writer finishes what it does and a successor takes over; no record is lost and no producer notices.
    """
    places = places_of(directory)
    pid = running_supervisor(places)
    if settings_file:
        _name_file(places, os.path.abspath(settings_file))
    before = launch.writer_pid(places)
    began = clock.monotonic_ns()
    os.kill(pid, signal.SIGUSR2)
    is_done = wait_until(
        lambda: _is_over(places, began, before), timeout, lambda: "waiting for the new writer"
    )
    said = _said(places, began)
    if said.get("refused"):
        raise _refusal(places, said["refused"])
    if as_json:
        seconds = round((clock.monotonic_ns() - began) / clock.NANO, 3)
        names = ("changed", "needs_restart", "needs_restart_of_applications")
        about = {name: said.get(name, []) for name in names}
        click.echo(json.dumps({"reloaded": is_done, "seconds": seconds, **about}))
    elif is_done:
        _tell(places, said)
    else:
        click.echo(f"no new writer after {timeout:g} s. Try: pipeline status --log", err=True)
    ctx.exit(Exit.DONE if is_done else Exit.BAD_NEWS)


def _name_file(places: Places, settings_file: str) -> None:
    """Let the pipeline read another file from now on, unless that would be refused."""
    in_force = launch.published_settings(places) or Reading(Settings())
    before = in_force.origin or Origin({}, [], {}, "")
    here = {name: value for name, value in settings_table.from_environment().items() if name not in _PLACES}
    origin = before._replace(environment=before.environment | here, file=settings_file)
    named = replace(in_force, origin=origin)
    refused = reload(named).refused
    if refused:
        raise _refusal(places, refused)
    launch.publish_settings(places, named)


def _refusal(places: Places, refused: list[str]) -> SettingsError:
    cause = "; ".join(refused)
    return SettingsError(
        "a setting cannot be used; nothing was changed", where=shown(places.log_dir), cause=cause
    )


def _is_over(places: Places, began: int, before: int | None) -> bool:
    said = _said(places, began)
    return bool(said) and (bool(said["refused"]) or _is_replaced(places, before))


def _said(places: Places, began: int) -> dict[str, Any]:
    """Return what the supervisor said about this reload, empty while it has not said anything."""
    said = files.read_json(places.runtime(launch.RELOADED)) or {}
    return said if said.get("monotonic_ns", 0) >= began else {}


def _is_replaced(places: Places, before: int | None) -> bool:
    pid = launch.writer_pid(places)
    said = files.read_json(places.runtime("writer.json")) or {}
    return pid is not None and pid != before and said.get("pid") == pid and said.get("state") == "writing"


def _tell(places: Places, said: dict[str, Any]) -> None:
    click.echo(f"reloaded: {shown(places.log_dir)}")
    click.echo("changed: " + (", ".join(said["changed"]) or "nothing"))
    for name in said["needs_restart"]:
        click.echo(f"note: {name} takes effect at the next start of the pipeline (needs restart)", err=True)
    for name in said["needs_restart_of_applications"]:
        click.echo(f"note: {name} is taken by each application at its next start", err=True)
