"""`pipeline stop`: the operator's word; producers go on, and what they emit waits in the queue."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Final

import click

from pipeline import launch
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, running_supervisor, shown, timeout_option
from pipeline.cli.waiting import wait_until
from pipeline.host import clock
from pipeline.queue import depth

if TYPE_CHECKING:
    from pipeline.paths import Places

EPILOG: Final = """\b
Examples:
  $ pipeline stop                              stop the pipeline of the default log directory
  $ pipeline stop --dir /var/log/app           of another one
  $ pipeline stop --timeout 120                wait longer for what has to be written
  $ pipeline run                               and go on

\b
A service waits for its producers to end, up to drain_timeout_sec (30), since their last records belong to
the stream as well; a second `pipeline stop` ends that wait. Nothing is lost in any case: what is not written
stays in the queue.
"""


@click.command(name="stop", epilog=EPILOG)
@dir_option
@timeout_option(60, "How long to wait for the end.")
@json_option("what was done")
@click.pass_context
def command(ctx: click.Context, directory: str | None, timeout: float, *, as_json: bool) -> None:
    """
    Write what is queued, then stop the pipeline.

    Producers keep running: their records wait in the queue until `pipeline run`, or an application that calls
    start_pipeline(), begins again. No producer starts it by itself after this.
    """
    places = places_of(directory)
    began = clock.monotonic()
    has_ended = stop(places, timeout)
    left = _left(places)
    answer = {
        "stopped": has_ended,
        "seconds": round(clock.monotonic() - began, 3),
        "queued_records": left.records,
        "queued_bytes": left.bytes,
    }
    if as_json:
        click.echo(json.dumps(answer))
    elif has_ended:
        click.echo(f"stopped after {answer['seconds']:.1f} s: {shown(places.log_dir)}")
        click.echo(_queued_line(left))
    else:
        click.echo(f"not stopped after {timeout:g} s; it still writes. Try: pipeline status", err=True)
    ctx.exit(Exit.DONE if has_ended else Exit.BAD_NEWS)


def stop(places: Places, timeout_sec: float) -> bool:
    """Stop the workers and hold producers back; whether they ended in time."""
    if launch.supervisor_pid(places) is None and launch.writer_pid(places):
        # The supervisor was killed just now. The writer would start another one; it is asked itself.
        launch.hold_back(places)
        os.kill(int(launch.writer_pid(places) or 0), signal.SIGTERM)
    else:
        pid = running_supervisor(places)
        launch.hold_back(places)
        os.kill(pid, signal.SIGTERM)
    return wait_until(lambda: not _is_running(places), timeout_sec, lambda: _waiting_line(places))


def _is_running(places: Places) -> bool:
    return launch.supervisor_pid(places) is not None or launch.writer_pid(places) is not None


def _left(places: Places) -> depth.Depth:
    return depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir))


def _waiting_line(places: Places) -> str:
    left = _left(places)
    return f"stopping: {left.records:,} records of {len(left.producers):,} producers in the queue"


def _queued_line(left: depth.Depth) -> str:
    if left.records:
        waiting = f"{left.records:,} records ({left.bytes:,} bytes)"
        return f"{waiting} wait in the queue; nothing is lost. Next: pipeline run"
    return "nothing waits in the queue"
