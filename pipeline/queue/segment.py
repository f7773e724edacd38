"""
A producer's segments: in memory, mapped, or on disk, appended with write(2).

Both keep the same head word, `records << 32 | end`, in `words[HEAD_WORD]`. In memory it is mapped and its
store commits the record; on disk it mirrors the file, whose last newline commits.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import TYPE_CHECKING, Final

from pipeline.host import clock, failpoint, files
from pipeline.limits import SLOW_WRITE_SEC
from pipeline.queue import armed
from pipeline.queue.layout import (
    DISK,
    HEAD_WORD,
    HEADER_BYTES,
    MEMORY,
    OFFSET_MASK,
    ONE_RECORD,
    OPEN,
    STATE_OFFSET,
    STATE_WORD,
    SUCCEEDED,
    VERSION,
    Header,
    pack_header,
    segment_name,
    taken_name,
)

if TYPE_CHECKING:
    from pathlib import Path

_SUCCEEDED_BYTES: Final = SUCCEEDED.to_bytes(8, "little")


def _new_header(place: int, producer: str, period: str, first_number: int) -> bytes:
    return pack_header(Header(VERSION, place, HEADER_BYTES, first_number, OPEN, period, producer))


class MemorySegment:
    """
    A mapped segment in /dev/shm.

    Its blocks are allocated before it is mapped: a full /dev/shm is an OSError here and never a SIGBUS later.
    """

    __slots__ = ("_fd", "_map", "identity", "path", "room_end", "serial", "view", "words")

    def __init__(
        self,
        lane_dir: Path,
        serial: int,
        producer: str,
        period: str,
        first_number: int,
        size: int,
        *,
        is_taken: bool = False,
    ) -> None:
        self.serial = serial
        self.path = lane_dir / (taken_name if is_taken else segment_name)(serial)
        draft = lane_dir / f".{serial:08d}.new"
        files.remove(draft)
        self._fd = os.open(draft, files.CREATE, 0o600)
        failpoint.reach("emit.segment.drafted")
        try:
            os.posix_fallocate(self._fd, 0, size)
            files.pwrite_all(self._fd, _new_header(MEMORY, producer, period, first_number), 0)
            self._map = mmap.mmap(self._fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
            failpoint.reach("emit.segment.prepared")
            draft.rename(self.path)
        except BaseException:
            os.close(self._fd)
            files.remove(draft)
            raise
        self.identity = files.identity_of(self._fd)
        self.view: memoryview | armed.ArmedView = memoryview(self._map)
        self.words: memoryview | armed.ArmedWords = self.view[:HEADER_BYTES].cast("Q")
        if failpoint.IS_ARMED:
            self.view, self.words = armed.ArmedView(self.view), armed.ArmedWords(self.words)
        self.room_end = size

    def append(self, line: bytes) -> None:
        """Store the line, then the head. The caller has seen that it fits."""
        word = self.words[HEAD_WORD]
        start = word & OFFSET_MASK
        self.view[start : start + len(line)] = line
        self.words[HEAD_WORD] = word + len(line) + ONE_RECORD

    def is_unlinked(self) -> bool:
        """Whether somebody removed the file under us."""
        return files.link_count(self._fd, self.identity) < 1

    def committed(self) -> bytes:
        """Return the committed records."""
        return bytes(self.view[HEADER_BYTES : self.words[HEAD_WORD] & OFFSET_MASK])

    def mark_succeeded(self) -> None:
        """Tell the writer that the next segment stands in the directory."""
        self.words[STATE_WORD] = SUCCEEDED

    def close(self) -> None:
        """Unmap. A thread that still holds a view keeps the mapping alive until it lets go."""
        self.words.release()
        self.view.release()
        self._map.close()
        files.close_if_ours(self._fd, self.identity)


class DiskSegment:
    """
    A segment in the state directory.

    Nothing of it is mapped; an error is an OSError in the thread that appends.
    """

    __slots__ = ("_fd", "_is_torn", "identity", "is_slow", "path", "room_end", "serial", "view", "words")

    def __init__(
        self,
        lane_dir: Path,
        serial: int,
        producer: str,
        period: str,
        first_number: int,
        size: int,
        place: int = DISK,
        *,
        is_taken: bool = False,
    ) -> None:
        self.serial = serial
        self.path = lane_dir / (taken_name if is_taken else segment_name)(serial)
        self.is_slow = False
        self._is_torn = False
        header = _new_header(place, producer, period, first_number)
        draft = lane_dir / f".{serial:08d}.new"
        files.remove(draft)
        self._fd = os.open(draft, files.CREATE | os.O_APPEND, 0o600)
        failpoint.reach("emit.segment.drafted")
        try:
            files.write_all(self._fd, header)
            failpoint.reach("emit.segment.prepared")
            draft.rename(self.path)
        except BaseException:
            os.close(self._fd)
            files.remove(draft)
            raise
        self.identity = files.identity_of(self._fd)
        self.words = memoryview(bytearray(header)).cast("Q")
        self.view = memoryview(b"")
        self.room_end = size

    def append(self, line: bytes) -> None:
        """
        Write the line. OSError when it cannot be written whole; then nothing of it stays.

        The torn mark covers a signal handler that raises between the write and the new head.
        """
        if files.link_count(self._fd, self.identity) < 0:
            raise OSError(errno.EBADF, "the application closed this lane's descriptor", str(self.path))
        self._is_torn = True
        begun = clock.monotonic()
        try:
            if failpoint.is_aimed_at("emit.disk.partial"):
                self._write_half(line)
            files.write_all(self._fd, line)
            failpoint.reach("emit.disk.written")
        except OSError:
            self._mend()
            raise
        self.words[HEAD_WORD] += len(line) + ONE_RECORD
        self._is_torn = False
        self.is_slow = clock.monotonic() - begun > SLOW_WRITE_SEC

    def _write_half(self, line: bytes) -> None:
        """Die with half a line written, or take it back when this is not yet the time to die."""
        size = os.fstat(self._fd).st_size
        files.write_all(self._fd, line[: len(line) // 2])
        failpoint.reach("emit.disk.partial")
        os.ftruncate(self._fd, size)

    def mend_if_torn(self) -> None:
        """Bring the head in line with the file after an append that was interrupted."""
        if self._is_torn:
            self._mend()

    def _mend(self) -> None:
        """Count whole lines that were written but not counted, and cut a half one off."""
        word = self.words[HEAD_WORD]
        end = word & OFFSET_MASK
        size = os.fstat(self._fd).st_size
        tail = files.pread_all(self._fd, size - end, end) if size > end else b""
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            os.ftruncate(self._fd, end + whole)
        self.words[HEAD_WORD] = word + whole + ONE_RECORD * tail.count(b"\n")
        self._is_torn = False

    def is_unlinked(self) -> bool:
        """Whether somebody removed the file under us."""
        return files.link_count(self._fd, self.identity) < 1

    def committed(self) -> bytes:
        """Return the committed records."""
        return files.pread_all(self._fd, (self.words[HEAD_WORD] & OFFSET_MASK) - HEADER_BYTES, HEADER_BYTES)

    def mark_succeeded(self) -> None:
        """Tell the writer that the next segment stands in the directory."""
        fcntl.fcntl(
            self._fd, fcntl.F_SETFL, 0
        )  # pwrite(2) would obey O_APPEND; nothing is appended here any more
        os.pwrite(self._fd, _SUCCEEDED_BYTES, STATE_OFFSET)

    @staticmethod
    def mark_file(path: Path) -> None:
        """Mark a segment that nobody has open. OSError when it is not there."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.pwrite(fd, _SUCCEEDED_BYTES, STATE_OFFSET)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor."""
        files.close_if_ours(self._fd, self.identity)


Segment = MemorySegment | DiskSegment
