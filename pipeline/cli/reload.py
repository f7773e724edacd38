"""`pipeline reload`: new settings for the workers, without stopping anybody."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Final

import click

from pipeline import launch, settings as settings_table
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, running_supervisor, shown, timeout_option
from pipeline.cli.waiting import wait_until
from pipeline.errors import SettingsError
from pipeline.host import clock, files

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings

EPILOG: Final = """\b
Examples:
  $ pipeline reload                                   replace the writer; settings as published
  $ pipeline reload --settings-file pipeline.toml     take these settings from now on
  $ PIPELINE_FSYNC_INTERVAL_SEC=0.2 pipeline reload --settings-file pipeline.toml

\b
A file with a value that cannot be used changes nothing. Producers that run keep the settings they started
with; log_dir, state_dir, health_host and health_port need a new start.
"""
_FIXED: Final = ("health_host", "health_port")


@click.command(name="reload", epilog=EPILOG)
@dir_option
@click.option(
    "--settings-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Publish the settings of this file first.",
)
@timeout_option(30, "How long to wait for the new writer.")
@json_option("what was done")
@click.pass_context
def command(
    ctx: click.Context, directory: str | None, settings_file: str | None, timeout: float, *, as_json: bool
) -> None:
    """
    Let the workers take the settings anew.

    The writer finishes what it does and a successor takes over; no record is lost and no producer notices.
    """
    places = places_of(directory)
    pid = running_supervisor(places)
    changed = _publish(places, settings_file) if settings_file else []
    before = launch.writer_pid(places)
    began = clock.monotonic()
    os.kill(pid, signal.SIGUSR2)
    is_done = wait_until(lambda: _is_replaced(places, before), timeout, lambda: "waiting for the new writer")
    if as_json:
        seconds = round(clock.monotonic() - began, 3)
        click.echo(json.dumps({"reloaded": is_done, "seconds": seconds, "changed": changed}))
    elif is_done:
        click.echo(f"reloaded: {shown(places.log_dir)}")
        if settings_file:
            click.echo("changed: " + (", ".join(changed) or "nothing"))
    else:
        click.echo(f"no new writer after {timeout:g} s. Try: pipeline status --log", err=True)
    ctx.exit(Exit.DONE if is_done else Exit.BAD_NEWS)


def _publish(places: Places, settings_file: str) -> list[str]:
    """Publish the settings of a file; returns the names of those that changed."""
    keywords = {"log_dir": str(places.log_dir), "state_dir": str(places.state_dir)}
    settings, complaints = settings_table.load(keywords, settings_file)
    if complaints:
        raise SettingsError(
            "a setting cannot be used; nothing was changed", where=settings_file, cause="; ".join(complaints)
        )
    before = launch.published_settings(places)
    launch.publish_settings(places, settings, [])
    changed = _changed(before[0], settings) if before else []
    for name in changed:
        if name in _FIXED:
            click.echo(f"note: {name} takes effect at the next start", err=True)
    return changed


def _changed(before: Settings, now: Settings) -> list[str]:
    old, new = settings_table.to_dict(before), settings_table.to_dict(now)
    return [name for name in new if new[name] != old[name] and name not in ("log_dir", "state_dir")]


def _is_replaced(places: Places, before: int | None) -> bool:
    pid = launch.writer_pid(places)
    said = files.read_json(places.runtime("writer.json")) or {}
    return pid is not None and pid != before and said.get("pid") == pid and said.get("state") == "writing"
