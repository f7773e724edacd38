"""`pipeline verify`: prove that nothing is missing, nothing is there twice, and all of it is in order."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Final, NoReturn

import click

from pipeline.cli.bars import progress_bar
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import act_as_owner, dir_option
from pipeline.cli.standstill import timeout_option
from pipeline.errors import PipelineError
from pipeline.host.terminal import visible
from pipeline.paths import resolve_log_dir
from pipeline.verification import Report, current_head, parse_heads, verify
from pipeline.verification.files import DAY, is_of, periods

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EXIT_USAGE: Final = 2

SHOWN_MAX: Final = 100
"""Findings that are shown to a person. `--json` has more."""

EPILOG: Final = """\b
Examples:
  $ pipeline verify                      everything in the default log directory
  $ pipeline verify 2025-11-21           one day; gaps at its borders are not judged
  $ pipeline verify --dir /var/log/app   another log directory
  $ pipeline verify --full               read every line, also of what digests prove
  $ pipeline verify --head >> safe/heads keep a head where nobody can forge it
  $ pipeline verify --against 812:9f…    all that was there then has to be there now
  $ pipeline verify --json | jq .counts  for a script

\b
Exit status:
  0  nothing is wrong; what no digest proves is a note, and no failure
  1  there are findings
  2  the command was given something it cannot use
"""


class _Refusal(click.ClickException):
    exit_code = EXIT_USAGE


@click.command(name="verify", epilog=EPILOG)
@click.argument("dates", metavar="[DATE]...", nargs=-1)
@dir_option
@timeout_option
@click.option("--full", "is_full", is_flag=True, help="Read every line, also where digests prove the bytes.")
@click.option(
    "--head", "only_head", is_flag=True, help="Print the head, for keeping elsewhere, and nothing else."
)
@click.option(
    "--against", metavar="HEAD", default="", help="A head that was kept: check that it still holds."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def command(
    context: click.Context,
    dates: tuple[str, ...],
    directory: str | None,
    against: str,
    *,
    is_full: bool,
    only_head: bool,
    as_json: bool,
) -> None:
    """
    Check the stored records: integrity, order, no loss, no duplicate.

    Each DATE is a day such as 2025-11-21. Without one, all days are read and the proof is complete. Works
    while the pipeline is running, and changes nothing.

    Blocks of the files are compared with the digests in their manifests; what has no digest is read line by
    line. A head stands for everything up to it: whoever forges files and manifests cannot forge one that is
    kept elsewhere.
    """
    log_dir = _log_dir(directory)
    act_as_owner(log_dir)
    kept = parse_heads(against) if against else []
    if kept is None:
        _refuse(f"'{visible(against)}' is no head", "Give what `pipeline verify --head` has printed")
    try:
        if only_head:
            _print_head(log_dir)
            context.exit(Exit.DONE)
        _require_days(log_dir, dates)
        with progress_bar("verifying") as progress:
            report = verify(log_dir, dates=dates, is_full=is_full, kept_heads=kept, progress=progress)
    except OSError as error:
        _refuse(
            f"cannot list {visible(str(log_dir))}: {error.strerror}", "Run it as the owner of the directory"
        )
    click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(_for_people(report)))
    context.exit(report.exit_code)


def _print_head(log_dir: Path) -> None:
    head = current_head(log_dir)
    if not head:
        _refuse(f"no manifest in {visible(str(log_dir))}", "The writer makes one with the first record")
    click.echo(head)


def _log_dir(directory: str | None) -> Path:
    try:
        log_dir = resolve_log_dir(directory)
    except PipelineError as error:
        _refuse(str(error), "Try: pipeline verify --dir DIR")
    if not os.path.isdir(log_dir):
        _refuse(f"no log directory at {visible(str(log_dir))}", "Try: pipeline verify --dir DIR")
    return log_dir


def _require_days(log_dir: Path, dates: Sequence[str]) -> None:
    there = periods(log_dir) if dates else []
    for date in dates:
        if not DAY.fullmatch(date):
            _refuse(f"'{visible(date)}' is no date", "Write a day like 2025-11-21")
        if not any(is_of(period, [date]) for period in there):
            stored = f"it has {there[0]} to {there[-1]}" if there else "it has no files yet"
            _refuse(f"no file of {date} in {visible(str(log_dir))}", f"As a whole {stored}")


def _refuse(what: str, remedy: str) -> NoReturn:
    raise _Refusal(f"{what}. {remedy}")


def _for_people(report: Report) -> Iterator[str]:
    yield f"directory  {visible(report.log_dir)}"
    yield f"files      {report.files:,}"
    yield f"records    {report.records:,}"
    yield f"bytes      {report.bytes:,}"
    yield f"producers  {_producers(report)}"
    yield from _notes(report)
    if report.findings:
        yield ""
    for finding in report.findings[:SHOWN_MAX]:
        place = f"{visible(finding.place)}: " if finding.place else ""
        yield f"{place}{finding.kind}: {visible(finding.sentence)}"
    hidden = sum(report.counts.values()) - min(len(report.findings), SHOWN_MAX)
    if hidden:
        yield f"… and {hidden:,} more (--json has the first 1,000 of each kind)"
    yield ""
    yield _verdict(report)


def _producers(report: Report) -> str:
    ends = [f"{count:,} {end}" for end, count in report.producers.items() if count]
    return f"{sum(report.producers.values()):,}" + (f" ({', '.join(ends)})" if ends else "")


def _notes(report: Report) -> Iterator[str]:
    if report.unfinished:
        yield f"note       {report.unfinished:,} last line(s) still being written"
    if report.proven_bytes:
        yield f"proven     {report.proven_bytes:,} bytes by their digests"
    if report.proven_bytes or report.head:
        yield from _unproven(report)
    for file, records in report.expired.items():
        yield f"note       {visible(file)} was deleted by retention, with {records:,} records"
    if report.fallback_records:
        yield f"note       {report.fallback_records:,} records wait in the fallback for their replay"
    if report.partial:
        yield "note       only some days were read: what lies in others could not be judged"
    if report.open:
        shown = ", ".join(visible(producer) for producer in report.open[:3])
        more = ", …" if len(report.open) > 3 else ""  # noqa: PLR2004 - as many as are shown
        yield f"note       no record says how these ended, so their last numbers are unproven: {shown}{more}"


def _unproven(report: Report) -> Iterator[str]:
    """Say what no digest proves, file by file and reason by reason."""
    sums: Counter[tuple[str, str]] = Counter()
    for part in report.unproven:
        sums[part.file, part.why] += part.length
    for (file, why), length in [*sums.items()][:SHOWN_MAX]:
        yield f"note       not proven: {length:,} bytes of {visible(file)}, {visible(why)}"


def _verdict(report: Report) -> str:
    if not report.ok:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.counts.items()))
        return f"FAILED: {counts}"
    if not report.files:
        return "OK: there is nothing to verify yet"
    days = " on these days" if report.partial else ""
    far = " as far as can be proven" if report.open or report.partial else ""
    return f"OK: {report.records:,} records{days}, none missing{far}, none twice, all in order"
