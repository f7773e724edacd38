"""`pipeline demo`: the main job on real input, with kills and an outage in the middle, told as a story."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.cli.demonstration import story, tally
from pipeline.cli.demonstration.acts import Play
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import shown
from pipeline.cli.stop import stop
from pipeline.errors import NotRunningError
from pipeline.host import clock
from pipeline.paths import places_for, resolve_log_dir
from pipeline.verification import account, verify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.cli.demonstration.tally import Row
    from pipeline.verification import Account, Report

EPILOG: Final = """\b
Examples:
  $ pipeline demo                              in a new directory under $TMPDIR, which it leaves to you
  $ pipeline demo --dir ./demo                 in a directory of your choice, new or empty
  $ pipeline demo --no-keep                    leave nothing behind
  $ pipeline demo --json | jq .producers       the numbers for a script
"""

_STOP_SEC: Final = 10.0


@click.command(name="demo", epilog=EPILOG)
@click.option(
    "--dir", "directory", metavar="DIR", help="A new or empty directory.  [default: a new one in $TMPDIR]"
)
@click.option("--keep/--no-keep", default=True, show_default=True, help="Leave the directory for inspection.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as one JSON object, and no story.")
@click.pass_context
def command(ctx: click.Context, directory: str | None, *, keep: bool, as_json: bool) -> None:
    """
    Show what it is for, in under 20 seconds.

    Processes record every file of Python's standard library and the requests of a web server, while the
    writer, a producer and the supervisor are killed with kill -9, and the log directory is gone for a while.
    Then every record is counted.
    """
    began = clock.monotonic()
    log_dir = _prepare(directory)
    elsewhere = Path(tempfile.mkdtemp(prefix=f"{log_dir.name}-fallback-", dir=log_dir.parent))

    def tell(lines: Iterable[str]) -> None:
        if not as_json:
            click.echo("\n".join(lines))

    try:
        tell(story.opening(log_dir, elsewhere))
        play = Play(log_dir, elsewhere, lambda name, facts: tell(story.act(name, facts)))
        play.run()
        rows = tally.rows(log_dir, play.expected)
        report, accounts = verify(log_dir), account(log_dir)
        seconds = clock.monotonic() - began
        tell(story.closing(log_dir, rows, report, accounts, seconds, is_kept=keep))
        if as_json:
            click.echo(json.dumps(_numbers(play, rows, report, accounts, seconds)))
    finally:
        if not keep:
            _clear_away(log_dir, elsewhere)
    ctx.exit(Exit.DONE if story.is_right(rows, report, accounts) else Exit.BAD_NEWS)


def _prepare(directory: str | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="pipeline-demo-"))
    log_dir = resolve_log_dir(directory)
    if log_dir.exists() and (not log_dir.is_dir() or any(log_dir.iterdir())):
        raise click.UsageError(f"{shown(log_dir)} is not empty; the demo counts its own records only")
    if log_dir.is_mount() or (log_dir.exists() and not os.access(log_dir.parent, os.W_OK | os.X_OK)):
        raise click.UsageError(
            f"{shown(log_dir)} cannot be moved, and the demo takes its directory away for a moment;"
            f" name a directory in it"
        )
    log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return log_dir


def _clear_away(log_dir: Path, elsewhere: Path) -> None:
    """Remove the directories, once nobody writes there: after Ctrl+C somebody may."""
    try:
        stop(places_for(log_dir), _STOP_SEC)
    except NotRunningError:
        pass  # as it should be after a whole demonstration
    for directory in (log_dir, elsewhere):
        shutil.rmtree(directory, ignore_errors=True)


def _numbers(
    play: Play, rows: list[Row], report: Report, accounts: Account, seconds: float
) -> dict[str, Any]:
    return {
        "ok": story.is_right(rows, report, accounts),
        "log_dir": str(play.log_dir),
        "seconds": round(seconds, 3),
        "producers": [vars(row) for row in rows],
        "kills": [vars(kill) for kill in play.kills],
        "outage": vars(play.outage),
        "verify": report.as_dict(),
        "account": accounts.as_dict(),
    }
