"""
The clocks. Wall time dates records.

Monotonic time measures intervals and is what heartbeats are stamped with.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

NANO: Final = 1_000_000_000

wall_ns = time.time_ns
monotonic_ns = time.monotonic_ns
monotonic = time.monotonic
sleep = time.sleep


def wall_text() -> str:
    """Return now as RFC 3339 UTC with microseconds and `Z`, as records carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Deadline:
    """A point in monotonic time to wait for. `left` is in seconds and never negative."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, 0.0 when it has passed."""
        return max(0.0, self._end - monotonic())

    @property
    def has_passed(self) -> bool:
        """Whether nothing is left."""
        return monotonic() >= self._end
