"""
How many records there are, where nothing but their time is asked for.

The manifest says how many lines each block has, so only what has no block yet, or is in a block at an end of
the span, is read. It is what stands below each table of `pipeline log`, and a day may have gigabytes.

Invariants
    K1  A block counts by its manifest only if its bytes were digested as they were written: then each line of
        it is a record. Any other block is read.
        Where such a block is only partly in a span, or no index says, the timestamps of its lines are
        compared.
    K2  Of a span it counts only if the index, which is bound to its digest, has all of it within the span.
    K3  No block counts that ends behind the end of the file.
The tests are integration/test_query_count.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.query import waiting
from pipeline.query.frames import frames_of
from pipeline.query.passage import forwards, head
from pipeline.query.pruning import ALL_BYTES, INDEX_BYTES, indexed
from pipeline.query.reading import opened
from pipeline.query.scan import START, Scan
from pipeline.query.sources import sources
from pipeline.query.spans import days_of, may_hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.query.blocks import Block
    from pipeline.query.index import Index
    from pipeline.query.passage import Range
    from pipeline.query.plan import Plan
    from pipeline.query.question import Question
    from pipeline.query.report import Report
    from pipeline.query.sources import Source


def counted(plan: Plan, report: Report) -> int | None:
    """Return how many records a plan asks for; None where the records themselves have to be asked."""
    if plan.question.conditions or plan.include_fallback or plan.include_queue:
        return None
    look = waiting.look(plan.log_dir, report, fallback=False, queue=False)
    try:
        files = sources(plan.log_dir, *days_of(plan.question), look.cuts)
    finally:
        look.close()
    report.bytes_total = sum(source.size for source in files)
    counts = _Counts(plan, report)
    total = sum(counts.of(source) for source in files)
    report.advance(report.bytes_total)
    return min(total, *(bound for bound in (plan.limit, plan.tail, total) if bound is not None))


class _Counts:
    def __init__(self, plan: Plan, report: Report) -> None:
        self._plan = plan
        self._report = report
        self._scan = Scan(plan.question, report)
        self._done = 0

    def of(self, source: Source) -> int:
        """Return how many records of a file are asked for; what is wrong with it goes to the report."""
        try:
            return self._of(source) if may_hold(source, self._plan.question) else 0
        except FileNotFoundError:
            return 0  # retention has removed it since the directory was listed
        except OSError as error:
            self._report.unreadable.append((source.name, error.strerror or str(error)))
            return 0
        finally:
            self._done += source.size

    def _of(self, source: Source) -> int:
        self._report.files += 1
        index, blocks = indexed(
            self._plan.log_dir, source, INDEX_BYTES if self._plan.question.has_span else 0
        )
        end = _end_of(source)
        whole = [block for block in blocks if block.end <= end]
        lines, partly, ranges = _told(whole, index, self._plan.question)
        start = whole[-1].end if whole else 0
        lines += self._stamped(source, partly) if partly else 0
        return lines + self._read(source, [*ranges, (start, ALL_BYTES)] if whole else None)

    def _stamped(self, source: Source, ranges: Sequence[Range]) -> int:
        """Count by their timestamps alone lines of which each is known to be a record."""
        low, high, found = self._scan.low, self._scan.high, 0
        for chunk in forwards(source, ranges=ranges):
            with memoryview(chunk.data) as view:
                lines = bytes(view[: chunk.end - 1]).split(b"\n")
            # by nothing that is written in Python
            found += sum(map(low.__le__, lines)) - sum(map(high.__le__, lines))
        return found

    def _read(self, source: Source, ranges: Sequence[Range] | None) -> int:
        is_ours, before = head(source).startswith(START), self._done
        chunks = forwards(source, ranges=ranges, progress=lambda done: self._report.advance(before + done))
        return sum(1 for chunk in chunks for _ in self._scan.records(chunk, source.name, is_ours=is_ours))


def _told(blocks: Sequence[Block], index: Index, question: Question) -> tuple[int, list[Range], list[Range]]:
    """Return how many records are asked for, as far as that is known; what has records only; the rest."""
    lines, partly, ranges = 0, [], []
    for block in blocks:
        summary = index.of(block) if question.has_span else None
        if summary and (summary.last < question.first or (question.last and question.last < summary.first)):
            continue
        is_within = (
            summary is not None
            and question.first <= summary.first
            and (not question.last or summary.last <= question.last)
        )
        if block.is_proven and (is_within or not question.has_span):
            lines += block.lines
        elif block.is_proven:
            partly.append((block.offset, block.end))
        else:
            ranges.append((block.offset, block.end))
    return lines, partly, ranges


def _end_of(source: Source) -> int:
    """Return how long a file is unpacked; 0 where only reading all of it says so."""
    if not source.packing:
        return source.size
    with opened(source) as (file, raw):
        frames = frames_of(raw) if file.packing == "zst" else None
    return frames[-1].end if frames else 0
