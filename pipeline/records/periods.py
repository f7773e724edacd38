"""
Which period a moment belongs to: a day, or an hour, a minute, a second of it, as `rotate_every` says.

A period is named as its file is: `2025-11-21`, `2025-11-21T14`, `2025-11-21T14-05`, `2025-11-21T14-05-09`.
Timestamps are UTC always; `timezone` only moves the midnight, and names hours as its clocks do: an hour that
they go through twice is one period.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

DAY_SEC: Final = 86_400
DAY: Final = "day"
LENGTHS_SEC: Final = {DAY: DAY_SEC, "hour": 3600, "minute": 60, "second": 1}
"""What `rotate_every` may be, and how long each is."""
_FORMS: Final = {10: DAY, 13: "hour", 16: "minute", 19: "second"}
"""Which it is, by the length of the name."""


class Period(NamedTuple):
    """A name and the half-open range of epoch seconds that it covers."""

    name: str
    start_sec: int
    end_sec: int


def period_of(second: int, timezone: str = "UTC", every: str = DAY) -> Period:
    """Return the period of an epoch second. The clock may say anything, 1970 included."""
    if timezone == "UTC":
        length = LENGTHS_SEC[every]
        start = second - second % length
        return Period(_name(datetime.fromtimestamp(start, UTC), every), start, start + length)
    return _local_day(second, timezone) if every == DAY else _local(second, timezone, every)


def end_of(name: str, timezone: str = "UTC") -> int | None:
    """
    Return the epoch second at which the period of this name is over, None when it is no name of one.

    Of an hour that clocks go through twice it is the second time.
    """
    every = _FORMS.get(len(name))
    try:
        begin = datetime.strptime(name, _format_of(every)) if every else None  # noqa: DTZ007 - local time
    except ValueError:
        return None
    if begin is None or every is None:
        return None
    try:
        end = begin + timedelta(seconds=LENGTHS_SEC[every])
    except OverflowError:  # the last day that datetime knows
        end = begin
    return int(end.replace(tzinfo=_zone(timezone), fold=1).timestamp())


def _local(second: int, timezone: str, every: str) -> Period:
    zone, length = _zone(timezone), LENGTHS_SEC[every]
    moment = datetime.fromtimestamp(second, zone)
    offset = _offset_sec(moment)
    start = second - (second + offset) % length
    edges = (start, start + length)
    if any(_offset_sec(datetime.fromtimestamp(edge, zone)) != offset for edge in edges):
        start, length = second, 1  # the clock is set in this hour: each second has its own local hour
    return Period(_name(moment, every), start, start + length)


def _local_day(second: int, timezone: str) -> Period:
    zone = _zone(timezone)
    moment = datetime.fromtimestamp(second, zone)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    try:
        next_midnight = int((midnight.replace(hour=12) + timedelta(days=1)).replace(hour=0).timestamp())
    except OverflowError:  # the last day that datetime knows
        next_midnight = second + DAY_SEC
    # A zone may set its clock back over midnight; the second asked for is in its period all the same.
    start = min(int(midnight.timestamp()), second)
    return Period(_name(midnight, DAY), start, max(next_midnight, second + 1))


def _offset_sec(moment: datetime) -> int:
    return int((moment.utcoffset() or timedelta()).total_seconds())


def _zone(timezone: str) -> tzinfo:
    if timezone == "UTC":
        return UTC
    import zoneinfo

    return zoneinfo.ZoneInfo(timezone)


def _format_of(every: str) -> str:
    return "%Y-%m-%d" + {DAY: "", "hour": "T%H", "minute": "T%H-%M", "second": "T%H-%M-%S"}[every]


def _name(moment: datetime, every: str) -> str:
    day = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"  # strftime writes the year 5 as "5"
    return day + moment.strftime(_format_of(every)[len("%Y-%m-%d") :]) if every != DAY else day
