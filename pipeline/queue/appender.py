"""
The producer's end of the queue: one record, one line, one number.

All state of a lane is its head word, `records << 32 | end`. The number of the next record and its place are
both derived from it, and one store changes both, so a signal handler that raises between any two instructions
leaves nothing half done: a record is there with its number, or the number is free.

An `append()` that interrupts an `append()` of the same thread (signal handler, `__del__`) finds the lane busy
and gets `BUSY`: the emitter then uses another lane. A plain lock would deadlock there, and an RLock alone
would let the inner record take the outer one's place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from pipeline.errors import LaneError
from pipeline.host import clock, failpoint
from pipeline.host.clock import NANO, wall_ns
from pipeline.limits import (
    CRITICAL_RESERVE,
    OFFSET_BITS,
    PRESSURE_AT,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    SEGMENT_GROW_SEC,
    SEGMENT_SHRINK_SEC,
    SLOW_WRITE_REST_SEC,
)
from pipeline.queue import usage
from pipeline.queue.lane import Lane
from pipeline.queue.layout import HEAD_WORD, HEADER_BYTES, OFFSET_MASK, ONE_RECORD, position
from pipeline.queue.segment import DiskSegment, MemorySegment, Segment
from pipeline.records.periods import Period, period_of

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.queue.armed import ArmedView, ArmedWords
    from pipeline.settings import Settings

BUSY: Final = -1
NO_ROOM: Final = 0
_PAGE: Final = 4096
_REFUSAL_REST_SEC: Final = 0.005
"""How long a refusal stands before the room is measured again: measuring costs 50 µs, refusing must not."""
_NO_WORDS: Final = memoryview(bytearray(HEADER_BYTES)).cast("Q")
_NO_VIEW: Final = memoryview(b"")


class Appender:
    """One lane of this process. Thread-safe; not for use after a fork."""

    def __init__(self, places: Places, settings: Settings, role: str = "app") -> None:
        self.lane = Lane(places, role)
        self.look_due = True
        """Set once a second: the emitter then looks whether anybody writes."""
        self.is_pressed = False
        """Whether the queue was above 80 % of its quota when it was last measured."""
        self.is_lost = False
        """Whether the application closed the lane's descriptors; the emitter then goes on in another lane."""
        self._settings = settings
        self._place, self.place_reason = usage.preferred_place(settings.lanes, is_memory=places.is_memory)
        self._lock = threading.RLock()
        self._is_busy = False
        self._closing = b',"producer":"' + self.lane.producer.encode() + b'"'
        self._second = -1
        self._stamp = b""
        self._period = Period("", 0, 0)
        self._segment: Segment | None = None
        self._segment_period = ""
        self._serial = 0
        self._size = SEGMENT_BYTES_MIN
        self._opened_at = clock.monotonic()
        self._looked_at = 0.0
        self._refused_until = 0.0
        self._memory_until = 0.0
        # The four below mirror the current segment for the fast path. Room 0 sends a record to the slow one.
        self._words: memoryview | ArmedWords = _NO_WORDS
        self._view: memoryview | ArmedView = _NO_VIEW
        self._room_end = 0
        self._base = 1

    def append(self, opening: bytes, tail: bytes, *, reserve: bool = False) -> int:
        """
        Add a record and return its action_number; NO_ROOM or BUSY when it was not accepted.

        `opening` is `","action_type":"…","action_number":` as bytes, `tail` the rest of the line behind the
        producer. `reserve` allows the last 5 % of the quota, which are kept for critical records.
        """
        with self._lock:
            if self._is_busy:
                return BUSY
            self._is_busy = True
            try:
                now = wall_ns()
                second = now // NANO
                if second != self._second:
                    self._tick(second)
                word = self._words[HEAD_WORD]
                number = self._base + (word >> OFFSET_BITS)
                line = b'{"timestamp":"%b.%06dZ%b%d%b%b' % (
                    self._stamp,
                    now % NANO // 1000,
                    opening,
                    number,
                    self._closing,
                    tail,
                )
                start = word & OFFSET_MASK
                end = start + len(line)
                if end > self._room_end:
                    return self._append_slowly(now, opening, tail, reserve=reserve)
                self._view[start:end] = line
                self._words[HEAD_WORD] = word + len(line) + ONE_RECORD
                return number
            finally:
                self._is_busy = False

    def end_position(self) -> int:
        """
        Return the place behind the last record.

        What is written or durable up to here has all of this lane.
        """
        with self._lock:
            return position(self._serial, self._words[HEAD_WORD] & OFFSET_MASK) if self._serial else 0

    def last_number(self) -> int:
        """Return the number of the last record accepted, 0 when there is none."""
        return self._base + (self._words[HEAD_WORD] >> OFFSET_BITS) - 1

    def is_look_time(self) -> bool:
        """Whether a second has passed since somebody looked; for waits, in which no record makes it due."""
        if clock.monotonic() - self._looked_at < 1.0:
            return False
        self._looked_at = clock.monotonic()
        return True

    def close(self, signal_number: int = 0) -> None:
        """Say that this lane has ended, and let go of it."""
        with self._lock:
            self.lane.note_ending(signal_number)
            self._detach()
            self.lane.close()

    def forget(self) -> None:
        """
        In a forked child: unmap and close what was inherited.

        Takes no lock: its owner may not exist here.
        """
        self._detach()
        self.lane.forget()

    def _tick(self, second: int) -> None:
        """Once a second: the second's text, the period, and whether our place is still there."""
        self._stamp = _stamp(second)
        self._second = second
        self.look_due = True
        if not self._period.start_sec <= second < self._period.end_sec:
            self._period = period_of(second, self._settings.timezone)
            self._room_end = 0
        if self.is_pressed:
            self._has_room(0, in_memory=False, reserve=True)
        if self.lane.is_lost():
            self.is_lost = True
        if self.is_lost or self._is_displaced() or self._is_quiet():
            self._room_end = 0

    def _is_displaced(self) -> bool:
        return self.lane.is_unlinked() or (self._segment is not None and self._segment.is_unlinked())

    def _is_quiet(self) -> bool:
        if self._size <= SEGMENT_BYTES_MIN or self._words[HEAD_WORD] >> OFFSET_BITS == 0:
            return False
        return clock.monotonic() - self._opened_at > SEGMENT_SHRINK_SEC

    def _append_slowly(self, now: int, opening: bytes, tail: bytes, *, reserve: bool) -> int:
        """Append to a disk segment, or to the next segment; try elsewhere once when a disk refuses."""
        for _ in range(0 if self.is_lost else 2):
            segment = self._segment_for(opening, tail, reserve=reserve)
            if segment is None:
                return NO_ROOM
            number = self._base + (segment.words[HEAD_WORD] >> OFFSET_BITS)
            line = b'{"timestamp":"%b.%06dZ%b%d%b%b' % (
                self._stamp, now % NANO // 1000, opening, number, self._closing, tail
            )  # fmt: skip
            try:
                segment.append(line)
            except OSError:
                self._prefer_memory()
                continue
            if isinstance(segment, DiskSegment) and segment.is_slow:
                self._prefer_memory()
            return number
        return NO_ROOM

    def _segment_for(self, opening: bytes, tail: bytes, *, reserve: bool) -> Segment | None:
        length = len(opening) + len(tail) + 100
        segment = self._segment
        if isinstance(segment, DiskSegment):
            segment.mend_if_torn()
            end = (segment.words[HEAD_WORD] & OFFSET_MASK) + length
            if end <= segment.room_end and self._may_continue(segment):
                return segment
        return self._roll(length, reserve=reserve)

    def _may_continue(self, segment: DiskSegment) -> bool:
        is_here = self._period.name == self._segment_period and not segment.is_unlinked()
        return is_here and clock.monotonic() >= self._memory_until

    def _prefer_memory(self) -> None:
        self._memory_until = clock.monotonic() + SLOW_WRITE_REST_SEC

    def _roll(self, length: int, *, reserve: bool) -> Segment | None:
        """Put the next segment in place; None when the quota or both places are exhausted."""
        if not reserve and clock.monotonic() < self._refused_until:
            return None
        if self._is_displaced():
            self._rescue()
        self._resize()
        number = self._base + (self._words[HEAD_WORD] >> OFFSET_BITS)
        size = -(-max(length + HEADER_BYTES, min(self._size, self._size_cap())) // _PAGE) * _PAGE
        segment = self._create(size, number, reserve=reserve)
        if segment is None:
            self._refused_until = clock.monotonic() + _REFUSAL_REST_SEC
            return None
        failpoint.reach("emit.segment.created")
        self._succeed(segment, number)
        return segment

    def _succeed(self, segment: Segment, number: int) -> None:
        """Switch to the next segment. The old one is marked after the new one can be found."""
        old = self._segment
        self._base = number
        self._serial = segment.serial
        self._segment_period = self._period.name
        self._segment, self._words = segment, segment.words
        self._view = segment.view
        self._room_end = segment.room_end if isinstance(segment, MemorySegment) else 0
        self._opened_at = clock.monotonic()
        if old is not None:
            try:
                old.mark_succeeded()
            except OSError:
                pass  # the writer looks for the successor of a lane that has ended, too
            old.close()
        failpoint.reach("emit.segment.succeeded")

    def _create(self, size: int, number: int, *, reserve: bool) -> Segment | None:
        kinds = (MemorySegment, DiskSegment) if self._wants_memory() else (DiskSegment, MemorySegment)
        for kind in kinds:
            if not self._has_room(size, in_memory=kind is MemorySegment, reserve=reserve):
                continue
            try:
                directory = self.lane.use_memory() if kind is MemorySegment else self.lane.use_disk()
                if directory is not None:
                    return kind(
                        directory, self._serial + 1, self.lane.producer, self._period.name, number, size
                    )
            except (OSError, LaneError):
                continue
        return None

    def _wants_memory(self) -> bool:
        return self._place == "memory" or clock.monotonic() < self._memory_until

    def _has_room(self, size: int, *, in_memory: bool, reserve: bool) -> bool:
        places = self.lane.places
        quota = usage.quota_bytes(self._settings.queue_max_mb)
        allowed = quota if reserve else int(quota * (1 - CRITICAL_RESERVE))
        memory, disk = usage.used_bytes(places.lanes_dir), usage.used_bytes(places.disk_lanes_dir)
        self.is_pressed = memory + disk + size > quota * PRESSURE_AT
        if memory + disk + size > allowed:
            return False
        return not in_memory or memory + size <= usage.memory_share_bytes(places.lanes_dir, quota)

    def _resize(self) -> None:
        age = clock.monotonic() - self._opened_at
        if self._segment is not None and age < SEGMENT_GROW_SEC:
            self._size = min(self._size * 2, SEGMENT_BYTES_MAX)
        elif age > SEGMENT_SHRINK_SEC:
            self._size = SEGMENT_BYTES_MIN

    def _size_cap(self) -> int:
        """Return a sixteenth of a small quota, so that several producers find room in it."""
        return max(4 * _PAGE, usage.quota_bytes(self._settings.queue_max_mb) // 16)

    def _rescue(self) -> None:
        """
        Put a copy of a segment that was removed under us where the writer finds it, if it had not opened it.

        Same serial, same bytes: a writer that holds the removed file goes on with that and ignores the copy.
        """
        if self.lane.is_unlinked():
            self.lane.leave_memory()
        old = self._segment
        if old is None or not old.is_unlinked():
            return
        failpoint.reach("emit.rescue.before")
        try:
            first = self._base
            copy = DiskSegment(
                self.lane.use_disk(), old.serial, self.lane.producer, self._segment_period, first, 0
            )
            content = old.committed()
            if content:
                copy.append(content)
            copy.mark_succeeded()
            copy.close()
            failpoint.reach("emit.rescue.after")
        except OSError:
            return

    def _detach(self) -> None:
        segment, self._segment = self._segment, None
        self._room_end = 0
        if segment is not None:
            self._base += self._words[HEAD_WORD] >> OFFSET_BITS
            self._words, self._view = _NO_WORDS, _NO_VIEW
            segment.close()


def _stamp(second: int) -> bytes:
    import datetime  # noqa: ICN001 - once a second, and not at import of the package

    moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S").encode()
