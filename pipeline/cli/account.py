"""`pipeline account`: where every emitted record is, producer by producer, and whether it adds up."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import click

from pipeline.cli.bars import progress_bar
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, shown
from pipeline.cli.standstill import timeout_option
from pipeline.host.terminal import visible
from pipeline.verification import account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.verification import Account
    from pipeline.verification.balance import Balance

SHOWN_MAX: Final = 20
"""Producers that are shown to a person. `--json` has all."""
_COLUMNS: Final = ("producer", "emitted", "stored", "expired", "queued", "fallback", "dropped", "quarantined")

EPILOG: Final = """\b
Examples:
  $ pipeline account                     the default log directory
  $ pipeline account --dir /var/log/app  another log directory
  $ pipeline account --json | jq '.producers[] | select(.ok | not)'

\b
For each producer
  emitted = stored + expired + queued + fallback + dropped + quarantined
has to hold. The left side is what the producers say: their part of the queue, and the register of those that
have ended. The right side is found: stored is counted in the lines of the files. Losses that
`pipeline repair --accept` has taken for good are on the right side, too.

\b
Exit status:
  0  every account balances
  1  one does not, or nothing says what a producer has emitted
  2  the command was given something it cannot use
  4  the log directory cannot be read
"""


@click.command(name="account", epilog=EPILOG)
@dir_option
@json_option("the accounts")
@timeout_option
@click.pass_context
def command(context: click.Context, directory: str | None, *, as_json: bool) -> None:
    """
    Tell where every emitted record is, and whether it adds up.

    Reads every line of every file, works while the pipeline is running, and changes nothing. Records that are
    refused at a full queue get no number and are no part of it; they are shown.
    """
    places = places_of(directory)
    with progress_bar("counting") as progress:
        found = account(places.log_dir, state_dirs=[places.state_dir], progress=progress)
    if not found.balances and not os.path.isdir(places.log_dir):
        raise click.UsageError(f"no log directory at {shown(places.log_dir)}", context)
    click.echo(json.dumps(found.as_dict()) if as_json else "\n".join(_for_people(found)))
    context.exit(Exit.DONE if found.ok else Exit.BAD_NEWS)


def _for_people(found: Account) -> Iterator[str]:
    yield f"directory    {visible(found.log_dir)}"
    yield f"producers    {len(found.balances):,}"
    for name, value in found.sums.items():
        if name != "accepted" or value:
            yield f"{name:12} {_by_reason(value) if name == 'dropped' else format(value, ',')}"
    if found.refused:
        yield f"note         refused, and so never numbered: {_by_reason(found.refused)}"
    for trouble in found.unreadable:
        yield f"note         {visible(trouble)}"
    if found.balances:
        yield ""
        yield from _table(found)
    yield ""
    yield verdict(found)


def verdict(found: Account) -> str:
    """Return the last line: that it adds up, or what does not."""
    if found.ok:
        if not found.balances:
            return "OK: nothing was emitted yet"
        return f"OK: each of {found.sums['emitted']:,} emitted records is accounted for, by every producer"
    lines = [visible(one.sentence) for one in found.faulty[:SHOWN_MAX]]
    hidden = len(found.faulty) - len(lines)
    more = [f"… and {hidden:,} more (--json has them)"] if hidden else []
    word = "account does" if len(found.faulty) == 1 else "accounts do"
    return "\n".join([*lines, *more, f"FAILED: {len(found.faulty):,} {word} not balance"])


def _by_reason(counts: Mapping[str, int]) -> str:
    total = f"{sum(counts.values()):,}"
    reasons = ", ".join(f"{visible(reason)} {count:,}" for reason, count in sorted(counts.items()))
    return f"{total} ({reasons})" if reasons else total


def _table(found: Account) -> Iterator[str]:
    """Yield a line for each producer, those that do not balance first."""
    ordered = sorted(found.balances, key=lambda one: (one.ok, -(one.emitted or 0)))
    rows = [_COLUMNS, *(_cells(one) for one in ordered[:SHOWN_MAX])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        head, *counts = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([head.strip().ljust(widths[0]), *counts])
    if len(ordered) > SHOWN_MAX:
        yield f"… and {len(ordered) - SHOWN_MAX:,} more (--json has all)"


def _cells(one: Balance) -> tuple[str, ...]:
    counts = (one.stored, one.expired, one.queued, one.fallback, sum(one.dropped.values()), one.quarantined)
    emitted = "unknown" if one.emitted is None else f"{one.emitted:,}"
    return (visible(one.producer), emitted, *(f"{count:,}" for count in counts))
