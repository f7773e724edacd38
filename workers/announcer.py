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
from pipeline.storage import fallback_rows

if TYPE_CHECKING:
    from pipeline.emitter import Emitter
    from pipeline.paths import Places
    from pipeline.storage.fallback import Fallback


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

    def replayed(self, fallback: Fallback) -> None:
        """Tell what was replayed and what was quarantined, also by a command or an earlier writer."""
        fallback_rows.tell(fallback, self._own.emit)

    def ended(self, lane: WatchedLane) -> bool:
        """Tell that a producer has ended and is in the files whole; False when that has to be tried again."""
        if not self.drops(lane) or not self._holes(lane):
            return False
        last_number = lane.tailer.last_number()
        if last_number == 0:
            return True  # one that never emitted is not worth a line
        process = lane.about.process
        fields: dict[str, object] = {
            "subject": lane.producer,
            "role": process.get("role", ""),
            "pid": process.get("pid", 0),
            "last_action_number": last_number,
        }
        if lane.end == DIED:
            return self._own.emit("producer_died", **fields, level="WARNING") > 0
        if lane.about.signal:
            fields["signal"] = signal_name(lane.about.signal)
        return self._own.emit("producer_closed", **fields) > 0

    def drops(self, lane: WatchedLane) -> bool:
        """Name what a producer has refused since this was last told; False when not all of it could be."""
        lane.refresh_about()
        told = list(lane.told_drops)
        for index, reason in enumerate(DROP_REASONS):
            count = lane.about.dropped[index] - told[index]
            if count > 0 and self._dropped(lane, reason, count):
                told[index] += count
        if lane.told_drops != tuple(told):
            lane.told_drops = tuple(told)
            lane.store_position()
        return lane.told_drops == lane.about.dropped

    def _dropped(self, lane: WatchedLane, reason: str, count: int) -> bool:
        number = self._own.emit(
            "records_dropped", subject=lane.producer, reason=reason, count=count, level="ERROR"
        )
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self._dropped_at = clock.monotonic()
        return number > 0

    def _holes(self, lane: WatchedLane) -> bool:
        """Name the ranges whose segment somebody removed before it was found."""
        while lane.tailer.holes:
            first, last = lane.tailer.holes[0]
            fields = {"subject": lane.producer, "first_action_number": first, "last_action_number": last}
            if not self._own.emit("records_dropped", **fields, reason="segment_removed", level="ERROR"):
                return False
            lane.tailer.holes.pop(0)
        return True

    def dropped_age_sec(self) -> float | None:
        """Return how long ago a drop was told, None when never."""
        return None if self._dropped_at is None else clock.monotonic() - self._dropped_at


def signal_name(number: int) -> str:
    """Return SIGTERM for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
