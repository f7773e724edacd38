"""A clock that goes on only when a test says so, for everything of the pipeline in this process."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_OURS: Final = ("pipeline", "workers")
_FIRST: Final = datetime(2025, 11, 21, 14, 32, 15, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FakeClock:
    """
    A context manager: inside, timestamps, days, durations, limits and timeouts go by this clock.

    `at` is the time of day to begin with, with a zone. It stands still but for `advance`, for what is waited
    (a wait for another process really waits, and lets as much time pass), and for `tick_sec` with every look.
    `on_sleep` is called in place of a real wait. Other processes, such as those that write the files, are on
    their own clocks.
    """

    def __init__(
        self,
        at: datetime = _FIRST,
        *,
        tick_sec: float = 0.0,
        on_sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.wall_ns = 0
        """The time of day, in ns since 1970. It may be set, forwards and back, as an administrator does."""
        self.monotonic = 1000.0
        """What intervals are measured by, in seconds."""
        self._tick_sec = tick_sec
        self._on_sleep = on_sleep
        self._readers: dict[str, Callable[..., Any]] = {
            "wall_ns": self._wall_ns,
            "monotonic": self._monotonic,
            "monotonic_ns": self._monotonic_ns,
            "sleep": self._sleep,
            "uptime": lambda: self.monotonic,
        }
        self._before: dict[str, Callable[..., Any]] = {}
        self.set(at)

    def set(self, at: datetime) -> None:
        """Set the time of day; intervals do not notice. ValueError without a zone."""
        if at.tzinfo is None:
            raise ValueError("a time of day needs a zone: datetime(2025, 11, 21, tzinfo=UTC)")
        self.wall_ns = (at - _EPOCH) // timedelta(microseconds=1) * 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += seconds
        self.wall_ns += round(seconds * clock.NANO)

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return _EPOCH + timedelta(microseconds=self.wall_ns // 1000)

    def __enter__(self) -> Self:
        for name, ours in self._readers.items():
            self._before[name] = getattr(clock, name)
            _replace(self._before[name], ours)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, ours in self._readers.items():
            _replace(ours, self._before[name])

    def _wall_ns(self) -> int:
        self.wall_ns += round(self._tick_sec * clock.NANO)
        return self.wall_ns

    def _monotonic(self) -> float:
        self.monotonic += self._tick_sec
        return self.monotonic

    def _monotonic_ns(self) -> int:
        return int(self._monotonic() * clock.NANO)

    def _sleep(self, seconds: float) -> None:
        self.advance(seconds)
        self._on_sleep(seconds)


def _replace(old: object, new: object) -> None:
    """Put something in the place of a function in all modules of ours that know it."""
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in _OURS:
            for name, value in list(vars(module).items()):
                if value is old:
                    setattr(module, name, new)
