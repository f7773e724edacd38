"""
A disk that fails and remembers: one image file in a FUSE file system, to be mounted through a loop device.

Its faults are words: `eio_write`, `eio_fsync`, `enospc`, `drop` (writes are lost without an error), `hang`.
All writes and flushes are logged, so that the image can be made again as a power cut at any flush leaves it.
Run as a script, this is the file system itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import signal
import stat
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "disk"
_WRITE = struct.Struct("<cQI")
"""b"W", offset, count of the bytes that follow; a flush is one of b"F", 0, 0."""
_SECTOR = 512
_PR_SET_PDEATHSIG = 1


class FuseDisk:
    """The disk as a test sees it: `image` is the file to mount."""

    def __init__(self, place: Path, size: int) -> None:
        from support.fuse_process import FuseProcess

        place.mkdir(parents=True, exist_ok=True)
        self._base = place / "base"
        self._store = place / "store"
        self._log = place / "log"
        self._place = place
        with self._store.open("wb") as file:
            file.truncate(size)
        self._log.touch()
        arguments = (str(self._store), str(self._log))
        self.process = FuseProcess(Path(__file__), place / "fuse", place / "faults", *arguments)
        self.image = place / "fuse" / _NAME

    def begin_log(self) -> None:
        """Log from here on: cuts begin with what is on the disk now. Nobody may write meanwhile."""
        shutil.copy(self._store, self._base)
        os.truncate(self._log, 0)

    def flushes(self) -> int:
        """Return how many flushes were logged."""
        return sum(kind == b"F" for kind, _, _ in self._logged())

    def cut_at(self, flush: int, seed: int | None = None) -> Path:
        """
        Return an image as a power cut behind the nth flush (from 0) leaves it.

        With a seed, each later write up to the next flush may be there too, in part or whole.
        """
        path = self._place / f"cut{flush}.{seed}"
        shutil.copy(self._base, path)
        dice = None if seed is None else random.Random(seed)
        count = 0
        with path.open("r+b") as file:
            for kind, offset, data in self._logged():
                count += kind == b"F"
                if count > flush + 1:
                    break
                if kind == b"W":
                    file.seek(offset)
                    file.write(data if count <= flush else _survivor(data, dice))
        return path

    def end(self) -> None:
        """Take it away."""
        self.process.end()

    def _logged(self) -> Iterator[tuple[bytes, int, bytes]]:
        data = self._log.read_bytes()
        place = 0
        while place + _WRITE.size <= len(data):
            kind, offset, count = _WRITE.unpack_from(data, place)
            place += _WRITE.size
            yield kind, offset, data[place : place + count]
            place += count


def _survivor(data: bytes, dice: random.Random | None) -> bytes:
    """Return what a power cut leaves of a write that no flush has covered: nothing, all, or whole sectors."""
    if dice is None or dice.random() < 1 / 3:
        return b""
    return data if dice.random() < 1 / 2 else data[: dice.randrange(len(data) // _SECTOR + 1) * _SECTOR]


def serve(point: str, faults: str, store: str, log: str) -> None:
    """Be the file system, until killed."""
    import mfusepy

    class Disk(mfusepy.Operations):
        """One file; called by one thread."""

        use_ns = True

        def __init__(self) -> None:
            self.fd = os.open(store, os.O_RDWR)
            self.log = os.open(log, os.O_WRONLY | os.O_APPEND)
            self.size = os.fstat(self.fd).st_size

        def getattr(self, path: str, _fh: int | None = None) -> dict[str, Any]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
            if path != f"/{_NAME}":
                raise mfusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self.size}

        def readdir(self, _path: str, _fh: int) -> list[str]:
            return [".", "..", _NAME]

        def read(self, _path: str, size: int, offset: int, _fh: int) -> bytes:
            return os.pread(self.fd, size, offset)

        def write(self, _path: str, data: bytes, offset: int, _fh: int) -> int:
            words = self._fail_on({"eio_write": errno.EIO, "enospc": errno.ENOSPC})
            if "drop" not in words:
                os.pwrite(self.fd, data, offset)
                os.write(self.log, _WRITE.pack(b"W", offset, len(data)) + data)
            return len(data)

        def fsync(self, _path: str, _datasync: int, _fh: int) -> int:
            self._fail_on({"eio_fsync": errno.EIO})
            os.write(self.log, _WRITE.pack(b"F", 0, 0))
            return 0

        def _fail_on(self, causes: dict[str, int]) -> set[str]:
            while "hang" in (words := set(Path(faults).read_text().split())):
                time.sleep(0.02)
            for word in words & set(causes):
                raise mfusepy.FuseOSError(causes[word])
            return words

    mfusepy.FUSE(Disk(), point, foreground=True, nothreads=True)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    serve(*sys.argv[1:])
