"""
The writer's end of one lane.

It reads with pread(2) only: a segment that somebody truncates is then a short read and not a SIGBUS. It holds
a descriptor on every segment that is not released, so that `rm -r` of the lane loses nothing that was once
found. To open a segment is not to take it: what waits can be dropped until `take`, which comes before the
first intent over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import LaneError
from pipeline.host import failpoint, files
from pipeline.limits import OFFSET_BITS
from pipeline.queue import chain, missing
from pipeline.queue.layout import (
    COPY,
    HEADER_BYTES,
    OFFSET_MASK,
    position,
    segment_name,
    taken_name,
)
from pipeline.queue.opened import OpenSegment

if TYPE_CHECKING:
    from pathlib import Path


class Slice(NamedTuple):
    """Whole lines of one segment: bytes [start, end)."""

    producer: str
    serial: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass
class Tailer:
    """Where the writer is in one lane."""

    producer: str
    directories: list[Path]
    segments: dict[int, OpenSegment] = field(default_factory=dict)
    written: int = 0
    durable: int = 0
    last_stub: int = 0
    """The serial of the last stub whose drop is told."""
    stored: set[int] | None = None
    """Numbers that recovery found in the files already; None when positions say it all."""
    stored_end: int = 0
    """Position up to which it looked: what comes later was in no file then."""
    stored_last: int = 0
    """The highest of them: a power loss may leave a lane that ends before what the files hold of it."""
    has_copy: bool = False
    """Whether a segment is a copy that its producer handed in late: its position is not known."""
    is_ended: bool = False
    """No record will come any more: all of the chain is final."""
    released_serial: int = 1 << OFFSET_BITS
    """No segment before this one is missed: none at all, until recovery knows what was released."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of numbers whose segment somebody, or a power loss, removed before it was ever found."""
    stub: OpenSegment | None = None
    """What reading has come to, as of `pending`: the drop that it stands for has to be told first."""
    is_whole: bool = True
    """Whether we see all there is of it; else what is missing may be out of our sight, and is waited for."""
    unknown: str = ""
    """Why this lane cannot be read (a segment of another version); it is kept and reported."""

    def place(self) -> tuple[int, int]:
        """Return (serial, offset) up to which the lane is written."""
        return self.written >> OFFSET_BITS, self.written & OFFSET_MASK

    def pending(self, bytes_max: int) -> list[tuple[str, Slice]]:
        """Return (period, slice) of what is committed and not written, oldest first, up to `bytes_max`."""
        found: list[tuple[str, Slice]] = []
        self.stub = None
        serial, offset = self.place()
        serial, offset = max(serial, 1), max(offset, HEADER_BYTES)
        while bytes_max > 0 and (segment := self._next_segment(serial)) is not None:
            serial, offset = segment.serial, offset if segment.serial == serial else HEADER_BYTES
            segment.refresh()
            if self.is_ended and offset == HEADER_BYTES:
                self._note_hole(segment)
            if offset < segment.start:
                self.stub = None if found else segment
                break
            end = self._cut(segment, offset, bytes_max)
            if end > offset:
                found.append((segment.header.period, Slice(self.producer, serial, offset, end)))
                bytes_max -= end - offset
            if end < segment.end or not self._is_final(segment):
                break
            if not found:  # nothing in it that is not written, or nothing at all: the position is behind it
                self.written = max(self.written, position(serial, segment.end))
            serial, offset = serial + 1, HEADER_BYTES
        return found

    def has_pending(self) -> bool:
        """Whether anything committed is not written, or a drop not told."""
        return bool(self.pending(1)) or self.stub is not None

    def take(self, serial: int) -> bool:
        """
        Make a segment ours before it is read; False when it was dropped meanwhile: look again then.

        One whose name somebody removed is ours as it is. Where a file system refuses to rename it, nobody
        can drop it either.
        """
        segment = self.segments[serial]
        for directory in () if segment.is_taken else self.directories:
            path = chain.take(directory, serial)
            if path is None:
                continue
            if not files.same_file(segment.fd, path) and self._put_stub(serial, path, is_taken=True):
                return False
            segment.path, segment.is_taken = path, True
            return True
        if not segment.is_taken and segment.is_replaced():
            self.open_all()
        return self.segments.get(serial) is segment

    def take_stub(self) -> OpenSegment | None:
        """Return the stub that reading has come to, once it is ours and no later one can take it over."""
        stub = self.stub
        if stub is None or self.segments.get(stub.serial) is not stub:
            return None
        self.take(stub.serial)
        self._take_behind(stub.serial)
        if self._covering(stub.serial):
            self.written = max(self.written, position(stub.serial, stub.end))
            return None
        return self.segments.get(stub.serial)

    def pass_note(self, stub: OpenSegment) -> None:
        """Go on behind the note of a stub: the drop is told."""
        self.written = max(self.written, position(stub.serial, stub.start))
        self.last_stub = max(self.last_stub, stub.serial)

    def read(self, piece: Slice) -> bytes:
        """Return the bytes of a slice."""
        segment = self._segment(piece.serial)
        if segment is None:
            raise LaneError(
                "a slice's segment is gone", where=f"{self.producer}/{segment_name(piece.serial)}"
            )
        return segment.read(piece.start, piece.end)

    def advance_written(self, piece: Slice) -> None:
        """Note that a slice is in the file."""
        self.written = max(self.written, position(piece.serial, piece.end))

    def end_position(self) -> int:
        """Return the position behind the last record of the segments that are open."""
        for serial in sorted(self.segments, reverse=True):
            self.segments[serial].refresh()
            if self.segments[serial].end > HEADER_BYTES:
                return position(serial, self.segments[serial].end)
        return self.written

    def note_durable(self) -> None:
        """Note that everything written is durable; what recovery found in files is behind us one day."""
        self.durable = self.written
        if self.durable >= self.stored_end:
            self.stored = None

    def periods(self) -> set[str]:
        """Return the periods of segments that are not released."""
        return {segment.header.period for segment in self.segments.values()}

    def keep_up(self) -> None:
        """Open what the producer has gone on to: what is open survives the removal of its directory."""
        self._let_go_of_dropped()
        newest = max(self.segments, default=self.place()[0])
        segment = self._segment(newest) or self._segment(newest + 1)
        while segment is not None:
            segment.refresh()
            segment = self._segment(segment.serial + 1) if segment.is_complete else None

    def open_all(self) -> None:
        """Open every segment that the lane's directories hold, in place of waiting to come to it."""
        for directory in self.directories:
            for serial, path in chain.segments_in(directory).items():
                if serial >= (self.durable >> OFFSET_BITS):
                    self._segment(serial)
                elif serial not in self.segments and (left := self._opened(serial, path)):
                    left.close()
        self._let_go_of_dropped()

    def start_at_first(self) -> None:
        """Go on at the oldest segment there is, if the position leads to one that is released."""
        serial, _ = self.place()
        if self.segments and serial not in self.segments:
            self.written = position(min(self.segments), HEADER_BYTES)

    def is_done(self) -> bool:
        """Whether the lane has ended and everything in it that can be read is durable."""
        is_read = self.is_ended and not self.has_pending()
        return is_read and all(map(self._is_releasable, self.segments.values()))

    def has_releasable(self) -> bool:
        """Whether a segment is durable to its end and gets nothing more."""
        return bool(self._releasable())

    def release(self, *, with_disk: bool) -> int:
        """
        Unlink the segments that are durable to their end; how many.

        Disk segments wait for a durable checkpoint.
        """
        done = self._releasable()
        for serial in done:
            if self.segments[serial].header.is_on_disk and not with_disk:
                break
            segment = self.segments.pop(serial)
            self.released_serial = max(self.released_serial, serial + 1)
            # Behind it, so that a successor can tell a segment that was released from one that was lost.
            self.durable = max(self.durable, position(serial + 1, HEADER_BYTES))
            self.written = max(self.written, self.durable)
            failpoint.reach("writer.release.before_unlink")
            for directory in self.directories:
                chain.remove(directory, serial)
            failpoint.reach("writer.release.after_unlink")
            segment.close()
        return len(done)

    def _releasable(self) -> list[int]:
        """
        Return what can be released.

        The last segment of an ended lane stays: it says how the lane ended.
        """
        last = max(self.segments, default=0) if self.is_ended else 0
        return sorted(n for n, segment in self.segments.items() if n != last and self._is_releasable(segment))

    def _is_releasable(self, segment: OpenSegment) -> bool:
        return self.durable >= position(segment.serial, segment.end) and self._is_final(segment)

    def last_number(self) -> int:
        """Return the number of the last record of a lane that has ended."""
        last = max(self.segments, default=0)
        if not last:
            return self.stored_last
        segment = self.segments[last]
        segment.refresh()
        return max(self.stored_last, segment.last_number)

    def note_stored(self, numbers: set[int], durable: int, *, is_after_power_loss: bool) -> None:
        """
        Take note of the numbers that the files hold: what is read of the lane is compared with them.

        `durable` is the lane's position in the last checkpoint: nothing behind it was ever released. After a
        power loss even the segment that it stands in may be gone.
        """
        if is_after_power_loss:
            self.released_serial = max(durable, self.durable) >> OFFSET_BITS
        self.stored = numbers or None
        self.stored_last = max(numbers, default=0)
        self.stored_end = self.end_position()
        self.has_copy = False

    def close(self) -> None:
        """Close the descriptors."""
        for segment in self.segments.values():
            segment.close()
        self.segments.clear()

    def _cut(self, segment: OpenSegment, offset: int, bytes_max: int) -> int:
        """
        Return the end of a slice from `offset`.

        Everything, or whole lines up to `bytes_max`, one at least.
        """
        if segment.end - offset <= bytes_max:
            return segment.end
        window = segment.read(offset, offset + bytes_max)
        newline = window.rfind(b"\n")
        reach = bytes_max
        while newline < 0:
            reach *= 2
            window = segment.read(offset, min(offset + reach, segment.end))
            newline = window.find(b"\n")
        return offset + newline + 1

    def _is_final(self, segment: OpenSegment) -> bool:
        """
        Whether nothing can be added to a segment.

        Order matters: that the successor exists is seen first, then the head is read once more.
        """
        if not (segment.is_complete or self.is_ended or self._is_used(segment.serial + 1)):
            return False
        before = segment.end
        segment.refresh()
        return segment.end == before

    def _is_used(self, serial: int) -> bool:
        """Whether the producer has gone on to a segment; an empty one it may have made and not taken."""
        segment = self.segments.get(serial)
        if segment is None:
            return False
        segment.refresh()
        return segment.end > HEADER_BYTES or segment.is_complete

    def _next_segment(self, serial: int) -> OpenSegment | None:
        """Return the segment of a position, or its successor when it is released, durable by then."""
        is_read = self.is_whole and self.place() >= (serial, HEADER_BYTES)
        found = self._segment(serial) or (self._segment(serial + 1) if is_read else None)
        wanted = serial + 1 if is_read else serial
        return found or self._covering(wanted) or self._behind_hole(serial)

    def _covering(self, serial: int) -> OpenSegment | None:
        """Return the later stub that stands for a segment."""
        later = sorted(number for number in self.segments if number > serial)
        return next((self.segments[n] for n in later if 0 < self.segments[n].header.covers <= serial), None)

    def _take_behind(self, serial: int) -> None:
        """Take the segment behind a stub, if that is final: a dropper may be about to take the stub over."""
        self.open_all()
        later = min((number for number in self.segments if number > serial), default=0)
        if later and self._is_final(self.segments[later]):
            self.take(later)

    def _behind_hole(self, serial: int) -> OpenSegment | None:
        """Return the next segment of an ended lane when `serial` was removed before it was opened."""
        later = [number for number in self.segments if number > serial]
        if not self.is_ended or not later:
            return None
        return self.segments[min(later)]

    def _note_hole(self, segment: OpenSegment) -> None:
        before = max((serial for serial in self.segments if serial < segment.serial), default=0)
        previous = self.segments.get(before)
        found = missing.before(segment, previous, self.released_serial, self.stored or ())
        self.holes += [hole for hole in found if hole not in self.holes]

    def _segment(self, serial: int) -> OpenSegment | None:
        if serial in self.segments:
            return self.segments[serial]
        for directory in self.directories:
            for name in chain.names_of(serial):
                segment = self._opened(serial, directory / name)
                if segment is not None:
                    self.segments[serial] = segment
                    self.has_copy = self.has_copy or segment.header.place == COPY
                    return segment
                if self.unknown:
                    return None
        return None

    def _opened(self, serial: int, path: Path) -> OpenSegment | None:
        """Open a segment; None when it is not there, or a stub for what is read already, which goes."""
        try:
            segment = OpenSegment.open(serial, path, is_taken=path.name == taken_name(serial))
        except LaneError as error:
            self.unknown = str(error)
            return None
        if segment is not None and self._is_late(segment):
            segment.close()
            files.remove(path)
            return None
        return segment

    def _is_late(self, segment: OpenSegment) -> bool:
        """Whether a dropper put a stub where its segment was read, and maybe released, before it came."""
        is_read = self.written > position(segment.serial, HEADER_BYTES)
        return segment.header.is_stub and not segment.is_taken and is_read

    def _let_go_of_dropped(self) -> None:
        """Close the segments that gave way to a stub: their space is taken as long as we have them open."""
        for serial, segment in sorted(self.segments.items(), reverse=True):
            if segment.is_taken or not segment.is_replaced():
                continue
            paths = (directory / segment_name(serial) for directory in self.directories)
            if any(self._put_stub(serial, path, is_taken=False) for path in paths):
                continue
            if self._covering(serial):
                self.segments.pop(serial).close()

    def _put_stub(self, serial: int, path: Path, *, is_taken: bool) -> bool:
        """Go on with the stub that stands where a segment was; whether there is one."""
        stub = self._opened(serial, path)
        if stub is None or not stub.header.is_stub:
            if stub is not None:
                stub.close()
            return False
        stub.is_taken = is_taken
        self.segments.pop(serial).close()
        self.segments[serial] = stub
        return True
