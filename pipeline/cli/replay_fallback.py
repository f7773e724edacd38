"""`pipeline replay-fallback`: what an outage left in the fallback store comes into the files."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.cli.exit_codes import Exit
from pipeline.cli.health_page import size
from pipeline.cli.options import dir_option, json_option, places_of, settings_of, shown
from pipeline.cli.replay_run import Outcome, StoreRun, scope_of
from pipeline.host import clock
from pipeline.storage import fallback_places, fallback_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.fallback_reader import Scope

EPILOG: Final = """\b
Examples:
  $ pipeline replay-fallback                       all of it, whether or not the pipeline runs
  $ pipeline replay-fallback --dry-run             what there is
  $ pipeline replay-fallback --limit 100000        some of it now, the rest another time
  $ pipeline replay-fallback --since 2025-11-21T14:00
  $ pipeline replay-fallback --json | jq .quarantined

\b
A pipeline that runs does this by itself as soon as its log directory takes records again; the command then
asks it to look now, and waits. Rows whose checksum fails go to .pipeline/quarantine.
Exit status: 0 all is in the files, 1 rows were quarantined or some are left, 4 there is no log directory.
"""


@click.command(name="replay-fallback", epilog=EPILOG)
@dir_option
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and change nothing.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop with the row that brings it to N records.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Leave out what was put there before; RFC 3339, UTC where it says no zone.",
)
@json_option("what was done")
@click.pass_context
def command(
    ctx: click.Context,
    directory: str | None,
    limit: int | None,
    since: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Bring what is in the fallback store into the files, each record once.

    Records go to parts of their own day, DATE.rN.jsonl, in the order in which they were emitted.
    """
    places = places_of(directory)
    settings = settings_of(places)
    scopes = _scopes(places, settings, _moment(since))
    if dry_run:
        _tell_plan(scopes, as_json=as_json)
        return
    began = clock.monotonic()
    outcomes = _run(places, settings, scopes, limit or 0)
    _tell(places, outcomes, clock.monotonic() - began, as_json=as_json)
    is_good = not any(one.quarantined or one.trouble for one in outcomes.values())
    ctx.exit(Exit.DONE if is_good else Exit.BAD_NEWS)


def _scopes(places: Places, settings: Settings, since: str) -> dict[Path, Scope]:
    """Return the stores that hold something that is meant."""
    stores = fallback_places.stores(places, settings.fallback_dir)
    found = {store: scope_of(store, since) for store in stores}
    return {store: scope for store, scope in found.items() if scope is not None}


def _moment(text: str | None) -> str:
    """Return a time as the store has it: UTC with microseconds and `Z`."""
    if text is None:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time such as 2025-11-21T14:00:00Z", param_hint="--since"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _run(places: Places, settings: Settings, scopes: dict[Path, Scope], limit: int) -> dict[Path, Outcome]:
    outcomes: dict[Path, Outcome] = {}
    total = sum(fallback_reader.extent(store, scope).records for store, scope in scopes.items())
    with _progress(min(total, limit) if limit else total) as advance:
        for store, scope in scopes.items():
            left = limit - sum(one.records for one in outcomes.values())
            if limit and left <= 0:
                break
            outcomes[store] = StoreRun(store, places, settings, scope, left if limit else 0, advance).run()
    return outcomes


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr, and nothing where there is none."""
    if not sys.stderr.isatty() or not total:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda records: bar.update(task, advance=records)


def _tell_plan(scopes: dict[Path, Scope], *, as_json: bool) -> None:
    extents = {store: fallback_reader.extent(store, scope) for store, scope in scopes.items()}
    if as_json:
        plan: dict[str, Any] = {"dry_run": True, "records": sum(one.records for one in extents.values())}
        plan["stores"] = {
            str(store): {"rows": one.rows, "records": one.records, "bytes": one.bytes}
            for store, one in extents.items()
        }
        click.echo(json.dumps(plan))
        return
    for store, one in extents.items():
        click.echo(f"{one.records:,} records in {one.rows:,} rows, {size(one.bytes)}: {shown(store)}")
    if not extents:
        click.echo("nothing to replay")


def _tell(places: Places, outcomes: dict[Path, Outcome], seconds: float, *, as_json: bool) -> None:
    records = sum(one.records for one in outcomes.values())
    quarantined = sum(one.quarantined for one in outcomes.values())
    if as_json:
        answer: dict[str, Any] = {
            "records": records,
            "quarantined": quarantined,
            "left": sum(one.left for one in outcomes.values()),
            "seconds": round(seconds, 3),
            "stores": {str(store): one._asdict() for store, one in outcomes.items()},
        }
        click.echo(json.dumps(answer))
        return
    click.echo(
        f"{records:,} records left the fallback store after {seconds:.1f} s: {shown(places.log_dir)}"
        if outcomes
        else "nothing to replay"
    )
    if quarantined:
        where = shown(places.quarantine_dir)
        click.echo(f"{quarantined:,} rows have a wrong checksum; they are kept in {where}", err=True)
    for store, one in outcomes.items():
        if one.trouble:
            click.echo(f"{one.left:,} records stay in {shown(store)}: {shown(one.trouble)}", err=True)
