"""
The stream tells its own truth.

The records that the pipeline writes about itself, through the writer's own lane.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pipeline.host import clock, failpoint
from pipeline.launch import VERSION
from pipeline.queue.lanes import DIED, WatchedLane
from pipeline.queue.layout import DROP_REASONS, MASKED, WRONG_FIELDS
from pipeline.storage import fallback_rows, stored
from workers import drops
from workers.drops import DROP_OLDEST, SEGMENT_REMOVED
from workers.left_out import LeftOut

if TYPE_CHECKING:
    from pipeline.emitter import Emitter
    from pipeline.paths import Places
    from pipeline.queue.appender import Appender
    from pipeline.queue.opened import OpenSegment
    from pipeline.storage.fallback import Fallback
    from pipeline.storage.manifest import Entry
    from workers.counted import Counted


class Announcer:
    """Emits the pipeline's own records."""

    def __init__(self, own: Emitter, places: Places, counted: Counted) -> None:
        self._own = own
        self._places = places
        self.left_out = LeftOut(own)
        self._dropped_at: float | None = None
        self._told_stubs: dict[tuple[str, int], list[tuple[Appender, int]]] = {}
        """
        Dropped segments that were told, and the place behind that record.

        Kept until the lane ends: a writer that leaves a file goes back in all lanes, this one included.
        """
        self.counted = counted
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

    def expired(self, file: str, entry: Entry) -> None:
        """Tell that a file takes its leave; for room on the volume, it is before its time."""
        self._own.emit(
            "file_expired",
            file=file,
            cause=entry["cause"],
            records=entry["records"],
            bytes=entry["length"],
            level="WARNING" if entry["cause"] == "min_free" else "INFO",
        )

    def doubts_clock(self, ahead_sec: float, until_sec: float) -> None:
        """Tell that the clock has leapt, and from when on it is believed if it stays as it is."""
        until = clock.second_text(int(until_sec)).decode() + "Z"
        self._own.emit("clock_doubted", ahead_sec=round(ahead_sec), until=until, level="WARNING")

    def ended(self, lane: WatchedLane) -> bool:
        """Tell that a producer has ended and is in the files whole; False when that has to be tried again."""
        if not self.drops(lane) or not self._holes(lane):
            return False
        self._told_stubs = {place: at for place, at in self._told_stubs.items() if place[0] != lane.producer}
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
        counted = self.counted.look(lane)
        fields |= {what: counted[what] for what in (WRONG_FIELDS, MASKED) if what in counted}
        if lane.end == DIED:
            return self._own.emit("producer_died", **fields, level="WARNING") > 0
        if lane.about.signal:
            fields["signal"] = signal_name(lane.about.signal)
        return self._own.emit("producer_closed", **fields) > 0

    def drops(self, lane: WatchedLane) -> bool:
        """Name what a producer has refused since this was last told; False when not all of it could be."""
        lane.refresh_about()
        self.counted.look(lane)
        told = list(lane.told_drops)
        for index, reason in enumerate(DROP_REASONS):
            count = lane.about.dropped[index] - told[index]
            if count > 0 and self._dropped(lane, reason, count):
                told[index] += count
        self.left_out.tell(lane, told)
        if lane.told_drops != tuple(told):
            lane.told_drops = tuple(told)
            lane.store_position()
        return lane.told_drops == lane.about.dropped

    def stub(self, lane: WatchedLane) -> None:
        """
        Tell of the dropped segment that reading has come to; once that is in its file, reading goes on.

        A writer that is killed between the two tells it again: the same numbers, which are no more for it.
        """
        stub = lane.tailer.take_stub()
        if stub is None or not stub.header.is_stub:
            return
        place = lane.producer, stub.serial
        if place not in self._told_stubs:
            if not self._stub(lane, stub):
                return
            failpoint.reach("writer.drop.told")
            self._told_stubs[place] = self._own.receipts()
        if self._own.arrived(self._told_stubs[place], durable=False):
            lane.tailer.pass_note(stub)
            lane.store_position()
            failpoint.reach("writer.drop.passed")

    def _stub(self, lane: WatchedLane, stub: OpenSegment) -> bool:
        lines = stub.read(stub.start, stub.end).splitlines()
        kept = {stored.number_of(line) for line in lines} | (lane.tailer.stored or set())
        first, last = stub.header.first_number, stub.last_number
        fields = {"subject": lane.producer, "reason": DROP_OLDEST, "level": "ERROR"}
        for part in drops.named(first, last, {number for number in kept if number}):
            if not self._own.emit("records_dropped", **fields, **part):
                return False
            self._count(DROP_OLDEST, part["count"])
        return True

    def _dropped(self, lane: WatchedLane, reason: str, count: int) -> bool:
        number = self._own.emit(
            "records_dropped", subject=lane.producer, reason=reason, count=count, level="ERROR"
        )
        if number:
            self._count(reason, count)
        return number > 0

    def _count(self, reason: str, count: int) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        self._dropped_at = clock.monotonic()

    def _holes(self, lane: WatchedLane) -> bool:
        """Name the ranges whose segment somebody removed before it was found."""
        while lane.tailer.holes:
            first, last = lane.tailer.holes[0]
            fields = {"subject": lane.producer, "reason": SEGMENT_REMOVED, "level": "ERROR"}
            for part in drops.named(first, last, set()):
                if not self._own.emit("records_dropped", **fields, **part):
                    return False
                self._count(SEGMENT_REMOVED, part["count"])
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
