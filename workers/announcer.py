"""
The stream tells its own truth.

The records that the pipeline writes about itself, through the writer's own lane.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pipeline.host import clock
from pipeline.launch import VERSION
from pipeline.queue.lanes import DIED, WatchedLane
from pipeline.queue.layout import DROP_REASONS

if TYPE_CHECKING:
    from pipeline.emitter import Emitter
    from pipeline.paths import Places


class Announcer:
    """Emits the pipeline's own records."""

    def __init__(self, own: Emitter, places: Places) -> None:
        self._own = own
        self._places = places
        self._dropped_at: float | None = None
        self.dropped: dict[str, int] = {}
        """Refused records that were told, by reason, since this writer started."""

    def started(self, cause: str, restarts: int) -> None:
        """Tell that a pipeline began, or that its writer was replaced."""
        if cause:
            self._own.emit(
                "writer_restarted", pid=os.getpid(), restarts=restarts, cause=cause, level="WARNING"
            )
        else:
            self._own.emit(
                "pipeline_started",
                version=VERSION,
                pid=os.getpid(),
                instance=self._places.instance,
                log_dir=str(self._places.log_dir),
            )

    def stopped(self, reason: str) -> None:
        """Tell that the pipeline ends: always the last record of its producer."""
        self._own.emit("pipeline_stopped", reason=reason)

    def ended(self, lane: WatchedLane) -> None:
        """
        Tell that a producer has ended and is in the files whole.

        One that never emitted is not worth a line.
        """
        self.drops(lane)
        for first, last in lane.tailer.holes:
            self._own.emit(
                "records_dropped",
                subject=lane.producer,
                reason="segment_removed",
                first_action_number=first,
                last_action_number=last,
                level="ERROR",
            )
        last_number = lane.tailer.last_number()
        if last_number == 0:
            return
        process = lane.about.process
        fields = {
            "subject": lane.producer,
            "role": process.get("role", ""),
            "pid": process.get("pid", 0),
            "last_action_number": last_number,
        }
        if lane.end == DIED:
            self._own.emit("producer_died", **fields, level="WARNING")
        elif lane.about.signal:
            self._own.emit("producer_closed", **fields, signal=signal_name(lane.about.signal))
        else:
            self._own.emit("producer_closed", **fields)

    def drops(self, lane: WatchedLane) -> None:
        """Name what a producer has refused since this was last told."""
        lane.refresh_about()
        for index, reason in enumerate(DROP_REASONS):
            count = lane.about.dropped[index] - lane.told_drops[index]
            if count > 0:
                self._own.emit(
                    "records_dropped", subject=lane.producer, reason=reason, count=count, level="ERROR"
                )
                self.dropped[reason] = self.dropped.get(reason, 0) + count
                self._dropped_at = clock.monotonic()
        if lane.told_drops != lane.about.dropped:
            lane.told_drops = lane.about.dropped
            lane.store_position()

    def dropped_age_sec(self) -> float | None:
        """Return how long ago a drop was told, None when never."""
        return None if self._dropped_at is None else clock.monotonic() - self._dropped_at


def signal_name(number: int) -> str:
    """Return SIGTERM for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
