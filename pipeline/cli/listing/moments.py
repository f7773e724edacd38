"""
Points in time as people write them, in the time zone that the person means.

    15m, 2h30m, 1d, 1w                     that long ago
    now, today, yesterday
    14:30, 14:30:15                        today
    2025-11-21                             a day
    2025-11-21T14:30, 2025-11-21 14:30     in the zone asked for
    2025-11-21T14:30:15.5Z, …+02:00        wherever one is
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from pipeline.errors import SettingsError
from pipeline.host.terminal import visible

_AGO: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_UNIT_SEC: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?", re.ASCII)
_MOMENTS: Final = "15m (ago), 14:30, 2025-11-21 or 2025-11-21T14:30"
_LOCALTIME: Final = "/etc/localtime"


class TimeRange(NamedTuple):
    """From `start` on, and before `end`; None is open. Both know their zone."""

    start: datetime | None
    end: datetime | None
    days: tuple[date | None, date | None] | None = None
    """The first and the last day, where whole days were asked for."""

    def title(self, zone: tzinfo) -> str:
        """Return the range in words: a day, days, or moments."""
        if self.start is None and self.end is None:
            return "all days"
        first, last = _bound(self.start, zone), _bound(self.end, zone)
        if first is None or last is None:
            return f"since {_text(first)}" if first else f"before {_text(last)}"
        if _is_midnight(first) and _is_midnight(last):
            days = first.date(), (last - timedelta(microseconds=1)).date()
            return str(days[0]) if days[0] == days[1] else f"{days[0]} to {days[1]}"
        return f"{_text(first)} to {_text(last)}"

    def is_one_day(self, zone: tzinfo, now: datetime) -> bool:
        """Whether all of it lies on one day of the zone, so that a time of day says which moment it is."""
        if self.start is None:
            return False
        last = (self.end or now) - timedelta(microseconds=1)
        return self.start.astimezone(zone).date() == last.astimezone(zone).date()


def zone_of(name: str) -> tzinfo:
    """Return a time zone: `UTC`, `local`, or a name as Europe/Berlin. SettingsError when there is none."""
    if name.upper() in ("UTC", "Z", ""):
        return UTC
    import zoneinfo

    try:
        return _local() if name == "local" else zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise SettingsError(
            f"there is no time zone '{visible(name)}'",
            remedy="Write one like Europe/Berlin, or local, or UTC",
        ) from error


def _local() -> tzinfo:
    import os
    import zoneinfo

    name = os.environ.get("TZ", "").lstrip(":")
    if name:
        return zoneinfo.ZoneInfo(name)
    with open(_LOCALTIME, "rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key="local")


def day_of(text: str, zone: tzinfo, now: datetime) -> date:
    """Return a day: as 2025-11-21, today, or yesterday. SettingsError for anything else."""
    today = now.astimezone(zone).date()
    words = {"today": today, "yesterday": today - timedelta(days=1)}
    if text in words:
        return words[text]
    try:
        return date.fromisoformat(text) if len(text) == len("2025-11-21") else _no_day(text)
    except ValueError as error:
        raise _not_understood(text, "a day like 2025-11-21, today or yesterday") from error


def _no_day(text: str) -> date:
    raise ValueError(text)


def days(first: date | None, last: date | None, zone: tzinfo) -> TimeRange:
    """Return the range of whole days, both included; None is open."""
    start = None if first is None else _midnight(first, zone)
    end = None if last is None else _midnight(last + timedelta(days=1), zone)
    return TimeRange(start, end, (first, last))


def day_range(text: str, zone: tzinfo, now: datetime) -> TimeRange:
    """Return the range that FIRST:LAST names, both days included; either may be missing."""
    first, colon, last = text.partition(":")
    if not colon:
        raise _not_understood(text, "two days, FIRST:LAST, as 2025-11-15:2025-11-21")
    found = [day_of(day, zone, now) if day else None for day in (first, last)]
    if found[0] and found[1] and found[0] > found[1]:
        raise SettingsError(f"'{visible(text)}' ends before it begins", remedy="Write the earlier day first")
    return days(found[0], found[1], zone)


def moment(text: str, zone: tzinfo, now: datetime, *, is_end: bool = False) -> datetime:
    """
    Return a point in time. A day is its first moment, or, as the end of a range, the first of the next day.

    SettingsError when the text cannot be understood.
    """
    text = text.strip()
    if text == "now":
        return now
    if _AGO.fullmatch(text):
        return _ago(text, now)
    if _CLOCK.fullmatch(text):
        text = f"{now.astimezone(zone).date()}T{text.zfill(len('00:00')) if text[1] == ':' else text}"
    if len(text) > len("2025-11-21"):
        return _stamp(text, zone)
    try:
        day = day_of(text, zone, now)
    except SettingsError as error:
        raise _not_understood(text, _MOMENTS) from error
    return _midnight(day + timedelta(days=1) if is_end else day, zone)


def _ago(text: str, now: datetime) -> datetime:
    seconds = sum(float(amount) * _UNIT_SEC[unit] for amount, unit in _AMOUNT.findall(text))
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError as error:
        raise _not_understood(text, "less than the age of the calendar") from error


def _stamp(text: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _not_understood(text, _MOMENTS) from error
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _is_midnight(moment: datetime) -> bool:
    return moment.timetz().replace(tzinfo=None) == time()


def _bound(moment: datetime | None, zone: tzinfo) -> datetime | None:
    return None if moment is None else moment.astimezone(zone)


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def _not_understood(text: str, wanted: str) -> SettingsError:
    return SettingsError(f"'{visible(text)}' is no time that is understood", remedy=f"Write {wanted}")
