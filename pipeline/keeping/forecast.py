"""
What is going to be cut for want of room within a day, if that is like the last one: announced, then done.

Files that leave by age or number do what they were meant to; nobody is told of these beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.keeping.plan import MIN_FREE, NEARLY, SIZE, Leave, foreseen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.keeping.inventory import Kept
    from pipeline.keeping.plan import Limits

DAY_SEC: Final = 86_400.0


class Outlook(NamedTuple):
    """What files take, what they may take, and what will leave for room by tomorrow."""

    bytes: int
    limit_bytes: int
    is_scarce: bool
    """Whether less is free on the volume than should be."""
    leaving: tuple[str, ...]
    leaving_bytes: int
    reason: str

    @property
    def is_pressed(self) -> bool:
        """Whether keeping the limits should not wait: from 90 % of the room on, or with too little free."""
        return self.is_scarce or 0 < self.limit_bytes * NEARLY < self.bytes

    def document(self) -> dict[str, Any]:
        """Return it for health; of many files that leave, the first and the last are named."""
        return {
            "bytes": self.bytes,
            "limit_bytes": self.limit_bytes,
            "is_scarce": self.is_scarce,
            "leaving": {
                "files": len(self.leaving),
                "bytes": self.leaving_bytes,
                "first": self.leaving[0] if self.leaving else "",
                "last": self.leaving[-1] if self.leaving else "",
                "reason": self.reason,
            },
        }


def outlook(files: Sequence[Kept], limits: Limits, *, now_sec: float, free_bytes: int | None) -> Outlook:
    """Return what is to be expected within a day."""
    growth = _bytes_of_a_day(files, now_sec)
    free = None if free_bytes is None else max(0, free_bytes - growth)
    # The day's growth is as good as bytes that we may use no more.
    limit = max(1, limits.max_total_bytes - growth) if limits.max_total_bytes else 0
    steps = foreseen(
        files, replace(limits, max_total_bytes=limit), now_sec=now_sec + DAY_SEC, free_bytes=free
    )
    pressed = [step for step in steps if isinstance(step, Leave) and step.reason in (SIZE, MIN_FREE)]
    return Outlook(
        sum(kept.size for kept in files),
        limits.max_total_bytes,
        free_bytes is not None and free_bytes < limits.min_free_bytes,
        tuple(step.file.name for step in pressed),
        sum(step.file.size for step in pressed),
        pressed[0].reason if pressed else "",
    )


def _bytes_of_a_day(files: Sequence[Kept], now_sec: float) -> int:
    """Return what was written in the last full day, or so far today if that is more."""
    last = [kept for kept in files if now_sec - DAY_SEC < kept.end_sec <= now_sec]
    today = [kept for kept in files if kept.end_sec > now_sec]
    return max(sum(kept.size for kept in some) for some in (last, today))
