"""
A directory that refuses what a test says: for code of this process, and for the pipeline's own processes.

`FaultyDirectory` wraps the functions of `os` that change files, in this process, as `fragile` does. What C
code writes is not seen: a file of `open()`, SQLite. `LogDirectoryAway` is for a pipeline that runs: a plain
file stands in the place of its log directory, which stops every process and every user, root included.
"""

from __future__ import annotations

import errno
import os
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline.host import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_OPERATIONS: Final = {
    "open": ("open",),
    "write": ("write", "writev", "pwrite"),
    "cut": ("truncate", "ftruncate"),
    "sync": ("fsync", "fdatasync"),
    "name": ("mkdir", "rename", "replace", "link", "unlink", "remove", "rmdir"),
}
"""What can be refused, and the functions that do it."""


class FaultyDirectory:
    """
    A context manager over a directory; `refuses` says what fails there, by operation, with which errno.

        with FaultyDirectory(path) as disk:
            disk.refuses["write"] = errno.EIO       # or open, cut, sync, name
            disk.room = 100                         # so many bytes are taken, then ENOSPC
            disk.refuses.clear()                    # all is well again

    `only` is a pattern of the names of files that are meant.
    """

    def __init__(self, path: str | os.PathLike[str], *, only: str = "*") -> None:
        self.path = os.path.realpath(path)
        self.only = only
        self.refuses: dict[str, int] = {}
        self.room: int | None = None
        """Bytes that are still taken, None for no end. The last write that finds room may be a short one."""
        self._real: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> Self:
        for operation, names in _OPERATIONS.items():
            for name in names:
                self._real[name] = real = getattr(os, name)
                does = self._write if operation == "write" else self._do
                setattr(os, name, partial(does, operation, real))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _do(self, operation: str, real: Callable[..., Any], target: Any, *more: Any, **how: Any) -> Any:
        others = [name for name in more if operation == "name" and not isinstance(name, int)]
        if operation in self.refuses and any(self._is_meant(name, how) for name in (target, *others)):
            raise self._error(self.refuses[operation], target)
        return real(target, *more, **how)

    def _write(self, operation: str, real: Callable[..., int], fd: int, data: Any, *place: int) -> int:
        if self.room is None or not self._is_meant(fd, {}):
            return int(self._do(operation, real, fd, data, *place))
        whole = b"".join(map(bytes, data)) if isinstance(data, list | tuple) else bytes(data)
        piece = whole[: self.room]
        if whole and not piece:
            raise self._error(errno.ENOSPC, fd)
        write = self._real["pwrite" if place else "write"]
        written = int(self._do(operation, write, fd, piece, *place))
        self.room -= written
        return written

    def _is_meant(self, target: Any, how: dict[str, Any]) -> bool:
        path = self._path_of(target, how.get("dir_fd") or how.get("src_dir_fd"))
        return path.startswith(self.path + "/") and fnmatch(os.path.basename(path), self.only)

    @staticmethod
    def _path_of(target: Any, dir_fd: int | None) -> str:
        number = target if isinstance(target, int) else getattr(target, "fileno", lambda: None)()
        if isinstance(number, int):
            return os.readlink(f"/proc/self/fd/{number}").removesuffix(" (deleted)")
        base = os.readlink(f"/proc/self/fd/{dir_fd}") if dir_fd is not None else os.getcwd()
        parent, name = os.path.split(os.path.join(base, os.fsdecode(target)))
        return os.path.join(os.path.realpath(parent), name)

    def _error(self, number: int, target: Any) -> OSError:
        return OSError(number, os.strerror(number), self._path_of(target, None))


class LogDirectoryAway:
    """
    A context manager: while it lasts, the log directory of a running pipeline cannot be used.

        with LogDirectoryAway("logs"):
            application.work()                      # health says append_failing, then fallback_in_use
        # it is there again; within breaker_probe_sec what was recorded meanwhile comes into the files

    The directory has to be there. It is kept beside itself meanwhile, as `logs.away`.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.log_dir = os.path.realpath(log_dir)
        self.kept = self.log_dir + ".away"

    def __enter__(self) -> Self:
        with open(self.kept, "x", encoding="utf-8") as stranger:
            stranger.write("A test has taken the log directory away for a moment.\n")
        files.exchange(self.log_dir, self.kept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        files.exchange(self.log_dir, self.kept)
        os.unlink(self.kept)
