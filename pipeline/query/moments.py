"""Moments as queries name them, and as the text that records have: `2025-11-21T14:32:15.123456Z`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline.errors import QueryError

DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)", re.ASCII)
_UNIT_SEC: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
STAMP_CHARS: Final = len("2025-11-21T14:32:15.123456Z")
_TICK: Final = timedelta(microseconds=1)


def moment(value: object, where: str) -> datetime:
    """
    Return the moment that somebody means. QueryError when it is none.

    A `datetime` (without a zone: UTC), a `date`, RFC 3339 text, or how long ago: `15m`, `2h`, `1d`.
    """
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = value.strip() if isinstance(value, str) else ""
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(seconds=float(ago[1]) * _UNIT_SEC[ago[2]])
        return _in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise QueryError(
            "not a moment",
            where=where,
            cause=repr(value),
            remedy="Write 2025-11-21, 2025-11-21T14:30, or how long ago: 15m, 2h, 1d",
        ) from error


def day(value: object) -> str | None:
    """Return a whole day as `2025-11-21`, None when the value means something else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) and DAY.fullmatch(value) else None


def stamp(value: datetime) -> str:
    """Return a moment as the text that records have, which sorts as time does."""
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def before(value: datetime) -> datetime:
    """Return the last moment before another."""
    return value - _TICK


def canonical(timestamp: str) -> str | None:
    """Return a record's timestamp as `stamp` writes it, None when it is no time."""
    if len(timestamp) == STAMP_CHARS and timestamp[-1] == "Z" and timestamp[19] == ".":
        return timestamp
    try:
        return stamp(_in_utc(datetime.fromisoformat(timestamp)))
    except (ValueError, OverflowError):
        return None


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
