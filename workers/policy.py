"""
When a worker is started again.

A pure function of how it ended and how often, so that it can be tested without processes.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import Final

WRITER_SIGNALS: Final = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""What a supervisor tells its writer: stop, sync, make way for a successor, reopen the files."""

EXIT_DONE: Final = 0
EXIT_CRASH: Final = 1
EXIT_BOOT_FAILED: Final = 3
"""The worker could not start at all; trying at once would fail at once."""
EXIT_REPLACE: Final = 4
"""The worker asks for a successor (memory, new settings); nothing is wrong."""

CALM_SEC: Final = 30.0
"""A worker that ran this long has started well, and its next end counts as the first."""
BRIEF_SEC: Final = 5.0
"""A worker that is done sooner than this, with work left, did not see the work: no reason to hurry back."""
BACKOFF_FIRST_SEC: Final = 0.5
BACKOFF_MAX_SEC: Final = 30.0
BOOT_FAILURES_MAX: Final = 20
"""
After that many failed starts in a row, at ever longer intervals, only a person helps.

Stop trying, say so.
"""


@dataclass(frozen=True)
class History:
    """How a role's workers have ended. `failures` in a row; the first restart after a crash does not wait."""

    restarts: int = 0
    failures: int = 0
    boot_failures: int = 0
    hangs: int = 0
    """In a row, none of which came after a calm time."""

    def after(self, exit_code: int, ran_sec: float) -> History:
        """Return the history with one more end of a worker."""
        if exit_code == EXIT_REPLACE or (exit_code == EXIT_DONE and ran_sec > BRIEF_SEC):
            return replace(self, restarts=self.restarts + 1, failures=0, boot_failures=0)
        failures = 1 if ran_sec >= CALM_SEC else self.failures + 1
        boot_failures = self.boot_failures + 1 if exit_code == EXIT_BOOT_FAILED else 0
        return History(self.restarts + 1, failures, boot_failures, self.hangs)

    def after_hang(self, ran_sec: float) -> History:
        """Return the history with one more worker that worked for so long, then got stuck in the kernel."""
        hangs = 1 if ran_sec >= CALM_SEC else self.hangs + 1
        return replace(self, restarts=self.restarts + 1, failures=0, boot_failures=0, hangs=hangs)

    @property
    def delay_sec(self) -> float:
        """Seconds to wait before the next start."""
        if self.boot_failures == 0 and self.failures <= 1:
            return 0.0
        return float(
            min(BACKOFF_MAX_SEC, BACKOFF_FIRST_SEC * 2 ** (max(self.failures, self.boot_failures) - 2))
        )

    @property
    def has_given_up(self) -> bool:
        """Whether starting again is pointless."""
        return self.boot_failures >= BOOT_FAILURES_MAX


def cause_of(code: int) -> str:
    """Return what is said of a worker that ended with this exit code, negative for a signal."""
    if code >= 0:
        return {EXIT_DONE: "", EXIT_REPLACE: "replaced", EXIT_BOOT_FAILED: "could not start"}.get(
            code, f"exit code {code}"
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (out of memory, perhaps)" if name == "SIGKILL" else name
