"""What the numbers and the testimony amount to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.host.terminal import visible
from pipeline.verification.chain import judge_heads, noted_heads, read_chains
from pipeline.verification.coverage import coverages
from pipeline.verification.fallback import Stored, find_stores, read_stores, without_cut
from pipeline.verification.files import NAME, is_of, take_snapshot
from pipeline.verification.findings import Finding, Findings, Kind, numbers
from pipeline.verification.live import Lanes, find_lanes
from pipeline.verification.ranges import joined, minus
from pipeline.verification.report import End, Report
from pipeline.verification.scan import Scan
from pipeline.verification.sequence import FIRST_NUMBER
from pipeline.verification.survey import survey
from pipeline.verification.testimony import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.verification.chain import Chain, Head
    from pipeline.verification.coverage import Coverage
    from pipeline.verification.lines import Place
    from pipeline.verification.ranges import Range
    from pipeline.verification.sequence import Gap, Numbers
    from pipeline.verification.survey import Sheet
    from pipeline.verification.testimony import End as Statement

OPEN_NAMED_MAX: Final = 100


def verify(
    log_dir: Path,
    *,
    dates: Sequence[str] = (),
    is_full: bool = False,
    kept_heads: Sequence[Head] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """
    Read a log directory and report what is wrong with it.

    Blocks that the manifests prove are compared with their digests, all else is read line by line; with
    `is_full` everything is. `kept_heads` is what `parse_heads` made of an earlier `Report.head`. With `dates`
    only the files of those days are read, and what would have to be in others is not judged. Raises OSError
    if the directory itself cannot be listed; a file that cannot be read is a finding. Nothing is written or
    locked.
    """
    return examine(log_dir, dates, is_full=is_full, kept_heads=kept_heads, progress=progress).report


class Examination(NamedTuple):
    """A report, and what it was made from."""

    report: Report
    chains: dict[str, Chain]
    known: dict[str, Coverage]
    heads: list[Head]
    sheets: list[Sheet]


def examine(
    log_dir: Path,
    dates: Sequence[str] = (),
    *,
    is_full: bool = False,
    kept_heads: Sequence[Head] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Examination:
    """Do what `verify` does, and return all that was found out."""
    findings = Findings()
    # Lanes are looked up on both sides of the sizes: one may be drained and gone, another created in between.
    lanes = find_lanes(log_dir)
    # What was noted before its entry is read, and an entry before the size of its file, can only be too old.
    heads = noted_heads(log_dir, findings)
    chains = read_chains(log_dir, findings)
    held: list[Stored] = []
    files, unread = take_snapshot(
        log_dir, dates, lambda: held.append(read_stores(find_stores(log_dir), findings))
    )
    stored = held[0] if held else Stored()
    files = without_cut(files, stored)
    lanes |= find_lanes(log_dir)
    judge_heads(chains, [*heads, *kept_heads], findings)
    known = coverages(chains.values(), findings)
    total = sum(file.size for file in files)

    def told(done: int) -> None:
        if progress is not None:
            progress(min(done, total), total)

    sheets = survey(files, known, told, is_full=is_full)
    scan = Scan([sheet.file for sheet in sheets], is_live=bool(lanes), findings=findings)
    for index, sheet in enumerate(sheets):
        scan.take(index, sheet)
    told(total)
    scan.hold(stored)
    scan.testimony.accept(chains.values())
    verdict = _Verdict(scan, lanes, unread, is_partial=bool(dates))
    verdict.judge_absent(known, dates)
    report = verdict.report(log_dir, ",".join(chains[instance].head.text for instance in sorted(chains)))
    return Examination(report, chains, known, heads, sheets)


class _Verdict:
    """Judges producer by producer, once all files are read."""

    def __init__(self, scan: Scan, lanes: Lanes, unread: Sequence[str], *, is_partial: bool) -> None:
        self._scan = scan
        self._lanes = lanes
        self._unread = unread
        self._is_partial = is_partial
        self._testimony = scan.testimony
        self._ends: Counter[End] = Counter()
        self._open: list[str] = []
        self._expired: dict[str, int] = {}

    def judge_absent(self, known: Mapping[str, Coverage], dates: Sequence[str]) -> None:
        """Judge the files that the manifests have and the directory has not."""
        there = {file.stem for file in self._scan.files}
        for name in sorted(known.keys() - there):
            coverage, match = known[name], NAME.fullmatch(name)
            if match is None or (dates and not is_of(match["period"], dates)):
                continue
            if coverage.expired is not None:
                self._expired[name] = coverage.records
                self._scan.excuse(coverage)
            elif coverage.end:
                sentence = f"the file is gone; the manifest has {coverage.end:,} bytes of it"
                self._scan.findings.add(
                    Finding(Kind.REMOVED, f"{sentence} with {coverage.records:,} records", name)
                )

    def report(self, log_dir: Path, head: str) -> Report:
        scan = self._scan
        known = {*scan.producers, *self._testimony.ends, *self._lanes.live, *self._lanes.queued}
        for producer in sorted(known):
            self._judge(producer)
        return Report(
            log_dir=str(log_dir),
            partial=self._is_partial,
            files=len(scan.files),
            records=scan.records,
            bytes=scan.bytes,
            unfinished=scan.unfinished,
            producers=self._ends,
            open=tuple(self._open[:OPEN_NAMED_MAX]),
            counts=scan.findings.counts,
            findings=scan.findings.in_order(),
            proven_bytes=scan.proven_bytes,
            unproven=tuple(scan.unproven),
            expired=self._expired,
            fallback_records=scan.fallback_records,
            head=head,
        )

    def _judge(self, producer: str) -> None:
        stored = self._scan.producers.get(producer)
        end = self._end(producer, stored)
        self._ends[end] += 1
        if end is End.OPEN:
            self._open.append(producer)
        for gap in stored.gaps() if stored is not None else ():
            self._judge_gap(producer, gap)
        if producer in self._testimony.ends:
            self._judge_tail(producer, stored.last if stored else 0, self._testimony.ends[producer])

    def _end(self, producer: str, stored: Numbers | None) -> End:
        statement = self._testimony.ends.get(producer)
        if statement is not None:
            return End.CLOSED if statement.action_type == CLOSED else End.DIED
        if stored is not None and self._testimony.stopped.get(producer) == stored.last:
            return End.CLOSED
        if producer in self._lanes.live:
            return End.LIVE
        return End.QUEUED if producer in self._lanes.queued else End.OPEN

    def _judge_gap(self, producer: str, gap: Gap) -> None:
        if self._is_partial and self._may_be_unread(gap):
            return
        for first, last in self._not_dropped(producer, gap.first, gap.last):
            which = f"{numbers(first, last)} of {visible(producer)}"
            sentence = f"{which} missing before its number {gap.after.first}"
            place = self._scan.located(gap.after.start, producer, gap.after.first)
            self._add(Kind.MISSING, sentence, place, producer, first, last)

    def _may_be_unread(self, gap: Gap) -> bool:
        """Tell whether a day that was not read lies where the missing numbers would be."""
        if gap.before is None:
            return True
        before = self._scan.files[gap.before.end_file].period
        after = self._scan.files[gap.after.start.file].period
        return any(before < period < after for period in self._unread)

    def _judge_tail(self, producer: str, last_stored: int, end: Statement) -> None:
        said = f"{end.action_type} says that the last number of {visible(producer)} is {end.last}"
        if last_stored > end.last:
            sentence = f"{said}, but {last_stored} is stored"
            self._add(Kind.WRONG_FIELD, sentence, end.place, producer, end.last, last_stored, "testimony")
        elif end.is_settled and not self._is_partial and producer not in self._lanes:
            for first, last in self._not_dropped(producer, max(last_stored + 1, FIRST_NUMBER), end.last):
                sentence = f"missing tail: {said}, but {numbers(first, last)} nowhere"
                self._add(Kind.MISSING, sentence, end.place, producer, first, last, "testimony")

    def _not_dropped(self, producer: str, first: int, last: int) -> list[Range]:
        excused = self._testimony.dropped(producer)
        return minus([(first, last)], joined([*excused, *self._testimony.accepted.get(producer, ())]))

    def _add(
        self,
        kind: Kind,
        sentence: str,
        place: Place,
        producer: str,
        first: int,
        last: int,
        check: str = "",
    ) -> None:
        file = self._scan.names[place.file] if self._scan.names else None
        self._scan.findings.add(Finding(kind, sentence, file, *place[1:], producer, first, last, check))
