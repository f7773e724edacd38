"""
Locks between processes.

`RecordLock` is a POSIX record lock (fcntl): it ends with its process, is not inherited by a fork, and tells
who holds it. The price is that it also ends when its process closes *any* descriptor of the file, so a file
that carries one is opened once per process, and `holder` must never be asked by the process that may be the
holder.

`GateLock` is a flock: many may hold it shared, one exclusive. It guards moments, not lives, so inheritance is
no worry.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_FLOCK: Final = struct.Struct("@hhqqi4x")
"""struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid."""


class RecordLock:
    """A record lock, of a whole file or of one byte of it; `path` is created when missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def try_acquire(self, byte: int | None = None) -> bool:
        """Take the lock unless another process has it."""
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, *_range(byte))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, byte: int) -> None:
        """Give the lock on one byte up."""
        fcntl.lockf(self.fd, fcntl.LOCK_UN, *_range(byte))

    def is_current(self) -> bool:
        """Whether the path still leads to the file that was locked."""
        try:
            return os.path.samestat(os.fstat(self.fd), self.path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Give the lock up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _range(byte: int | None) -> tuple[int, int]:
    """Return (length, start) of a byte; length 0 is to the end of the file, whatever its size."""
    return (0, 0) if byte is None else (1, byte)


def holder_of(fd: int, byte: int | None = None) -> int | None:
    """
    Return the pid of a process holding a record lock on an open file, None when it is free.

    0 or a negative number is a holder in another pid namespace.
    """
    length, start = _range(byte)
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


def holder(path: Path) -> int | None:
    """Return who holds the record lock on `path`; None when nobody does or there is no such file."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return holder_of(fd)
    finally:
        os.close(fd)


class GateLock:
    """
    A flock on a file that may be removed while one waits for it.

    Whoever holds it exclusive may unlink the file, so a holder makes sure that the path still leads to what
    it locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, *, exclusive: bool, wait: bool = True) -> bool:
        """
        Take the lock; False when `wait` is false and somebody has it.

        OSError when the directory is gone.
        """
        how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, how)
                if os.path.samestat(os.fstat(fd), self.path.stat()):
                    self._fd = fd
                    return True
            except BlockingIOError:
                os.close(fd)
                return False
            except FileNotFoundError:
                pass
            os.close(fd)

    def release(self) -> None:
        """Give the lock up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
