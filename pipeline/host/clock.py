"""
The clocks. Wall time dates records.

Monotonic time measures intervals and is what heartbeats are stamped with.
"""

from __future__ import annotations

import time
from typing import Final

NANO: Final = 1_000_000_000

wall_ns = time.time_ns
monotonic_ns = time.monotonic_ns
monotonic = time.monotonic
sleep = time.sleep
thread_cpu = time.thread_time


def uptime() -> float:
    """Return the seconds since the machine was started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def second_text(second: int) -> bytes:
    """Return an epoch second as UTC, `2025-11-21T14:32:15`. Imports nothing: emit() works to the very end."""
    return b"%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(second)[:6]


def wall_text() -> str:
    """Return now as RFC 3339 UTC with microseconds and `Z`, as records carry it."""
    second, nanos = divmod(wall_ns(), NANO)
    return f"{second_text(second).decode()}.{nanos // 1000:06d}Z"


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
