"""
Which files can have records of a span of time.

A file's day is that of its writer's time zone, which nobody notes. But all its timestamps lie in that day, so
its first and its last line leave few zones: a file from midnight to midnight leaves one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.query.passage import backwards, head
from pipeline.query.scan import STAMP, START
from pipeline.query.sources import DAY_CHARS

if TYPE_CHECKING:
    from pipeline.query.question import Question
    from pipeline.query.sources import Source

SMALL_BYTES: Final = 1 << 20
"""A file that is not longer is read without asking what it can have."""
_DAY: Final = timedelta(days=1)
_ZONES: Final = timedelta(hours=14)
"""No zone is further from UTC."""
_CLOCK_CHANGE: Final = timedelta(hours=1)
"""A day on which the clocks are changed is so much longer or shorter."""


def days_of(question: Question) -> tuple[str, str]:
    """
    Return the first and the last day whose files can have what is asked for; empty: no bound.

    Moments reach one day further on both sides, for the zones.
    """
    first = max(question.first_day, _day(question.first, -1))
    lasts = [day for day in (question.last_day, _day(question.last, 1)) if day]
    return first, min(lasts, default="")


def may_hold(source: Source, question: Question) -> bool:
    """Tell whether a file can have records of the span asked for. OSError when it cannot be read."""
    if not question.has_span or source.size <= SMALL_BYTES:
        return True
    begin, end = (_moment(text) for text in (question.first, question.last))
    start = _midnight(source.day.period)
    if start is None:
        return True
    if _overlaps(start, start + _DAY, begin, end):
        return True
    low, high = _zones(source, start)
    return _overlaps(start - high - _CLOCK_CHANGE, start + _DAY - low + _CLOCK_CHANGE, begin, end)


def _zones(source: Source, start: datetime) -> tuple[timedelta, timedelta]:
    """Return between which offsets from UTC the writer's zone is."""
    low, high = -_ZONES, _ZONES
    for at in _stamps(source):
        low, high = max(low, start - at), min(high, start + _DAY - at)
    return (low, high) if low <= high else (-_ZONES, _ZONES)


def _stamps(source: Source) -> list[datetime]:
    """Return the timestamps of the first and of the last line, as far as they can be had cheaply."""
    lines = [head(source)]
    pieces = backwards(source)
    chunk = next(pieces, None) if pieces is not None else None
    if chunk is not None:
        last = chunk.data.rfind(b"\n", 0, chunk.end - 1) + 1
        lines.append(bytes(chunk.data[last : chunk.end]))
    stamps = [line[STAMP].decode("ascii", "replace") for line in lines if line.startswith(START)]
    return [at for at in map(_moment, stamps) if at is not None]


def _overlaps(start: datetime, stop: datetime, begin: datetime | None, end: datetime | None) -> bool:
    return (end is None or start <= end) and (begin is None or begin <= stop)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _midnight(period: str) -> datetime | None:
    try:
        day = date.fromisoformat(period[:DAY_CHARS])
    except ValueError:
        return None
    # Periods that are shorter than a day are taken for all of it.
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(timestamp: str, days: int) -> str:
    if not timestamp:
        return ""
    try:
        return (date.fromisoformat(timestamp[:DAY_CHARS]) + timedelta(days=days)).isoformat()
    except OverflowError:
        return ""
