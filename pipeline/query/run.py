"""
A query from its files to its answer: in which order they are read, and where reading ends.

The order of an answer is that of the periods, and in a period, where it has several files, that of time, with
each file in its own order. So the answer is the same whether a day is plain or packed.
"""

from __future__ import annotations

from collections import deque
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.query.ordering import in_order, merged
from pipeline.query.reading import chunks, opened
from pipeline.query.scan import Scan
from pipeline.query.sources import DAY_CHARS, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.query.plan import Plan
    from pipeline.query.question import Question
    from pipeline.query.report import Report
    from pipeline.query.scan import Found
    from pipeline.query.sources import Source


def found(plan: Plan, report: Report) -> Iterator[Found]:
    """Yield what a plan asks for, in its order."""
    answer = _Run(plan, report).all()
    if plan.is_ordered:
        answer = in_order(answer, descending=plan.is_descending, limit=plan.limit, tail=plan.tail)
    elif plan.tail is not None:
        answer = iter(deque(answer, maxlen=plan.tail))
    return answer if plan.limit is None else islice(answer, plan.limit)


def days_of(question: Question) -> tuple[str, str]:
    """
    Return the first and the last day whose files can have what is asked for; empty: no bound.

    A file's day may be that of any time zone, so moments reach one day further on both sides.
    """
    first = max(question.first_day, _day(question.first, -1))
    lasts = [day for day in (question.last_day, _day(question.last, 1)) if day]
    return first, min(lasts, default="")


def _day(timestamp: str, days: int) -> str:
    if not timestamp:
        return ""
    try:
        return (date.fromisoformat(timestamp[:DAY_CHARS]) + timedelta(days=days)).isoformat()
    except OverflowError:
        return ""


class _Run:
    def __init__(self, plan: Plan, report: Report) -> None:
        self._plan = plan
        self._report = report
        self._scan = Scan(plan.question, report, completes=plan.completes)
        self._done = 0

    def all(self) -> Iterator[Found]:
        """Yield everything that is asked for, period by period."""
        files = sources(self._plan.log_dir, *days_of(self._plan.question), {})
        self._report.bytes_total = sum(source.size for source in files)
        for period in _by_period(files):
            if len(period) == 1:
                yield from self._in(period[0])
            else:
                yield from merged([(source, self._in(source)) for source in period])
        self._report.advance(self._report.bytes_total)

    def _in(self, source: Source) -> Iterator[Found]:
        name = source.path.name
        before = self._done
        try:
            with opened(source) as raw:
                self._report.files += 1
                for chunk in chunks(raw):
                    self._report.advance(self._done + raw.tell())
                    yield from self._scan.records(chunk, name)
        except FileNotFoundError:
            pass  # retention has removed it since the directory was listed
        except OSError as error:
            self._report.unreadable.append((name, error.strerror or str(error)))
        self._done = before + source.size


def _by_period(files: list[Source]) -> Iterator[list[Source]]:
    period: list[Source] = []
    for source in files:
        if period and period[0].day.period != source.day.period:
            yield period
            period = []
        period.append(source)
    if period:
        yield period
