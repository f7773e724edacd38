"""
The writer's end of one lane.

It reads with pread(2) only: a segment that somebody truncates is then a short read and not a SIGBUS. It holds
a descriptor on every segment that is not released, so that `rm -r` of the lane loses nothing that was once
found.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import LaneError
from pipeline.host import failpoint, files
from pipeline.limits import OFFSET_BITS
from pipeline.queue.layout import (
    COPY,
    HEADER_BYTES,
    OFFSET_MASK,
    SUCCEEDED,
    Header,
    position,
    segment_name,
    serial_of,
    unpack_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
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
class OpenSegment:
    """A segment that is not released."""

    serial: int
    path: Path
    fd: int
    header: Header

    def refresh(self) -> None:
        """Read head and state again. Twice, should a copy in the kernel tear the word; heads only grow."""
        header = self._read()
        again = self._read()
        while header != again:
            header, again = again, self._read()
        self.header = header

    @property
    def start(self) -> int:
        """Offset of the first record."""
        return HEADER_BYTES

    @property
    def end(self) -> int:
        """Offset behind the last committed record, as of `refresh`."""
        return self.header.end

    @property
    def is_complete(self) -> bool:
        """Whether the producer has gone on to the next segment, as of `refresh`."""
        return self.header.state == SUCCEEDED

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end)."""
        return files.pread_all(self.fd, end - start, start)

    def _read(self) -> Header:
        header = unpack_header(os.pread(self.fd, HEADER_BYTES, 0), str(self.path))
        if not header.is_on_disk:
            return header
        return header._replace(head=max(self._last_line_end(), HEADER_BYTES))

    def _last_line_end(self) -> int:
        """
        Return where the last whole line of a disk segment ends; only what is new is looked at.

        It ends before a zero byte too: a power loss took what stood there, and what is behind was later.
        """
        known = max(self.header.end, HEADER_BYTES)
        size = os.fstat(self.fd).st_size
        end = known
        while known < size:
            piece = files.pread_all(self.fd, min(1 << 20, size - known), known)
            if not piece:
                break
            hole = piece.find(b"\0")
            newline = piece.rfind(b"\n", 0, hole if hole >= 0 else len(piece))
            if newline >= 0:
                end = known + newline + 1
            if hole >= 0:
                break
            known += len(piece)
        return end


@dataclass
class Tailer:
    """Where the writer is in one lane."""

    producer: str
    directories: list[Path]
    segments: dict[int, OpenSegment] = field(default_factory=dict)
    written: int = 0
    durable: int = 0
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
    unknown: str = ""
    """Why this lane cannot be read (a segment of another version); it is kept and reported."""

    def place(self) -> tuple[int, int]:
        """Return (serial, offset) up to which the lane is written."""
        return self.written >> OFFSET_BITS, self.written & OFFSET_MASK

    def pending(self, bytes_max: int) -> list[tuple[str, Slice]]:
        """Return (period, slice) of what is committed and not written, oldest first, up to `bytes_max`."""
        found: list[tuple[str, Slice]] = []
        serial, offset = self.place()
        serial, offset = max(serial, 1), max(offset, HEADER_BYTES)
        while bytes_max > 0 and (segment := self._next_segment(serial)) is not None:
            serial, offset = segment.serial, offset if segment.serial == serial else HEADER_BYTES
            segment.refresh()
            if self.is_ended and offset == HEADER_BYTES:
                self._note_hole(segment)
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
        """Whether anything committed is not written."""
        return bool(self.pending(1))

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
        newest = max(self.segments, default=self.place()[0])
        segment = self._segment(newest) or self._segment(newest + 1)
        while segment is not None:
            segment.refresh()
            segment = self._segment(segment.serial + 1) if segment.is_complete else None

    def open_all(self) -> None:
        """Open every segment that the lane's directories hold, in place of waiting to come to it."""
        for directory in self.directories:
            for name in files.names_in(directory):
                serial = serial_of(name)
                if serial is not None and serial >= (self.durable >> OFFSET_BITS):
                    self._segment(serial)

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
            failpoint.reach("writer.release.before_unlink")
            for directory in self.directories:
                files.remove(directory / segment_name(serial))
            failpoint.reach("writer.release.after_unlink")
            os.close(segment.fd)
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
        return max(self.stored_last, segment.header.first_number - 1 + _records_in(segment))

    def note_stored(self, numbers: set[int], durable: int) -> None:
        """
        Take note of the numbers that the files hold: what is read of the lane is compared with them.

        `durable` is the lane's position in the last checkpoint: nothing behind it was ever released.
        """
        self.released_serial = max(durable, self.durable) >> OFFSET_BITS
        self.stored = numbers or None
        self.stored_last = max(numbers, default=0)
        self.stored_end = self.end_position()
        self.has_copy = False

    def close(self) -> None:
        """Close the descriptors."""
        for segment in self.segments.values():
            os.close(segment.fd)
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
        found = self._segment(serial)
        if found is None and self.place() >= (serial, HEADER_BYTES):
            found = self._segment(serial + 1)
        return found or self._behind_hole(serial)

    def _behind_hole(self, serial: int) -> OpenSegment | None:
        """Return the next segment of an ended lane when `serial` was removed before it was opened."""
        later = [number for number in self.segments if number > serial]
        if not self.is_ended or not later:
            return None
        return self.segments[min(later)]

    def _note_hole(self, segment: OpenSegment) -> None:
        """Note which numbers before a segment neither its predecessor has nor, as far as is known, a file."""
        known = segment.header.first_number - 1
        before = max((serial for serial in self.segments if serial < segment.serial), default=0)
        if before:
            known = self.segments[before].header.first_number - 1 + _records_in(self.segments[before])
        elif segment.serial > max(1, self.released_serial):
            known = 0
        missing = (number for number in range(known + 1, segment.header.first_number))
        for hole in _ranges(number for number in missing if number not in (self.stored or ())):
            self.holes += [hole] if hole not in self.holes else []

    def _segment(self, serial: int) -> OpenSegment | None:
        if serial in self.segments:
            return self.segments[serial]
        for directory in self.directories:
            path = directory / segment_name(serial)
            try:
                fd = os.open(path, files.READ)
            except OSError:
                continue
            data = os.pread(fd, HEADER_BYTES, 0)
            try:
                header = unpack_header(data, str(path))
            except LaneError as error:
                os.close(fd)
                if any(data):  # else: a power cut took its content, and nothing is left to keep
                    self.unknown = str(error)
                return None
            segment = OpenSegment(serial, path, fd, header)
            segment.refresh()
            self.segments[serial] = segment
            self.has_copy = self.has_copy or header.place == COPY
            return segment
        return None


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of rising numbers."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _records_in(segment: OpenSegment) -> int:
    if not segment.header.is_on_disk:
        return segment.header.records
    return segment.read(HEADER_BYTES, segment.end).count(b"\n")
