"""`pipeline flush`: wait until everything that was emitted before is on the disk."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Final

import click

from pipeline import launch
from pipeline.cli import lane_ends
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, running_supervisor, shown, timeout_option
from pipeline.cli.waiting import wait_until
from pipeline.host import clock
from pipeline.queue import bell

if TYPE_CHECKING:
    from pipeline.paths import Places

EPILOG: Final = """\b
Examples:
  $ pipeline flush                             of the default log directory
  $ pipeline flush --dir /var/log/app          of another one
  $ pipeline flush && cp logs/*.jsonl backup/  copy what is complete up to now
  $ pipeline flush --timeout 1 || echo behind  ask whether the writer keeps up
"""


@click.command(name="flush", epilog=EPILOG)
@dir_option
@timeout_option(30, "How long to wait.")
@json_option("what was done")
@click.pass_context
def command(ctx: click.Context, directory: str | None, timeout: float, *, as_json: bool) -> None:
    """
    Wait until all that any producer has emitted before this call is on the disk.

    What is emitted meanwhile is not waited for.
    """
    places = places_of(directory)
    pid = running_supervisor(places)
    ends = lane_ends.ends(places)
    began = clock.monotonic()
    _ask(places, pid)
    waiting = list(ends)

    def is_done() -> bool:
        waiting[:] = [
            producer for producer in waiting if not lane_ends.is_durable(places, producer, ends[producer])
        ]
        if waiting:
            bell.ring(places, bell.SYNC)
        return not waiting

    is_flushed = wait_until(
        is_done, timeout, lambda: f"flushing: {len(waiting):,} of {len(ends):,} lanes to go"
    )
    seconds = round(clock.monotonic() - began, 3)
    if as_json:
        click.echo(
            json.dumps({"flushed": is_flushed, "seconds": seconds, "lanes": len(ends), "waiting": waiting})
        )
    elif is_flushed:
        click.echo(f"flushed after {seconds:.2f} s, {len(ends):,} lane(s): {shown(places.log_dir)}")
    else:
        click.echo(
            f"not flushed after {timeout:g} s: {len(waiting):,} of {len(ends):,} lanes are behind. "
            "Nothing is lost. Try: pipeline status",
            err=True,
        )
    ctx.exit(Exit.DONE if is_flushed else Exit.BAD_NEWS)


def _ask(places: Places, pid: int) -> None:
    """Ask for a sync now; where SIGUSR1 means something else, the bell asks alone."""
    published = launch.published_settings(places)
    if published is None or published.settings.sigusr1 == "flush":
        os.kill(pid, signal.SIGUSR1)
