"""What producers have left out by sampling and limits, told in the stream once a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import clock
from pipeline.queue.lanes import LIVE
from pipeline.queue.layout import COUNTED, LEFT_OUT_REASONS

if TYPE_CHECKING:
    from pipeline.emitter import Emitter
    from pipeline.queue.lanes import WatchedLane

_INTERVAL_SEC: Final = 60.0


class LeftOut:
    """Tells it, for each producer once a minute and at its end."""

    def __init__(self, own: Emitter) -> None:
        self._own = own
        self._told_at: dict[str, float] = {}

    def tell(self, lane: WatchedLane, told: list[int]) -> None:
        """Tell what was left out since the last time; `told` is the lane's list, and brought up to date."""
        indices = [COUNTED.index(reason) for reason in LEFT_OUT_REASONS]
        if all(lane.about.dropped[index] <= told[index] for index in indices):
            return
        now = clock.monotonic()
        is_live = lane.end == LIVE
        if is_live and now - self._told_at.setdefault(lane.producer, now) < _INTERVAL_SEC:
            return
        for index in indices:
            count = lane.about.dropped[index] - told[index]
            if count > 0 and self._own.emit(
                "records_sampled", subject=lane.producer, reason=COUNTED[index], count=count
            ):
                told[index] += count
        self._told_at[lane.producer] = now
        if not is_live:
            self._told_at.pop(lane.producer)
