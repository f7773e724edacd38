"""
The FUSE file system of `fuse_rules`: a directory behind, reached as the rules allow.

Run as a script: the mount point, the file of rules, the directory behind.
"""

# ruff: noqa: D102 - the operations are FUSE's, and do to the file behind what their names say

from __future__ import annotations

import ctypes
import errno
import fnmatch
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mfusepy

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_FOR_EVER = 1 << 62


class Rules:
    """The rules in force, read again at each operation, and how often each has matched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._matched: Counter[str] = Counter()

    def action(self, operation: str, path: str) -> str:
        """Return what is to happen now, empty for nothing; waits while a rule says `hang`."""
        while (action := self._found(operation, path)) == "hang":
            time.sleep(0.02)
        return action

    def _found(self, operation: str, path: str) -> str:
        for line in self._path.read_text().splitlines():
            name, glob, action, *calls = line.split()
            if name not in ("*", operation) or not fnmatch.fnmatch(path, glob):
                continue
            self._matched[line] += 1
            first, last = (
                [*map(int, calls), 1, _FOR_EVER][:2] if len(calls) != 1 else (int(calls[0]), _FOR_EVER)
            )
            if first <= self._matched[line] <= last:
                return action
        return ""


def ruled(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Let the rules decide before the operation, and give it the path behind."""

    def obeying(self: Any, path: str, *arguments: Any) -> Any:
        action = self.rules.action(operation.__name__, path)
        if action == "short":
            arguments = (arguments[0][: max(1, len(arguments[0]) // 2)], *arguments[1:])
        elif action:
            raise mfusepy.FuseOSError(getattr(errno, action))
        return operation(self, self.behind + path, *arguments)

    obeying.__name__ = operation.__name__
    return obeying


class Passage(mfusepy.Operations):
    """Each operation on the file behind; `path` is already that one's."""

    use_ns = True

    def __init__(self, rules: Rules, behind: str) -> None:
        self.rules = rules
        self.behind = behind

    @ruled
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(path) if fh is None else os.fstat(fh)
        names = ("mode", "ino", "nlink", "uid", "gid", "size", "blocks")
        told = {f"st_{name}": getattr(found, f"st_{name}") for name in names}
        return told | {f"st_{name}": getattr(found, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}

    @ruled
    def readdir(self, path: str, _fh: int) -> list[tuple[str, dict[str, int], int]]:
        entries = []
        for name in (".", "..", *os.listdir(path)):
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(path, name))
                entries.append((name, {"st_mode": found.st_mode, "st_ino": found.st_ino}, 0))
        return entries

    @ruled
    def open(self, path: str, flags: int) -> int:
        return os.open(path, flags & ~(os.O_APPEND | os.O_EXCL | os.O_CREAT))

    @ruled
    def create(self, path: str, mode: int, _info: Any = None) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT, mode)

    @ruled
    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @ruled
    def write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @ruled
    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(path if fh is None else fh, length)

    @ruled
    def fsync(self, _path: str, _datasync: int, fh: int) -> None:
        os.fsync(fh)

    @ruled
    def fsyncdir(self, path: str, _datasync: int, _fh: int) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @ruled
    def release(self, _path: str, fh: int) -> None:
        os.close(fh)

    @ruled
    def unlink(self, path: str) -> None:
        os.unlink(path)

    @ruled
    def rename(self, path: str, target: str) -> None:
        os.rename(path, self.behind + target)

    @ruled
    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    @ruled
    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    @ruled
    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    @ruled
    def chown(self, path: str, user: int, group: int) -> None:
        os.chown(path, user, group)

    @ruled
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(path, ns=times)

    @ruled
    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(path)
        names = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "namemax")
        return {f"f_{name}": getattr(found, f"f_{name}") for name in names}


def main(point: str, rules: str, behind: str) -> None:
    """Be the file system, until killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    passage = Passage(Rules(Path(rules)), behind)
    mfusepy.FUSE(passage, point, foreground=True, nothreads=False, use_ino=True, attr_timeout=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
