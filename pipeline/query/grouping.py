"""Counting by the values of fields, with the durations of each group."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import QueryError
from pipeline.query import moments
from pipeline.query.facts import status_of, values_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.query.facts import Record

_EVERY: Final = re.compile(r"time/(\d{1,6})([smhd])", re.ASCII)
_UNIT_SEC: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MINUTE_CHARS: Final = len("2025-11-21T14:32")
_SECOND_CHARS: Final = len("2025-11-21T14:32:15")


class Durations:
    """
    How long things took, in a bounded space: values are rounded to three digits.

    So whole milliseconds below 1,000 are exact, and any other quantile is off by at most 0.5 %.
    """

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: dict[float, int] = {}
        self.count = 0

    def add(self, value: float) -> None:
        """Take one in, in any unit."""
        rounded = float(f"{value:.3g}")
        self._counts[rounded] = self._counts.get(rounded, 0) + 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """Return the smallest value that this share of all is not above; None of nothing."""
        rank = max(1, -int(-share * self.count // 1))
        for value in sorted(self._counts):
            rank -= self._counts[value]
            if rank <= 0:
                return value
        return None


class Group(int):
    """How many records there are of a kind; it also knows how long they took, by their `duration_ms`."""

    durations: Durations

    @property
    def p50(self) -> float | None:
        """The median duration in ms, None when no record of the group has one."""
        return self.durations.quantile(0.50)

    @property
    def p95(self) -> float | None:
        """What 95 % of the durations are not above, in ms."""
        return self.durations.quantile(0.95)

    @property
    def p99(self) -> float | None:
        """What 99 % of the durations are not above, in ms."""
        return self.durations.quantile(0.99)


def grouped(records: Iterable[Record], fields: Sequence[str]) -> dict[Any, Group]:
    """Return the groups by the values of the fields, the most frequent first, then in the order they came."""
    if not fields:
        raise QueryError("no field to group by", where="group_by")
    look = _reader(fields[0]) if len(fields) == 1 else _readers(fields)
    counts: dict[Any, int] = {}
    durations: defaultdict[Any, Durations] = defaultdict(Durations)
    for record in records:
        key = look(record)
        counts[key] = counts.get(key, 0) + 1
        duration = record.get("duration_ms")
        if type(duration) is float or type(duration) is int:
            durations[key].add(duration)
    return {
        key: _group(count, durations[key]) for key, count in sorted(counts.items(), key=lambda item: -item[1])
    }


def _group(count: int, durations: Durations) -> Group:
    group = Group(count)
    group.durations = durations
    return group


def _reader(field: str) -> Callable[[Record], Any]:
    if field == "status":
        return lambda record: _hashable(status_of(record))
    every = _EVERY.fullmatch(field)
    if every:
        return _by_time(int(every[1]) * _UNIT_SEC[every[2]])
    path = tuple(field.split("."))
    if len(path) > 1:
        return lambda record: _first_at(record, path)

    def read(record: Record) -> Any:
        value = record.get(field)
        return value if value is None or type(value) is str else _first_at(record, path)

    return read


def _readers(fields: Sequence[str]) -> Callable[[Record], Any]:
    look = [_reader(field) for field in fields]
    return lambda record: tuple([read(record) for read in look])


def _first_at(record: Record, path: tuple[str, ...]) -> Any:
    return _hashable(next(values_at(record, path), None))


def _by_time(seconds: int) -> Callable[[Record], str]:
    if not seconds:
        raise QueryError("no length of time", where="group_by", cause="0")

    @lru_cache(maxsize=1024)  # records of the same second or minute follow each other
    def begin(timestamp: str) -> str:
        at = int(moments.moment(timestamp, "timestamp").timestamp())
        return datetime.fromtimestamp(at - at % seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def read(record: Record) -> str:
        timestamp: str = record["timestamp"]
        at = moments.canonical(timestamp)
        return begin(timestamp if at is None else at[:kept] + "Z")

    kept = _SECOND_CHARS if seconds % 60 else _MINUTE_CHARS
    return read


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else str(value)
