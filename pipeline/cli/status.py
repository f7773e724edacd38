"""`pipeline status`: health for people."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline import launch
from pipeline.cli import health_page
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, shown
from pipeline.cli.standstill import timeout_option
from pipeline.health.reasons import FAILING
from pipeline.host import clock
from pipeline.host.terminal import visible
from pipeline.inquiry import fetch_health
from pipeline.queue import depth
from pipeline.storage import fallback_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.paths import Places

EPILOG: Final = """\b
Examples:
  $ pipeline status                            of the default log directory
  $ pipeline status --dir /var/log/app         of another one
  $ pipeline status --watch                    again every second, until Ctrl+C
  $ pipeline status --log --lines 200          what the workers say
  $ pipeline status --json | jq .queue.records for a script

\b
Exit status: 0 ok or degraded, 1 failing, 3 no pipeline runs.
"""
_FALLBACK_DIR_VARIABLE: Final = "PIPELINE_FALLBACK_DIR"
_CLEAR: Final = "\x1b[H\x1b[2J"


@click.command(name="status", epilog=EPILOG)
@dir_option
@json_option("the health document, the same as GET /health,")
@timeout_option
@click.option("--log", "as_log", is_flag=True, help="Show the workers' own messages instead.")
@click.option(
    "--lines",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="How many of them, the last ones.",
)
@click.option("--watch", is_flag=True, help="Show it anew every --interval seconds until Ctrl+C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="For --watch.",
)
@click.pass_context
def command(ctx: click.Context, /, directory: str | None, lines: int, interval: float, **flags: bool) -> None:
    """Tell how the pipeline is: workers, queue and files, and what to do where something is wrong."""
    places = places_of(directory)
    if flags["as_log"]:
        ctx.exit(_show_log(places, lines))
    if flags["watch"]:
        _watch(places, interval, as_json=flags["as_json"])
    document, code = look(places)
    click.echo(_page(places, document, as_json=flags["as_json"]), color=_wants_color())
    ctx.exit(code)


def look(places: Places) -> tuple[dict[str, Any], Exit]:
    """Return the health document, one made here when nobody answers, and the exit code it means."""
    document = fetch_health(places)
    if document is not None:
        return document, Exit.BAD_NEWS if document.get("status") == FAILING else Exit.DONE
    pid = launch.supervisor_pid(places)
    left = depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir))
    absent: dict[str, Any] = {
        "status": FAILING,
        "reasons": ["supervisor_down"],
        "is_running": pid is not None,
        "held_back": launch.is_held_back(places),
        "workers": [],
        "queue": left.as_dict(),
        "fallback": _left_in_fallback(places),
        "counts": {},
        "last_error": "" if pid is None else f"the supervisor, pid {pid}, does not answer",
    }
    return absent, Exit.NOT_RUNNING if pid is None else Exit.BAD_NEWS


def _left_in_fallback(places: Places) -> dict[str, Any]:
    """Return what all stores of the log directory hold, while no writer says it."""
    published = launch.published_settings(places)
    given = published.settings.fallback_dir if published else os.environ.get(_FALLBACK_DIR_VARIABLE, "")
    stores = fallback_places.stores(places, given or fallback_places.AUTO)
    if not stores:
        return {}
    from pipeline.storage import fallback_reader  # sqlite is paid for by who has a store

    found = (fallback_reader.summary(store) for store in stores)
    total = fallback_reader.total(one for one in found if one is not None)
    return total._asdict() | {"path": ", ".join(map(str, stores))}


def _page(places: Places, document: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(document)
    return "\n".join(health_page.lines(document, shown(places.log_dir)))


def _watch(places: Places, interval: float, *, as_json: bool) -> None:
    """Show it until Ctrl+C, which is the way out and no failure."""
    is_screen = sys.stdout.isatty() and not as_json
    try:
        while True:
            document, _ = look(places)
            text = _page(places, document, as_json=as_json)
            click.echo((_CLEAR if is_screen else "") + text, color=_wants_color())
            clock.sleep(interval)
    except KeyboardInterrupt:
        click.get_current_context().exit(Exit.DONE)


def _show_log(places: Places, count: int) -> Exit:
    """Print the last lines of workers.log, and of the one before it where that is needed."""
    paths = [places.workers_log.with_suffix(".log.1"), places.workers_log]
    if not places.workers_log.exists():
        click.echo(f"the workers have said nothing yet in {shown(places.log_dir)}", err=True)
        return Exit.NOT_RUNNING if launch.supervisor_pid(places) is None else Exit.DONE
    click.echo("\n".join(_last(count, (line for path in paths for line in _lines(path)))))
    return Exit.DONE


def _lines(path: os.PathLike[str]) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            for line in file:
                yield visible(line.rstrip(b"\n"))
    except OSError:
        return


def _last(count: int, lines: Iterable[str]) -> list[str]:
    from collections import deque

    return list(deque(lines, maxlen=count))


def _wants_color() -> bool | None:
    """Follow NO_COLOR; else colours where there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None
