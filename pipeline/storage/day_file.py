"""
One open day file: appended to at its end, checked before each append, synced by whoever keeps the positions.

It is opened O_APPEND: bytes that a person adds between our look and our write are never overwritten.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint, files
from pipeline.limits import MIB
from pipeline.storage import holding, naming

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.storage.grip import Grip
    from pipeline.storage.naming import DayName

INTACT: Final = "intact"
MOVED: Final = "moved"
DELETED: Final = "deleted"
TRUNCATED: Final = "truncated"
FOREIGN: Final = "foreign_bytes"
FULL: Final = "full"
"""Nobody did anything to it: it is as long as `rotate_max_mb` allows."""


def bytes_max(settings: Settings) -> int:
    """Return how long a file may become; a record that is longer has one of its own."""
    return int(settings.rotate_max_mb * MIB) or sys.maxsize


class DayFile:
    """`size` is where our own bytes end; anything else at the end of the file is somebody's."""

    def __init__(self, path: Path, day: DayName, grip: Grip, mode: int | None = None) -> None:
        """Open a file that is there; with a mode, make one that is not. OSError when that cannot be."""
        self.day = day
        self.path = path
        self.is_new = mode is not None
        how = files.CREATE | os.O_APPEND if self.is_new else files.APPEND & ~os.O_CREAT | os.O_NOFOLLOW
        self.fd = os.open(self.path, how, mode or 0)
        self.is_shared = holding.share(self.fd)
        """Whether it may be appended to, as far as locks say: nobody packs it, or lets it leave, just now."""
        found = os.fstat(self.fd)
        self.volume, self.inode = grip.identity_of(found)
        self.size = found.st_size
        self.synced_size = self.published_size = found.st_size
        """How long it was at its last sync, and at the last one that positions were published with."""
        self.is_noted = False
        """Whether the control page knows its size as of the last sync."""
        # Whoever created it may have died before it synced the name.
        self.needs_directory_sync = True

    @property
    def name(self) -> str:
        """The file's name in the log directory."""
        return self.path.name

    def may_be_written(self) -> bool:
        """Whether its records go here: nobody packs it, and no packed copy has taken its place."""
        is_here = files.same_file(self.fd, self.path)
        return self.is_shared and is_here and naming.packed_copy(self.path) is None

    def change(self) -> str:
        """Return what somebody did to the file since our last append, INTACT mostly."""
        here = os.fstat(self.fd)
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):  # the latter: the log directory is gone
            there = None
        if there is None or not os.path.samestat(here, there):
            return MOVED if here.st_nlink else DELETED
        if here.st_size == self.size:
            return INTACT
        return FOREIGN if here.st_size > self.size else TRUNCATED

    def actual_size(self) -> int:
        """Return how long the file is."""
        return os.fstat(self.fd).st_size

    def append(self, chunks: list[bytes]) -> None:
        """Append all of it, over short writes. OSError leaves `size` at what did arrive."""
        if failpoint.is_aimed_at("writer.append.partial"):
            self._append_half(chunks)
        pending = [memoryview(chunk) for chunk in chunks if chunk]
        while pending:
            count = os.writev(self.fd, pending)
            self.size += count
            pending = _behind(pending, count)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the file."""
        return files.pread_all(self.fd, end - start, start)

    def ends_with_newline(self) -> bool:
        """Whether the next line can begin at the end of the file."""
        size = self.actual_size()
        return size == 0 or os.pread(self.fd, 1, size - 1) == b"\n"

    def sync(self) -> None:
        """Make what was appended durable, and the file's name when it is new."""
        failpoint.reach("writer.sync.before")
        size = self.size
        os.fsync(self.fd)
        if self.needs_directory_sync:
            failpoint.reach("writer.sync.before_directory")
            files.sync_directory(self.path.parent)
            self.needs_directory_sync = False
        self.synced_size = size
        failpoint.reach("writer.sync.after")

    def cut_to(self, size: int) -> bytes:
        """Shorten the file and return what was cut."""
        cut = self.read(size, self.actual_size())
        os.ftruncate(self.fd, size)
        self.size = size
        return cut

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def _append_half(self, chunks: list[bytes]) -> None:
        """Write up to the middle of a line, as a killed write(2) does, then die."""
        data = b"".join(chunks)
        stop = len(data) // 2
        if stop > 0 and data[stop - 1 : stop] == b"\n":
            stop -= 1
        files.write_all(self.fd, data[:stop])
        failpoint.reach("writer.append.partial")
        self.size += stop
        chunks[:] = [data[stop:]]


def _behind(pending: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of the buffers behind the first `count` bytes."""
    for index, chunk in enumerate(pending):
        if count < len(chunk):
            return [chunk[count:], *pending[index + 1 :]]
        count -= len(chunk)
    return []
