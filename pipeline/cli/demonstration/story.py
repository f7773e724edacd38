"""The demonstration in words, for somebody who has never heard of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.cli.demonstration import tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.cli.demonstration.outage import Outage
    from pipeline.cli.demonstration.tally import Row
    from pipeline.verification import Account, Report

_COLUMNS: Final = ("producer", "how it ended", "accepted", "stored", "replayed", "lost", "twice")
_ENDS: Final = {
    "producer_closed": "by itself",
    "producer_died": "killed, and the stream says so",
    "open": "unknown",
}


def opening(log_dir: Path, elsewhere: Path) -> Iterator[str]:
    """Yield the lines before the first act."""
    yield _bold("What happens to records when processes are killed and files cannot be written")
    yield f"The log directory is {log_dir}"
    yield f"Records that it cannot take go to {elsewhere}"


def act(name: str, facts: dict[str, Any]) -> Iterator[str]:
    """Yield what an act was, once it is over."""
    yield ""
    yield from _ACTS[name](facts)


def _scan(facts: dict[str, Any]) -> Iterator[str]:
    yield _bold(f"{facts['processes']} processes read every file of Python's standard library")
    yield f"{facts['files']:,} files in {facts['root']}. Each becomes a record with its size, date, lines and"
    yield "first line. The processes only call emit(); a writer process, which the library has started,"
    yield "brings the records into the day's file."


def _writer_killed(facts: dict[str, Any]) -> Iterator[str]:
    yield _bold(f"kill -9 of the writer, pid {facts['pids'][0]}, after {facts['after']:,} records")
    yield "The scanners went on: their records wait in memory that outlives every process. A new writer found"
    yield f"the exact byte to go on from. Writing again after {_bold_seconds(facts['recovery_sec'])}."


def _scanner_killed(facts: dict[str, Any]) -> Iterator[str]:
    done = f"after {facts['after']:,} of {facts['of']:,} files"
    yield _bold(f"kill -9 of {facts['target']}, pid {facts['pids'][0]}, {done}")
    yield "It could not say goodbye. What it had emitted is kept all the same; what it had not read yet was"
    yield "never promised. See below."


def _web(facts: dict[str, Any]) -> Iterator[str]:
    load, kill = facts["load"], facts["kill"]
    yield _bold("A web server under load, and kill -9 of supervisor and writer at once")
    yield "One record a request. With both gone nobody was left but the server itself: its emit() found that"
    recovery = kill.recovery_sec if kill else None
    yield f"out and started them again. Writing again after {_bold_seconds(recovery)}."
    half, most, slowest = (load.quantile_ms(share) for share in (0.5, 0.99, 1))
    yield f"{load.answered + load.unrecorded:,} requests were answered, half of them within {half:.2f} ms,"
    yield f"99 % within {most:.2f} ms, the slowest in {slowest:.1f} ms."


def _outage(facts: dict[str, Any]) -> Iterator[str]:
    seen: Outage = facts["outage"]
    before, during, after = map(_bold, seen.health)
    yield _bold(f"The log directory is gone for {seen.seconds:.1f} s, as when a volume fails")
    yield f"The demo moved it away while {seen.scanner} was at work, and put a plain file in its place."
    yield f"The writer could not append: {seen.error}."
    yield f"{_bold_seconds(seen.kept_after_sec)} later records were in a fallback store instead, a database:"
    yield seen.store
    yield "Here it is beside the logs; by itself it is on another volume, if there is one. The scanner did"
    yield f"not notice: {seen.accepted:,} more of its records were accepted. When the directory came back"
    yield f"{seen.kept:,} were in the store: what the disk had not confirmed before goes there too."
    yield f"Health said {before} before, and then {during}."
    yield ""
    yield _bold("The log directory is back")
    yield "The writer found that out by itself, and replayed the store into files of their own:"
    yield f"{seen.replayed:,} records, in {', '.join(seen.parts)}. The store was empty"
    yield f"{_bold_seconds(seen.replayed_after_sec)} after the directory was back. Health says {after}."


def _end(facts: dict[str, Any]) -> Iterator[str]:
    yield _bold("Everybody ends")
    yield "Nobody needed it any more, so the pipeline's own processes ended by themselves within"
    left = (
        "No daemon is left, and no queue in memory." if facts["is_clean"] else "Their queue is still there."
    )
    yield f"{facts['seconds']:.1f} s. {left}"


_ACTS: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "scan": _scan,
    "writer_killed": _writer_killed,
    "scanner_killed": _scanner_killed,
    "web": _web,
    "outage": _outage,
    "end": _end,
}


def is_right(rows: Sequence[Row], report: Report, accounts: Account) -> bool:
    """
    Whether everything accepted is stored, once and in order; `verify` has proven it, and accounts balance.

    That an outage was there and has left nothing behind was seen while it was played.
    """
    return report.ok and not report.open and accounts.ok and all(row.is_right for row in rows)


def closing(
    log_dir: Path, rows: Sequence[Row], report: Report, accounts: Account, seconds: float, *, is_kept: bool
) -> Iterator[str]:
    """Yield the table of what survived, the verdict, and what to try next."""
    yield ""
    yield _bold("What survived")
    yield from _table(rows)
    yield ""
    yield from (f"{row.name}: {_note(row)}" for row in rows if row.stored != row.accepted or not row.is_right)
    yield from _verdict(rows, report, accounts)
    yield f"All of this took {seconds:.1f} s."
    if is_kept:
        yield ""
        yield from _next_steps(log_dir)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    for number, line in enumerate(cells):
        aligned = [
            cell.ljust(width) if column < 2 else cell.rjust(width)  # noqa: PLR2004 - two columns of words
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text = "   ".join(aligned)
        yield click.style(text, dim=True) if number == 0 else text


def _cells(row: Row) -> tuple[str, ...]:
    end = _ENDS.get(row.end, row.end)
    counts = (row.accepted, row.stored, row.replayed, row.lost, row.twice)
    return (row.name, end, *(f"{count:,}" for count in counts))


def _note(row: Row) -> str:
    if row.is_right:
        return "it was killed between emit() and its own count of it, so one more is stored than it knew of."
    return click.style("the stored records are not the accepted ones", fg="red")


def _verdict(rows: Sequence[Row], report: Report, accounts: Account) -> Iterator[str]:
    if is_right(rows, report, accounts):
        proof = f"pipeline verify proves {report.records:,} records: none missing, none twice, all in order."
        yield click.style(f"OK: {proof}", fg="green", bold=True)
        sums = f"{accounts.sums['emitted']:,} were emitted, by what the producers' own side says"
        yield click.style(f"OK: pipeline account finds each one: {sums}.", fg="green", bold=True)
        return
    found = ", ".join(f"{count:,} {kind}" for kind, count in report.counts.items()) or "see the table"
    yield click.style(f"FAILED: {found}", fg="red", bold=True)
    yield from (click.style(one.sentence, fg="red") for one in accounts.faulty)


def _next_steps(log_dir: Path) -> Iterator[str]:
    days = tally.day_files(log_dir)
    if not days:
        return
    yield "Look at it yourself:"
    yield f"  $ pipeline verify --dir {log_dir}"
    yield f"  $ pipeline account --dir {log_dir}"
    yield f"  $ tail -n 3 {days[-1]}"
    yield f"  $ grep -hE 'producer_died|writer_restarted|fallback_replayed' {log_dir}/*.jsonl"
    yield f"  $ jq -s 'group_by(.action_type)[] | [.[0].action_type, length]' -c {log_dir}/*.jsonl"
    yield f"  $ ls -l | pipeline record --dir {log_dir}"


def _bold_seconds(seconds: float | None) -> str:
    return "never" if seconds is None else _bold(f"{seconds:.2f} s")


def _bold(text: str) -> str:
    return click.style(text, bold=True)
