"""
A query from its files to its answer: in which order they are read, and where reading ends.

The order of an answer is that of the periods, and in a period, where it has several files, that of time, with
each file in its own order. So the answer is the same whether a day is plain or packed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING

from pipeline.query import waiting
from pipeline.query.ordering import Stream, in_order, merged, merged_backwards
from pipeline.query.passage import backwards, forwards, head
from pipeline.query.pruning import Pruner
from pipeline.query.scan import STAMP, START, Scan
from pipeline.query.sources import sources
from pipeline.query.spans import days_of, may_hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipeline.query.plan import Plan
    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report
    from pipeline.query.scan import Found
    from pipeline.query.sources import Source
    from pipeline.query.waiting import Look

    Piece = Iterator[Found]
    """The records in some MiB or less of a file. Passed on as such: each step costs every record."""


def found(plan: Plan, report: Report, ends: Mapping[str, int] | None = None) -> Iterator[Found]:
    """Return what a plan asks for, in its order; with `ends`, of plain files only what stands before them."""
    run = _Run(plan, report, ends)
    answer = chain(run.answer(), run.ending())  # no generator: each that passes it on costs every record
    return _closing(answer, run.look) if run.look.stores or run.look.unwritten else answer


def _closing(answer: Iterator[Found], look: Look) -> Iterator[Found]:
    try:
        yield from answer
    finally:
        look.close()


class _Run:
    def __init__(self, plan: Plan, report: Report, ends: Mapping[str, int] | None) -> None:
        self._plan = plan
        self._ends = ends
        self._report = report
        self._scan = Scan(plan.question, report, completes=plan.completes)
        self.look = waiting.look(
            plan.log_dir, report, fallback=plan.include_fallback, queue=plan.include_queue
        )
        self._once = waiting.Once(self.look.extents)
        self._pruner = Pruner(plan.log_dir, plan.question)
        self._done = 0

    def ending(self) -> Iterator[Found]:
        """Say that all is done; yields nothing."""
        self._report.advance(self._report.bytes_total)
        yield from ()

    def answer(self) -> Iterator[Found]:
        """Return everything that is asked for, in the order that is asked for."""
        plan = self._plan
        periods = self._periods()
        if plan.is_ordered:
            every = self._forwards(periods)
            return in_order(every, descending=plan.is_descending, limit=plan.limit, tail=plan.tail)
        if plan.tail is None:
            return islice(self._forwards(periods), plan.limit)
        if self._scan.looks_back:
            return iter(deque(self._forwards(periods), maxlen=plan.tail))
        last = list(islice(self._backwards(periods, plan.tail), plan.tail))
        return reversed(last)

    def _forwards(self, periods: list[list[Stream]]) -> Iterator[Found]:
        return chain.from_iterable(self._once(merged(streams)) for streams in periods)

    def _backwards(self, periods: list[list[Stream]], count: int) -> Iterator[Found]:
        return chain.from_iterable(
            self._once(merged_backwards(streams, count)) for streams in reversed(periods)
        )

    def _periods(self) -> list[list[Stream]]:
        """Return the streams of each period, period by period."""
        first_day, last_day = days_of(self._plan.question)
        files = sources(self._plan.log_dir, first_day, last_day, self.look.cuts)
        if self._ends is not None:
            ends = self._ends
            files = [one if one.packing else replace(one, size=ends.get(one.stem, 0)) for one in files]
        self._report.bytes_total = sum(source.size for source in files)
        streams = [self._stream(source) for source in files]
        streams += [
            stream
            for stream in _waiting_streams(self.look, self._scan, self._report)
            if first_day <= stream.period[:10] and (not last_day or stream.period[:10] <= last_day)
        ]
        streams.sort(key=lambda stream: stream.period)
        return [list(period) for _, period in groupby(streams, key=lambda stream: stream.period)]

    def _stream(self, source: Source) -> Stream:
        return Stream(
            source.day.period,
            partial(_first_stamp, source),
            lambda: chain.from_iterable(self._read(source, partial(self._records, source))),
            lambda count: chain.from_iterable(self._read(source, partial(self._last_records, source, count))),
        )

    def _read(self, source: Source, read: Callable[[], Iterator[Piece]]) -> Iterator[Piece]:
        """Read a file, piece by piece; what is wrong with it goes to the report."""
        before = self._done
        try:
            if may_hold(source, self._plan.question):
                self._report.files += 1
                yield from read()
        except FileNotFoundError:
            pass  # retention has removed it since the directory was listed
        except OSError as error:
            self._report.unreadable.append((source.name, error.strerror or str(error)))
        self._done = before + source.size

    def _records(self, source: Source) -> Iterator[Piece]:
        is_ours = head(source).startswith(START)
        before = self._done
        ranges = self._pruner.ranges(source) if is_ours and not self._scan.looks_back else None
        progress = lambda done: self._report.advance(before + done)  # noqa: E731 - it is one
        for chunk in forwards(source, ranges=ranges, progress=progress):
            yield self._scan.records(chunk, source.name, is_ours=is_ours)

    def _last_records(self, source: Source, count: int) -> Iterator[Piece]:
        is_ours = head(source).startswith(START)
        ranges = self._pruner.ranges(source, is_backwards=True) if is_ours else None
        pieces = backwards(source, ranges)
        if pieces is None:
            yield reversed(deque(chain.from_iterable(self._records(source)), maxlen=count))
            return
        for chunk in pieces:
            yield reversed(list(self._scan.records(chunk, source.name, is_ours=is_ours)))


def _waiting_streams(look: Look, scan: Scan, report: Report) -> Iterator[Stream]:
    """Yield what waits in stores and lanes: of each, and each period, one stream."""
    for period in sorted({period for period, *_ in look.extents}):
        for name, pieces in look.pieces(period, report):
            yield _piecewise(period, name, pieces, scan)


def _piecewise(period: str, name: str, chunks: Callable[[], Iterable[Chunk]], scan: Scan) -> Stream:
    def records() -> Iterator[Found]:
        return (one for chunk in chunks() for one in scan.records(chunk, name))

    return Stream(period, lambda: "", records, lambda count: reversed(deque(records(), maxlen=count)))


def _first_stamp(source: Source) -> str:
    try:
        line = head(source)
    except OSError:
        return ""  # whoever reads it says so
    return line[STAMP].decode("ascii", "replace") if line.startswith(START) else ""
