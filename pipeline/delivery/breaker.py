"""
The circuit breaker in front of the day files: pure logic, the clock is passed in.

Closed, every batch goes to its file. After `failures_max` failed attempts in a row it opens, and batches go
to the fallback without a try. An open breaker is probed at intervals that double from `probe_sec` to
`probe_max_sec`; a probe that works makes it half-open, which is one real batch on trial: it closes the
breaker, or opens it again. The state names are those of Nygard, "Release It!".
"""

from __future__ import annotations

from typing import Final

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"

PROBE_MAX_SEC: Final = 60.0
"""Recovery is seen within a minute."""


class Breaker:
    """`state` is "closed", "open" or "half_open". Times are seconds of one monotonic clock."""

    def __init__(self, failures_max: int, probe_sec: float, probe_max_sec: float = PROBE_MAX_SEC) -> None:
        self.state = CLOSED
        self.since = 0.0
        """When it came to its state; 0.0 while it never changed."""
        self.failures = 0
        """Failed attempts in a row."""
        self.probe_at = 0.0
        """When an open breaker is probed next."""
        self._failures_max = failures_max
        self._probe_first_sec = probe_sec
        self._probe_max_sec = max(probe_max_sec, probe_sec)
        self._probe_sec = probe_sec

    def failed(self, now: float) -> None:
        """Note a failed attempt; on trial, or as the last of too many, it opens the breaker."""
        self.failures += 1
        if self.state == HALF_OPEN or (self.state == CLOSED and self.failures >= self._failures_max):
            self.open(now)

    def open(self, now: float) -> None:
        """Open it, or open it again after a trial that failed: the next probe is then later."""
        if self.state == CLOSED:
            self._probe_sec = self._probe_first_sec
        self._become(OPEN, now)
        self.probe_at = now + self._probe_sec
        self._probe_sec = min(self._probe_sec * 2, self._probe_max_sec)

    def worked(self, now: float) -> None:
        """Note an attempt that worked: the next failure is the first."""
        self._become(CLOSED, now)
        self.failures = 0

    def is_probe_due(self, now: float) -> bool:
        """Whether an open breaker should be probed."""
        return self.state == OPEN and now >= self.probe_at

    def hurry(self) -> None:
        """Have an open breaker probed at once."""
        self.probe_at = 0.0

    def probed(self, now: float, *, works: bool) -> None:
        """Note how a probe of an open breaker ended."""
        if works:
            self._become(HALF_OPEN, now)
        else:
            self.open(now)

    def _become(self, state: str, now: float) -> None:
        if state != self.state:
            self.state, self.since = state, now
