"""A segment as the writer reads it: with pread(2), through a descriptor that outlives the segment's name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.errors import LaneError
from pipeline.host import files
from pipeline.queue.layout import HEADER_BYTES, SUCCEEDED, Header, unpack_header

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class OpenSegment:
    """A segment that is not released, and its descriptor: that it is open does not mean that it is taken."""

    serial: int
    path: Path
    fd: int
    header: Header
    is_taken: bool = False
    """Whether it has the name of a segment that is the writer's."""

    @classmethod
    def open(cls, serial: int, path: Path, *, is_taken: bool) -> Self | None:
        """
        Open a segment; None when it is not there or a power cut took its content.

        LaneError when it is of another version.
        """
        try:
            fd = os.open(path, files.READ)
        except OSError:
            return None
        data = os.pread(fd, HEADER_BYTES, 0)
        try:
            found = cls(serial, path, fd, unpack_header(data, str(path)), is_taken)
        except LaneError:
            os.close(fd)
            if any(data):
                raise
            return None
        found.refresh()
        return found

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
        return self.header.start

    @property
    def end(self) -> int:
        """Offset behind the last committed record, as of `refresh`."""
        return self.header.end

    @property
    def is_complete(self) -> bool:
        """Whether the producer has gone on to the next segment, as of `refresh`."""
        return self.header.state == SUCCEEDED

    @property
    def records(self) -> int:
        """How many records it holds, as of `refresh`; of a stub, how many the dropped segment held."""
        if self.header.has_head:
            return self.header.records
        return self.read(HEADER_BYTES, self.end).count(b"\n")

    @property
    def last_number(self) -> int:
        """The action_number of its last record; of a stub, that of the dropped segment's."""
        return self.header.first_number - 1 + self.records

    def is_replaced(self) -> bool:
        """Whether what we have open is no longer what its path leads to."""
        return os.fstat(self.fd).st_nlink == 0

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end)."""
        return files.pread_all(self.fd, end - start, start)

    def _read(self) -> Header:
        header = unpack_header(os.pread(self.fd, HEADER_BYTES, 0), str(self.path))
        if header.has_head:
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
