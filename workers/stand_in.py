"""
The stand-in: a writer that comes while a killed one is still there, stuck in the kernel or frozen.

What that one is stuck in is the log directory's volume, as a rule, and who touches it gets stuck too. So a
stand-in works with places in which there is no log directory: it holds no append lock, and delivers to the
fallback store alone, like any writer without one. The stuck process itself is what tells that the volume
answers again. When it is gone the stand-in asks for a successor, and that one begins as after any kill.

Invariants                                                              integration/test_hanging_writers.py
    H1  A stand-in touches nothing of the log directory, nor of a state directory on the same volume. Lanes
        that have gone on there are delivered up to what it cannot see, and are not taken for ended.
    H2  What is not durable is taken back before anything is delivered: what the stuck one was about to append
        lies behind a cut mark, whenever it arrives.
    H3  Nobody else opens the files before the kernel has closed the stuck one's (pipeline/host/seats.py).
    H4  The control page is a copy from here on: the stuck one's last store into the old one reaches nobody.
        Its last store of a lane's position would: that is memory, and it was given half a second at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable

LINGER_SEC_MAX: Final = 60.0


class StandIn:
    """
    Tells when a stand-in's time is over.

    `are_gone` says whether no stuck writer is left. After several `hangs` in a row the volume is given time
    before it is touched again: 0, 5, 10, 20, 40 and at last 60 s.
    """

    def __init__(self, are_gone: Callable[[], bool], hangs: int = 1) -> None:
        self._are_gone = are_gone
        self._linger_sec = linger_sec(hangs)
        self._gone_at: float | None = None

    def is_over(self) -> bool:
        """Whether the files may be gone to again, by a successor."""
        if self._gone_at is None and self._are_gone():
            self._gone_at = clock.monotonic()
        return self._gone_at is not None and clock.monotonic() - self._gone_at >= self._linger_sec


def linger_sec(hangs: int) -> float:
    """Return how long a volume is left alone after writers hung on it so often in a row."""
    return 0.0 if hangs <= 1 else min(LINGER_SEC_MAX, 5.0 * 2.0 ** min(hangs - 2, 10))
