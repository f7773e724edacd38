"""
The end of lanes: what was emitted there is durable to the last record, so it is noted, told, and removed.

In this order: the last numbers of all lanes that are done go to the register with one sync, then the end of
each is told in the stream, then its directories go. A kill in between repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.delivery.register import Register
from pipeline.host import failpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.queue.lanes import WatchedLane
    from workers.writer import Writer


class Finisher:
    """Finishes the lanes of one writer."""

    def __init__(self, writer: Writer) -> None:
        self.register = Register(writer.checkpoint)
        self._writer = writer

    def finish_lanes(self) -> None:
        """Announce and remove the lanes that have ended and are durable to their end."""
        writer = self._writer
        if writer.pump.is_unsettled:
            return  # the files say how a lane ended, and cannot be asked yet
        lanes = writer.lanes.all()
        for lane in lanes:
            writer.announcer.drops(lane)
        done = [lane for lane in lanes if not writer.is_own(lane.producer) and lane.tailer.is_done()]
        self._note(done)
        for lane in done:
            self._finish(lane)

    def remove_own_lanes(self) -> None:
        """Remove the writer's own lanes, as the last thing that it does."""
        lanes = self._writer.lanes
        done = [lane for lane in lanes.all() if self._writer.is_own(lane.producer) and lane.tailer.is_done()]
        self._note(done)
        for lane in done:
            lanes.remove(lane)

    def _note(self, done: Sequence[WatchedLane]) -> None:
        had_error = self.register.error
        ended = {lane.producer: lane.tailer.last_number() for lane in done}
        self.register.note(ended, may_write=self._writer.pump.retreat.may_touch_files)
        if self.register.error and not had_error:
            self._writer.journal.note(f"the register of ended producers: {self.register.error}")

    def _finish(self, lane: WatchedLane) -> None:
        """Tell a lane's end and remove it; what cannot be read of it is kept, out of the way."""
        if lane.tailer.unknown and not self._keep_aside(lane):
            return
        failpoint.reach("writer.lane.before_announce")
        if not self._writer.announcer.ended(lane):
            return
        failpoint.reach("writer.lane.before_remove")
        self._writer.counted.forget(lane)
        self._writer.lanes.remove(lane)

    def _keep_aside(self, lane: WatchedLane) -> bool:
        writer = self._writer
        try:
            writer.lanes.keep_aside(lane, writer.places.unknown_lanes_dir)
        except OSError as error:
            writer.journal.note(f"cannot keep a lane aside: {error}")
            return False
        writer.journal.note(f"kept, not read: {lane.tailer.unknown}")
        return True
