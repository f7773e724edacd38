"""
The producer's end of the queue: one record, one line, one number; and the next segment when this will not do.

An `append()` that interrupts an `append()` of the same thread (signal handler, `__del__`) finds the lane busy
and gets `BUSY`: the emitter then uses another lane. A plain lock would deadlock there, and an RLock alone
would let the inner record take the outer one's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import clock, failpoint, handlers
from pipeline.host.clock import NANO
from pipeline.limits import (
    OFFSET_BITS,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    SEGMENT_GROW_SEC,
    SEGMENT_SHRINK_SEC,
    SLOW_WRITE_REST_SEC,
)
from pipeline.queue import chain, fastpath
from pipeline.queue.fastpath import BUSY, NO_VIEW, NO_WORDS
from pipeline.queue.lane import Lane
from pipeline.queue.layout import COPY, HEAD_WORD, HEADER_BYTES, OFFSET_MASK, position
from pipeline.queue.room import Room
from pipeline.queue.segment import DiskSegment, MemorySegment, Segment
from pipeline.queue.turn import Turn
from pipeline.records.periods import Period, period_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings

__all__ = ["BUSY", "NO_ROOM", "Appender"]

NO_ROOM: Final = 0
_PAGE: Final = 4096
_NUMBER_CHARS_MAX: Final = 20
_PRESSURE_REST_SEC: Final = 0.05
_DROPS_MAX: Final = 8
"""How many segments are dropped for one new one: beyond, a smaller one has to do."""
_REFUSAL_REST_SEC: Final = 0.005
"""How long a refusal stands before the room is measured again: measuring costs 50 µs, refusing must not."""


class Appender:
    """One lane of this process. Thread-safe; not for use after a fork."""

    def __init__(self, places: Places, settings: Settings, role: str = "app") -> None:
        self.lane = Lane(places, role)
        self.look_due = True
        """Set once a second: the emitter then looks whether anybody writes."""
        self.is_lost = False
        """Whether the application closed the lane's descriptors; the emitter then goes on in another lane."""
        self.room = Room(places, settings, self.lane.producer, is_exempt=role != "app")
        """Exempt are the pipeline's own: their records do not wait for the room that their writer makes."""
        self._settings = settings
        self._period = Period("", 0, 0)
        self._segment: Segment | None = None
        self._segment_period = ""
        self._is_reserved = False
        """Whether the segment was made out of the reserve, and is for critical records only."""
        self._serial = 0
        self._base = 1
        self._end_before = 0
        self._size = SEGMENT_BYTES_MIN
        self._opened_at = clock.monotonic()
        self._looked_at = 0.0
        self._refused_until = 0.0
        self._pressed_until = 0.0
        self._memory_until = 0.0
        self._turn = Turn()
        self.append, self._switch = fastpath.build(
            self._turn, self.lane.producer, self._on_second, self._append_slowly
        )

    def is_still_pressed(self) -> bool:
        """Whether the queue is above its mark now; measured again once in a while, without an append."""
        if self.room.is_pressed and clock.monotonic() >= self._pressed_until:
            self._pressed_until = clock.monotonic() + _PRESSURE_REST_SEC
            self.room.has(reserve=True)
        return self.room.is_pressed

    def look_at_place(self) -> None:
        """Move to another place if ours was removed, without an append: somebody waits for what is there."""
        self._turn.alone(self._look_at_place)

    def _look_at_place(self) -> None:
        if self._is_displaced():
            self._close_room()
            self._rescue()

    def prepare(self) -> None:
        """Make the first segment now: a first record at the interpreter's end needs nothing any more then."""
        self._turn.alone(self._prepare)

    def _prepare(self) -> None:
        self._on_second(clock.wall_ns())
        if self._segment is None:
            self._segment_for(0, reserve=False)

    def end_position(self) -> int:
        """Return the place behind the last record, which `written` and `durable` reach when all is there."""
        return self._turn.alone(self._end_position)

    def _end_position(self) -> int:
        segment = self._segment
        if segment is None or not segment.words[HEAD_WORD] >> OFFSET_BITS:
            return self._end_before
        return position(segment.serial, segment.words[HEAD_WORD] & OFFSET_MASK)

    def last_number(self) -> int:
        """Return the number of the last record accepted, 0 when there is none."""
        return self._next_number() - 1

    def is_look_time(self) -> bool:
        """Whether a second has passed since somebody looked; for waits, in which no record makes it due."""
        if clock.monotonic() - self._looked_at < 1.0:
            return False
        self._looked_at = clock.monotonic()
        return True

    def close(self, signal_number: int = 0) -> None:
        """Say that this lane has ended, and let go of it."""
        self.lane.note_ending(signal_number)
        self._turn.alone(self.forget)

    def forget(self) -> None:
        """Unmap and close. In a forked child that inherited it: who has the turn may not exist here."""
        self._detach()
        self.lane.close()

    def _next_number(self) -> int:
        segment = self._segment
        return self._base + (segment.words[HEAD_WORD] >> OFFSET_BITS if segment is not None else 0)

    def _on_second(self, now: int) -> tuple[int, bytes]:
        """Once a second: its text, the period, and whether our place is still there."""
        second = now // NANO
        self.look_due = True
        if not self._period.start_sec <= second < self._period.end_sec:
            self._close_room()  # first: a signal handler may raise before the period is there
            self._period = period_of(second, self._settings.timezone, self._settings.rotate_every)
        if self.room.is_pressed:
            self.room.has(reserve=True)
        self.is_lost = self.lane.is_lost()
        if self.is_lost or self._is_displaced() or self._is_quiet() or self._has_rested():
            self._close_room()
        return second * NANO, b'{"timestamp":"%b.' % clock.second_text(second)

    def _close_room(self) -> None:
        """Send the next record the slow way, which decides about the segment."""
        if self._segment is not None:
            self._switch(self._segment.words, self._segment.view, self._base, 0)

    def _is_displaced(self) -> bool:
        return self.lane.is_unlinked() or (self._segment is not None and self._segment.is_unlinked())

    def _is_quiet(self) -> bool:
        if self._size <= SEGMENT_BYTES_MIN or self._segment is None:
            return False
        return clock.monotonic() - self._opened_at > SEGMENT_SHRINK_SEC

    def _has_rested(self) -> bool:
        """Whether a disk that was slow has had its rest, and is due again."""
        is_resting = self.room.place == "disk" and self._memory_until > 0.0
        return (
            is_resting
            and clock.monotonic() >= self._memory_until
            and isinstance(self._segment, MemorySegment)
        )

    def _append_slowly(self, opening: bytes, behind: bytes, rest: bytes, reserve: bool) -> int:  # noqa: FBT001
        """Append to a disk segment, or to the next segment; try elsewhere once when a disk refuses."""
        length = len(opening) + _NUMBER_CHARS_MAX + len(behind) + len(rest) + 1
        for _ in range(0 if self.is_lost else 2):
            try:
                segment = self._segment_for(length, reserve=reserve)
                if segment is None:
                    return NO_ROOM
                number = self._next_number()
                segment.append(b"%b%d%b%b\n" % (opening, number, behind, rest))
            except OSError as error:
                handlers.let_through(error)
                self._prefer_memory()
                continue
            if isinstance(segment, DiskSegment) and segment.is_slow:
                self._prefer_memory()
            return number
        return NO_ROOM

    def _segment_for(self, length: int, *, reserve: bool) -> Segment | None:
        """Return the current segment when it still serves, else the next one, else None."""
        segment = self._segment
        if isinstance(segment, DiskSegment):
            segment.mend_if_torn()
        serves = segment is not None and self._serves(segment, length, reserve=reserve)
        if segment is not None and serves and not self._is_worn(segment):
            return self._reopened(segment)
        following = self._roll(length, reserve=reserve)
        if following is None and segment is not None:
            self._reopened(segment)  # worn or too small for this record, but there is room for no other
            return segment if serves else None
        return following

    def _reopened(self, segment: Segment) -> Segment:
        """Let the fast path use the current segment again, if it ever may."""
        is_good = self._segment_period == self._period.name and not segment.is_unlinked()
        if isinstance(segment, MemorySegment) and is_good and not self._is_reserved:
            self._switch(segment.words, segment.view, self._base, segment.room_end)
        return segment

    def _serves(self, segment: Segment, length: int, *, reserve: bool) -> bool:
        if self._is_reserved and not reserve:
            self._is_reserved = not self.room.has(reserve=False)
        has_room = (segment.words[HEAD_WORD] & OFFSET_MASK) + length <= segment.room_end
        is_allowed = reserve or not self._is_reserved
        return (
            has_room
            and is_allowed
            and self._segment_period == self._period.name
            and not segment.is_unlinked()
        )

    def _is_worn(self, segment: Segment) -> bool:
        """Whether another segment would be better: of another size, or in another place."""
        if isinstance(segment, DiskSegment):
            return clock.monotonic() < self._memory_until
        return self._is_quiet() or self._has_rested()

    def _prefer_memory(self) -> None:
        self._memory_until = clock.monotonic() + SLOW_WRITE_REST_SEC

    def _roll(self, length: int, *, reserve: bool) -> Segment | None:
        """Put the next segment in place; None when the quota or both places are exhausted."""
        if not reserve and clock.monotonic() < self._refused_until:
            return None
        self._close_room()
        if self._is_displaced():
            self._rescue()
        self._resize()
        smallest = _in_pages(length + HEADER_BYTES)
        best = max(smallest, _in_pages(min(self._size, self._size_cap())))
        for size in dict.fromkeys((best, max(smallest, 4 * _PAGE), smallest)):
            segment = self._create(size, reserve=reserve)
            if segment is None and size == best:
                segment = self._create_dropping(size, reserve=reserve)
            if segment is not None:
                self._succeed(segment, is_reserved=reserve and not self.room.has(reserve=False))
                return segment
        self._refused_until = clock.monotonic() + _REFUSAL_REST_SEC
        return None

    def _succeed(self, segment: Segment, *, is_reserved: bool) -> None:
        """Switch to the next segment. The old one is marked after the new one can be found."""
        failpoint.reach("emit.segment.created")
        if isinstance(segment, DiskSegment):
            self._memory_until = 0.0  # memory was asked first, and had no room
        old, base, end = self._segment, self._next_number(), self._end_position()
        has_fast_room = isinstance(segment, MemorySegment) and not is_reserved
        # This first: a signal handler that raises behind the call below must find the slow path in the new
        # segment.
        self._segment, self._base, self._end_before, self._serial = segment, base, end, segment.serial
        self._segment_period, self._is_reserved = self._period.name, is_reserved
        self._switch(segment.words, segment.view, base, segment.room_end if has_fast_room else 0)
        self._opened_at = clock.monotonic()
        if old is not None:
            _let_go(old)
        failpoint.reach("emit.segment.succeeded")

    def _create(self, size: int, *, reserve: bool) -> Segment | None:
        prefers_memory = clock.monotonic() < self._memory_until
        for kind in self.room.kinds(size, reserve=reserve, prefers_memory=prefers_memory):
            try:
                directory = self.lane.memory_dir if kind is MemorySegment else self.lane.use_disk()
                if directory is not None:
                    segment = self._make(kind, directory, size)
                    self.room.note_refusal(kind, None)
                    return segment
            except OSError as error:
                handlers.let_through(error)
                self.room.note_refusal(kind, error.errno)
        return None

    def _create_dropping(self, size: int, *, reserve: bool) -> Segment | None:
        """Make a segment in the place of the oldest ones, if the policy says so."""
        for _ in range(_DROPS_MAX):
            if not self.room.drop_oldest(size, reserve=reserve):
                return None
            segment = self._create(size, reserve=reserve)
            if segment is not None:
                return segment
        return None

    def _make(self, kind: type[MemorySegment | DiskSegment], directory: Path, size: int) -> Segment:
        """Make the next segment of the chain."""
        serial = self._next_serial()
        return kind(
            directory,
            serial,
            self.lane.producer,
            self._period.name,
            self._next_number(),
            size,
            is_taken=self.room.is_exempt,
        )

    def _next_serial(self) -> int:
        """
        Return the first serial that no file has.

        A signal handler may have raised between making a segment and using it. That file stays, an empty link
        of the chain: the writer may have it open, so another in its place would never be read.
        """
        serial = self._serial + 1
        while left := [path for path in self._places_of(serial) if path.exists()]:
            for path in left:
                DiskSegment.mark_file(path)
            serial += 1
        return serial

    def _places_of(self, serial: int) -> list[Path]:
        directories = (self.lane.memory_dir, self.lane.disk_dir)
        names = chain.names_of(serial)
        return [directory / name for directory in directories if directory is not None for name in names]

    def _resize(self) -> None:
        age = clock.monotonic() - self._opened_at
        if self._segment is not None and age < SEGMENT_GROW_SEC:
            self._size = min(self._size * 2, SEGMENT_BYTES_MAX)
        elif age > SEGMENT_SHRINK_SEC:
            self._size = SEGMENT_BYTES_MIN

    def _size_cap(self) -> int:
        """Return a sixteenth of a small quota, so that several producers find room in it."""
        return max(4 * _PAGE, self.room.quota // 16)

    def _rescue(self) -> None:
        """
        Put a copy of a segment that was removed under us where the writer finds it, if it had not opened it.

        Same serial, same bytes: a writer that holds the removed file goes on with that and ignores the copy.
        Another one asks the files what of it an earlier writer has stored.
        """
        if self.lane.is_unlinked():
            self.lane.leave_memory()
        old = self._segment
        if old is None or not old.is_unlinked():
            return
        failpoint.reach("emit.rescue.before")
        try:
            directory = self.lane.use_disk()
            chain.remove(directory, old.serial)
            copy = DiskSegment(
                directory,
                old.serial,
                self.lane.producer,
                self._segment_period,
                self._base,
                0,
                COPY,
                is_taken=True,
            )
            content = old.committed()
            if content:
                copy.append(content)
            copy.mark_succeeded()
            copy.close()
            failpoint.reach("emit.rescue.after")
        except OSError as error:
            handlers.let_through(error)
            return  # the writer most likely holds the removed file

    def _detach(self) -> None:
        segment = self._segment
        if segment is None:
            return
        base, end = self._next_number(), self._end_position()
        self._switch(NO_WORDS, NO_VIEW, base, 0)
        self._segment, self._base, self._end_before = None, base, end
        segment.close()


def _in_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _let_go(old: Segment) -> None:
    try:
        old.mark_succeeded()
    except OSError as error:
        handlers.let_through(error)  # else: the writer looks for the successor of a lane that has ended, too
    old.close()
