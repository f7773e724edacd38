"""`pipeline cleanup`: pack what is old, and let go of what is beyond the limits, now."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.cli.exit_codes import Exit
from pipeline.cli.health_page import size
from pipeline.cli.options import dir_option, json_option, places_of, settings_of, shown
from pipeline.cli.waiting import ProgressLine
from pipeline.keeping import at_once, from_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.keeping.at_once import Outcome
    from pipeline.keeping.cleaning import Done

EPILOG: Final = """\b
Examples:
  $ pipeline cleanup                           what the keeper does daily, now
  $ pipeline cleanup --dry-run                 what it would do, and why
  $ pipeline cleanup --retention 7d            with less patience than the settings have
  $ pipeline cleanup --max-size-mb 500         until all day files take 500 MiB at most
  $ pipeline cleanup --json | jq .freed_bytes

\b
The file being written, the fallback store and quarantine are never touched. Files leave oldest first, and the
manifests remember them: `pipeline verify` and `pipeline account` count what they held as expired.
Exit status: 0 the limits are kept, 1 a file stayed that should have been packed or should have left,
4 there is no log directory.
"""
_MEANINGS: Final = {
    "age": "old",
    "max_files": "more files than max_files",
    "size": "beyond the room",
    "min_free": "the volume is nearly full",
}


@click.command(name="cleanup", epilog=EPILOG)
@dir_option
@click.option(
    "--retention", metavar="TIME", help="Keep files so long: 7d, 12h, 2w.  [default: retention_days]"
)
@click.option("--max-size-mb", metavar="MB", help="Room of all day files.  [default: max_total_size_mb]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@json_option("what was done")
@click.pass_context
def command(
    ctx: click.Context,
    directory: str | None,
    retention: str | None,
    max_size_mb: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Pack day files that are old, and let go of those beyond the limits.

    A pipeline may run meanwhile, and is asked for what only it may do.
    """
    places = places_of(directory)
    settings = settings_of(places, from_settings.noted(places))
    with _progress() as (on_done, beat):
        outcome = at_once.clean(
            places, settings, retention, max_size_mb, dry_run=dry_run, on_done=on_done, beat=beat
        )
    if outcome.clock_ahead_sec:
        _warn(outcome.clock_ahead_sec)
    if as_json:
        click.echo(json.dumps(outcome.document()))
    else:
        _tell(outcome)
    ctx.exit(Exit.BAD_NEWS if outcome.troubles else Exit.DONE)


@contextmanager
def _progress() -> Iterator[tuple[Callable[[Done], None], Callable[[], None]]]:
    """Give what is called for each file, and while it takes long: a line on a terminal, else nothing."""
    line, count, freed = ProgressLine(), 0, 0

    def on_done(done: Done) -> None:
        nonlocal count, freed
        count, freed = count + 1, freed + done.freed
        beat()

    def beat() -> None:
        line.show(f"cleaning: {count:,} files, {size(freed)} freed")

    try:
        yield on_done, beat
    finally:
        line.clear()


def _warn(ahead_sec: int) -> None:
    days = ahead_sec / from_settings.DAY_SEC
    click.echo(
        f"warning: the clock is {days:,.1f} days ahead of what it should be. Ages are taken from it all the"
        " same; the keeper waits for a day with that.",
        err=True,
    )


def _tell(outcome: Outcome) -> None:
    answer = outcome.document()
    for row in answer["files"]:
        click.echo(_sentence(row, is_dry=outcome.dry_run), err="trouble" in row)
    if not answer["files"]:
        click.echo(f"nothing to clean up: {shown(outcome.log_dir)}")
        return
    would = "would be " if outcome.dry_run else ""
    about = "about " if outcome.dry_run and answer["packed"] else ""
    gone = f"{answer['expired']:,} file{'' if answer['expired'] == 1 else 's'} {would}gone"
    freed = f"{about}{size(answer['freed_bytes'])} {would}freed"
    click.echo(f"{gone}, {answer['packed']:,} {would}packed, {freed}")


def _sentence(row: dict[str, Any], *, is_dry: bool) -> str:
    name, why = shown(row["file"]), _MEANINGS.get(row["reason"], row["reason"])
    if "trouble" in row:
        return f"{name} stays as it is: {shown(row['trouble'])}"
    before, after = size(row["bytes"]), size(row["bytes_after"])
    change = f"{before} -> {'about ' if is_dry else ''}{after}" if row["bytes_after"] else before
    return f"{'would be ' if is_dry else ''}{row['action']:10} {name}  {change}  ({why})"
