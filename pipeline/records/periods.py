"""
Which day a moment belongs to.

A period is named as its file is: `2025-11-21`. Timestamps are UTC always; `timezone` only moves the midnight.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

DAY_SEC: Final = 86_400


class Period(NamedTuple):
    """A name and the half-open range of epoch seconds that it covers."""

    name: str
    start_sec: int
    end_sec: int


def period_of(second: int, timezone: str = "UTC") -> Period:
    """Return the period of an epoch second. The clock may say anything, 1970 included."""
    if timezone == "UTC":
        start = second - second % DAY_SEC
        return Period(_day_name(datetime.fromtimestamp(start, UTC)), start, start + DAY_SEC)
    return _local_day(second, timezone)


def _local_day(second: int, timezone: str) -> Period:
    import zoneinfo

    zone = zoneinfo.ZoneInfo(timezone)
    moment = datetime.fromtimestamp(second, zone)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    try:
        next_midnight = int((midnight.replace(hour=12) + timedelta(days=1)).replace(hour=0).timestamp())
    except OverflowError:  # the last day that datetime knows
        next_midnight = second + DAY_SEC
    # A zone may set its clock back over midnight; the second asked for is in its period all the same.
    start = min(int(midnight.timestamp()), second)
    return Period(_day_name(midnight), start, max(next_midnight, second + 1))


def _day_name(day: datetime) -> str:
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
