"""
A volume that breaks as a test says, over an ordinary directory: whatever a process does on it asks here.

Unmounted lazily, an empty directory stands at the mount point; who has files open there goes on in the
detached volume, and what it writes is there when it is mounted again. A full one takes a part of a write
before it refuses. An fsync that fails may have lost its pages: they are read as before until the volume is
mounted again, and are zeros, or not there at all, from then on.
"""

from __future__ import annotations

import errno
import os
import shutil

_open, _stat, _rename, _mkdir, _truncate = open, os.stat, os.rename, os.mkdir, os.truncate
"""As they are before anybody wraps them."""
VOLUME_BYTES = 1 << 20
"""How large it calls itself."""


def refusal(number: int, place: str) -> OSError:
    """Return the error that a system call ends with."""
    return OSError(number, os.strerror(number), place)


class BrokenVolume:
    """A volume mounted at `point`, well until it is told otherwise."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.device = 7001
        """What stat(2) says of its files; another number after another mount, if nobody had it open."""
        self.is_mounted = True
        self.room: int | None = None
        """Bytes that it still takes, None for no end."""
        self.is_read_only = False
        self.forbidden: set[int] = set()
        """Inodes that nobody may write to, as after chattr +i."""
        self.write_errors = 0
        """How many writes to day files fail with EIO from now on."""
        self.sync_errors = 0
        """How many syncs of day files fail with EIO from now on."""
        self.loses_pages = False
        self.synced: dict[int, int] = {}
        """Size of each file at its last good sync, by inode."""
        self._lost: dict[int, list[tuple[int, int]]] = {}
        self._away = f"{point}.away"

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with it."""
        is_usable = self.is_mounted and not self.is_read_only and not self.forbidden
        return is_usable and self.room is None and not (self.write_errors or self.sync_errors)

    @property
    def free(self) -> int:
        """What it calls free, in bytes."""
        return VOLUME_BYTES // 2 if self.room is None else self.room

    def give_back(self, size: int) -> None:
        """Have room for so many bytes more: a file has gone."""
        self.room = None if self.room is None else self.room + size

    def holds(self, path: str) -> bool:
        """Whether a path, or a descriptor's, leads to a file of the volume now."""
        return _is_in(path, self._away) or (self.is_mounted and _is_in(path, self.point))

    def heal(self) -> None:
        """Make it well, mounted where it was."""
        self.room, self.is_read_only, self.write_errors, self.sync_errors = None, False, 0, 0
        self.forbidden.clear()
        self.mount()

    def unmount(self) -> None:
        """Take it away from under everybody."""
        if self.is_mounted:
            _rename(self.point, self._away)
            _mkdir(self.point)
            self.is_mounted = False

    def mount(self, *, is_elsewhere: bool = False) -> None:
        """Put it back; what a failed fsync has lost is gone now. Nothing may have been made below it."""
        if self.is_mounted:
            return
        below = [os.path.join(parent, name) for parent, _, names in os.walk(self.point) for name in names]
        shutil.rmtree(self.point)
        _rename(self._away, self.point)
        self.is_mounted = True
        self.device += is_elsewhere
        self._lose_pages()
        assert not below, f"made below the mount point: {below}"

    # What calls ask

    def check_change(self, path: str) -> None:
        """Refuse to change names or content."""
        if self.is_read_only:
            raise refusal(errno.EROFS, path)

    def check_open(self, path: str, flags: int) -> None:
        """Refuse to open for writing what may not be written."""
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
        self.check_change(path)
        if self.forbidden and _inode_of(path) in self.forbidden:
            raise refusal(errno.EPERM, path)

    def allowance(self, fd: int, path: str, offset: int, length: int) -> int:
        """Return how much of a write arrives; OSError when nothing does."""
        self.check_change(path)
        found = os.fstat(fd)
        if found.st_ino in self.forbidden:
            raise refusal(errno.EPERM, path)
        if self.write_errors and is_records(path):
            self.write_errors -= 1
            raise refusal(errno.EIO, path)
        self._forget_lost(found.st_ino, offset, offset + length)
        growth = max(0, offset + length - found.st_size)
        if self.room is None or growth <= self.room:
            self.room = None if self.room is None else self.room - growth
            return length
        taken = length - (growth - self.room)
        self.room = 0
        if taken <= 0:
            raise refusal(errno.ENOSPC, path)
        return taken

    def cut(self, fd: int, path: str, size: int) -> None:
        """Refuse to shorten a file, or take note of it."""
        self.check_change(path)
        found = os.fstat(fd)
        if found.st_ino in self.forbidden:
            raise refusal(errno.EPERM, path)
        if self.room is not None:
            self.room += max(0, found.st_size - size)
        self._forget_lost(found.st_ino, size, 1 << 62)

    def sync(self, fd: int, path: str) -> None:
        """Fail a sync, or take note of it."""
        found = os.fstat(fd)
        if self.sync_errors and is_records(path):
            self.sync_errors -= 1
            start = min(self.synced.get(found.st_ino, 0), found.st_size)
            if self.loses_pages and start < found.st_size:
                self._lost.setdefault(found.st_ino, []).append((start, found.st_size))
            raise refusal(errno.EIO, path)
        self.synced[found.st_ino] = found.st_size

    def _forget_lost(self, inode: int, start: int, end: int) -> None:
        """Written again, or cut: what of it was lost is no more."""
        if inode in self._lost:
            parts = self._lost.pop(inode)
            left = [piece for part in parts for piece in _without(part, start, end)]
            if left:
                self._lost[inode] = left

    def _lose_pages(self) -> None:
        lost, self._lost = self._lost, {}
        places = (os.path.join(parent, name) for parent, _, names in os.walk(self.point) for name in names)
        for path in places if lost else ():
            for start, end in lost.get(_inode_of(path), ()):
                with _open(path, "r+b", buffering=0) as file:
                    size = file.seek(0, os.SEEK_END)
                    if end >= size:
                        _truncate(path, start)
                    else:
                        file.seek(start)
                        file.write(bytes(end - start))


def is_records(path: str) -> bool:
    """Whether a path is that of a file with records, or of a probe."""
    return ".jsonl" in path or "/.probe-" in path


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _inode_of(path: str) -> int:
    try:
        return _stat(path).st_ino
    except OSError:
        return -1


def _without(part: tuple[int, int], start: int, end: int) -> list[tuple[int, int]]:
    pieces = [(part[0], min(part[1], start)), (max(part[0], end), part[1])]
    return [piece for piece in pieces if piece[0] < piece[1]]
