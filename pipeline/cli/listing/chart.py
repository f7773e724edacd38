"""
Charts in a terminal: how many records when, by status; how long things take, by type.

One pass over the records in bounded memory: intervals are counted finely at first, and become wider as the
records turn out to span more time.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.listing.columns import in_zone, moment_of, status_text
from pipeline.host.terminal import visible
from pipeline.query.grouping import Durations

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTHS_SEC: Final = (
    1,
    5,
    10,
    30,
    60,
    300,
    600,
    1800,
    3600,
    10_800,
    21_600,
    43_200,
    86_400,
    604_800,
    2_419_200,
)
"""Each divides the next, so that narrow intervals become wide ones by adding."""
_KEPT_MAX: Final = 2000
_ROWS_MAX: Final = 24
_TYPES_MAX: Final = 20
_DAY_SEC: Final = 86_400
_CALENDAR_SEC: Final = -62_135_424_000, 253_402_128_000
"""What datetime can say in every zone: from the second day of the year 1 to the last but one of 9999."""
_STAMP_CHARS: Final = len("2025-11-21T14:32:15.123456Z")
_SECOND_CHARS: Final = len("2025-11-21T14:32:15")
_COUNT_CHARS: Final = 10
_MARKS: Final = {"success": ("█", "green"), "warning": ("▓", "yellow"), "error": ("░", "red")}
_OTHER: Final = ("▒", "cyan")
_KINDS: Final = (*_MARKS, "other")


class Chart:
    """What is counted for the charts."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._offset_sec: int | None = None
        self._level = 0
        self._counts: Counter[tuple[int, str]] = Counter()
        self._types: dict[str, Durations] = defaultdict(Durations)
        self._known: dict[str, int] = {}
        """Where the intervals of seconds begin: to parse each timestamp takes as long as all the rest."""
        self.total = 0

    def add(self, record: dict[str, Any]) -> None:
        """Count one record."""
        self.total += 1
        duration = record.get("duration_ms")
        if isinstance(duration, int | float) and not isinstance(duration, bool):
            self._types[str(record.get("action_type", ""))].add(duration)
        start = self._interval(record)
        if start is None:
            return
        status = status_text(record)
        self._counts[start, status if status in _MARKS else "other"] += 1
        while len(self._counts) > _KEPT_MAX and self._level + 1 < len(_WIDTHS_SEC):
            self._widen()

    def _interval(self, record: dict[str, Any]) -> int | None:
        """Return the second in which a record's interval begins, None when it has no time."""
        stamp = record.get("timestamp")
        if not isinstance(stamp, str):
            return None
        second = stamp[:_SECOND_CHARS] if len(stamp) == _STAMP_CHARS and stamp[-1] == "Z" else stamp
        if second not in self._known:
            moment = moment_of(record)
            if moment is None:
                return None
            if self._offset_sec is None:
                self._offset_sec = _offset(moment, self._zone)
            if len(self._known) >= _KEPT_MAX:
                self._known.clear()
            self._known[second] = self._start_of(math.floor(moment.timestamp()), self._level)
        return self._known[second]

    def _start_of(self, second: int, level: int) -> int:
        """Return where the interval of a second begins; days begin at midnight of the zone."""
        local = second + (self._offset_sec or 0)
        return local - local % _WIDTHS_SEC[level] - (self._offset_sec or 0)

    def _widen(self) -> None:
        self._level += 1
        self._known.clear()
        wider: Counter[tuple[int, str]] = Counter()
        for (start, status), count in self._counts.items():
            wider[self._start_of(start, self._level), status] += count
        self._counts = wider

    def lines(self, title: str, width: int, *, color: bool) -> Iterator[str]:
        """Yield both charts, `width` cells wide."""
        yield f"=== {title}: {self.total:,} records ==="
        if self._counts:
            yield ""
            yield from self._over_time(width, color=color)
        if self._types:
            yield ""
            yield from _of_durations(self._types, width)

    def _over_time(self, width: int, *, color: bool) -> Iterator[str]:
        """Yield a bar for each interval, empty ones between them too."""
        while self._rows() > _ROWS_MAX and self._level + 1 < len(_WIDTHS_SEC):
            self._widen()
        starts = {start for start, _ in self._counts}
        step = _WIDTHS_SEC[self._level]
        sums = {start: [self._counts[start, kind] for kind in _KINDS] for start in starts}
        most = max(map(sum, sums.values()))
        yield self._legend(step, color=color)
        span = range(min(starts), max(starts) + 1, step)
        for start in span if len(span) <= _KEPT_MAX else sorted(starts):
            counts = sums.get(start, [0] * len(_KINDS))
            label = self._label(start, with_date=len(span) * step > _DAY_SEC)
            room = max(10, width - len(label) - _COUNT_CHARS - 4)
            yield f"{label}  {_bar(counts, most, room, color=color)}  {sum(counts):,}"

    def _rows(self) -> int:
        starts = [start for start, _ in self._counts]
        return (max(starts) - min(starts)) // _WIDTHS_SEC[self._level] + 1

    def _legend(self, step: int, *, color: bool) -> str:
        kinds = {kind for _, kind in self._counts}
        marks = (f"{_mark(kind, 1, color=color)} {kind}" for kind in _KINDS if kind in kinds)
        return f"Records by status, each line {_interval(step)}:  " + "  ".join(marks)

    def _label(self, start: int, *, with_date: bool) -> str:
        known = min(max(start, _CALENDAR_SEC[0]), _CALENDAR_SEC[1])
        moment = datetime.fromtimestamp(known, UTC).astimezone(self._zone)
        step = _WIDTHS_SEC[self._level]
        if step >= _DAY_SEC:
            return moment.strftime("%Y-%m-%d")
        return moment.strftime(("%m-%d " if with_date else "") + ("%H:%M" if step >= 60 else "%H:%M:%S"))  # noqa: PLR2004 - seconds in a minute


def _offset(moment: datetime, zone: tzinfo) -> int:
    offset = in_zone(moment, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _bar(counts: list[int], most: int, room: int, *, color: bool) -> str:
    """Return a bar in parts; what is there is always at least one mark, so that no error is rounded away."""
    parts = []
    for kind, count in zip(_KINDS, counts, strict=True):
        length = max(1, round(count * room / most)) if count else 0
        parts.append(_mark(kind, length, color=color))
    return "".join(parts)


def _mark(kind: str, length: int, *, color: bool) -> str:
    mark, name = _MARKS.get(kind, _OTHER)
    if not color or not length:
        return mark * length
    import click

    return click.style(mark * length, fg=name)


def _interval(step: int) -> str:
    for seconds, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if step >= seconds:
            return f"{step // seconds} {word}"
    return f"{step} s"


def _of_durations(types: dict[str, Durations], width: int) -> Iterator[str]:
    """Yield a line for each type, the most frequent first, with a bar of its p95."""
    chosen = sorted(types, key=lambda name: -types[name].count)[:_TYPES_MAX]
    names = {name: visible(name)[:32] or "(none)" for name in chosen}
    longest = max(*map(len, names.values()), len("Duration by type"))
    slowest = max(types[name].quantile(0.95) or 0.0 for name in chosen) or 1.0
    room = max(0, min(30, width - longest - 48))
    yield f"{'Duration by type':<{longest}} {'records':>9} {'p50':>11} {'p95':>11} {'p99':>11}"
    for name in chosen:
        durations = types[name]
        p50, p95, p99 = (durations.quantile(share) or 0.0 for share in (0.5, 0.95, 0.99))
        bar = "█" * max(1, round(p95 * room / slowest)) if room else ""
        yield (
            f"{names[name]:<{longest}} {durations.count:>9,} {_time(p50):>11} {_time(p95):>11}"
            f" {_time(p99):>11}  {bar}"
        ).rstrip()


def _time(milliseconds: float) -> str:
    """Return a duration as a person reads it: 0.42 ms, 37 ms, 1.20 s, 3 min 20 s."""
    if milliseconds < 10:  # noqa: PLR2004 - below it two places say something
        return f"{milliseconds:.2f} ms"
    if milliseconds < 1000:  # noqa: PLR2004 - ms in a second
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 120:  # noqa: PLR2004 - as many seconds are still read at a glance
        return f"{seconds:.2f} s"
    return f"{seconds // 60:,.0f} min {seconds % 60:.0f} s"
