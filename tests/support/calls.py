"""
System calls and transactions of played processes: each is told to `Actors`, and asks the volume it is on.

Only what lies below one directory is concerned. Calls that no crash or fault can tell apart from their
absence (the heartbeat, the workers' own log) are made without a word.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from support.actors import path_of
from support.broken_volume import VOLUME_BYTES, refusal

from pipeline.host import files
from pipeline.host.locks import RecordLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.actors import Actors
    from support.broken_volume import BrokenVolume

_UNTOLD: Final = ("/writer.beat", "/workers.log", "/writer.json", ".writer.json.new", ".writer.json.")
_PAGE_BYTES: Final = 4096
_NAMES: Final = ("mkdir", "rename", "replace", "rmdir", "unlink", "remove")


class Calls:
    """Puts itself in the place of the functions of `os`, of sqlite3 and of record locks."""

    def __init__(self, home: str, volume: BrokenVolume, actors: Actors) -> None:
        self.fallback_trouble = ""
        """What is wrong with the fallback: "full", "locked" or "broken"."""
        self.parting: Callable[[str], object] = lambda _: None
        """Called with the path of a file on the volume before its name goes."""
        self._home = home
        self._volume = volume
        self._actors = actors
        self._real: dict[str, Callable[..., Any]] = {}

    def put_in_place(self, change: Callable[..., None]) -> None:
        """Wrap everything; `change` is that of a monkeypatch, which takes it back."""
        others = ("open", "close", "write", "writev", "pwrite", "ftruncate", "fsync", "fdatasync")
        looks = ("stat", "lstat", "fstat", "access", "statvfs")
        for name in (*others, *looks, "posix_fallocate"):
            self._real[name] = getattr(os, name)
            change(os, name, getattr(self, f"_{name}"))
        for name in _NAMES:
            change(os, name, partial(self._change_names, name, getattr(os, name)))
        real_open = io.open
        for module in (io, builtins):
            change(module, "open", partial(self._open_file, real_open))
        self._put_locks_in_place(change)
        connect = sqlite3.connect
        change(sqlite3, "connect", lambda *args, **more: self._connect(connect, *args, **more))

    # Descriptors

    def _open(self, path: Any, flags: int, *arguments: Any, **more: Any) -> int:
        place = self._place(path)
        if not place:
            return int(self._real["open"](path, flags, *arguments, **more))
        with self._telling("open", place if flags & (os.O_CREAT | os.O_TRUNC) else ""):
            if self._volume.holds(place):
                self._volume.check_open(place, flags)
            fd: int = self._real["open"](path, flags, *arguments, **more)
            self._actors.opened(fd)
        return fd

    def _close(self, fd: int) -> None:
        if self._actors.current.is_dead:
            return  # its handlers are not played; what it has open is closed when it is buried
        self._actors.closed(fd)
        self._real["close"](fd)

    def _write(self, fd: int, data: Any) -> int:
        place = path_of(fd)
        if not self._is_ours(place):
            return int(self._real["write"](fd, data))
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if _appends(fd):
            end = self._real["fstat"](fd).st_size
        return self._written("write", fd, place, bytes(data), end, lambda part: self._real["write"](fd, part))

    def _writev(self, fd: int, chunks: Any) -> int:
        return self._write(fd, b"".join(chunks))

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        place = path_of(fd)
        if not self._is_ours(place):
            return int(self._real["pwrite"](fd, data, offset))
        return self._written(
            "pwrite", fd, place, bytes(data), offset, lambda part: self._real["pwrite"](fd, part, offset)
        )

    def _written(
        self, name: str, fd: int, place: str, data: bytes, offset: int, write: Callable[[bytes], int]
    ) -> int:
        with self._telling(name, place, f"{offset}+{len(data)}") as how:
            if how == "half":
                data = data[: len(data) // 2]
            if self._volume.holds(place):
                data = data[: self._volume.allowance(fd, place, offset, len(data))]
            return write(data)

    def _ftruncate(self, fd: int, size: int) -> None:
        place = path_of(fd)
        with self._telling("ftruncate", place, str(size)):
            if self._volume.holds(place):
                self._volume.cut(fd, place, size)
            self._real["ftruncate"](fd, size)

    def _fsync(self, fd: int) -> None:
        place = path_of(fd)
        with self._telling("fsync", place):
            if self._volume.holds(place):
                self._volume.sync(fd, place)

    _fdatasync = _fsync

    def _posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        place = path_of(fd)
        if self._volume.holds(place):
            self._volume.check_change(place)
            if self._volume.room is not None and self._volume.room < length:
                raise refusal(errno.ENOSPC, place)
        self._real["posix_fallocate"](fd, offset, length)

    # Names

    def _change_names(
        self, name: str, real: Callable[..., Any], path: Any, *arguments: Any, **more: Any
    ) -> Any:
        place = self._place(path)
        with self._telling(name, "" if "dir_fd" in more else place):
            if place and self._volume.holds(place):
                self._volume.check_change(place)
                if name in ("unlink", "remove") and "dir_fd" not in more:
                    self._part(place)
            return real(path, *arguments, **more)

    def _part(self, place: str) -> None:
        """Tell of a file whose name goes, and give its room back."""
        try:
            size = self._real["stat"](place).st_size
        except FileNotFoundError:
            return
        self.parting(place)
        self._volume.give_back(size)

    def _open_file(
        self, real: Callable[..., Any], path: Any, mode: str = "r", *more: Any, **options: Any
    ) -> Any:
        place = "" if isinstance(path, int) else self._place(path)
        if not place or not set(mode) & set("wax+"):
            return real(path, mode, *more, **options)
        with self._telling("open", place):
            if self._volume.holds(place):
                self._check_file(place, is_new="r" not in mode)
            return real(path, mode, *more, **options)

    def _check_file(self, place: str, *, is_new: bool) -> None:
        """Refuse to open a file whose writes are not seen here, if they would be refused."""
        self._volume.check_open(place, os.O_RDWR)
        if self._volume.room is not None and self._volume.room < _PAGE_BYTES and is_new:
            raise refusal(errno.ENOSPC, place)
        if self._volume.write_errors and "/.probe-" in place:
            raise refusal(errno.EIO, place)

    # What is there

    def _stat(self, path: Any, **more: Any) -> os.stat_result:
        found = self._real["stat"](path, **more)
        return self._seen(found, path_of(path) if isinstance(path, int) else self._place(path))

    def _lstat(self, path: Any, **more: Any) -> os.stat_result:
        return self._seen(self._real["lstat"](path, **more), self._place(path))

    def _fstat(self, fd: int) -> os.stat_result:
        return self._seen(self._real["fstat"](fd), path_of(fd))

    def _seen(self, found: os.stat_result, place: str) -> os.stat_result:
        if not place or not self._volume.holds(place):
            return found
        values, names = found.__reduce__()[1]  # type: ignore[misc]
        return os.stat_result((*values[:2], self._volume.device, *values[3:]), names)

    def _access(self, path: Any, mode: int, **more: Any) -> bool:
        place = self._place(path)
        if place and mode & os.W_OK and self._volume.holds(place):
            try:
                self._volume.check_open(place, os.O_RDWR)
            except OSError:
                return False
        return bool(self._real["access"](path, mode, **more))

    def _statvfs(self, path: Any) -> os.statvfs_result:
        found: os.statvfs_result = self._real["statvfs"](path)
        place = self._place(path)
        if self.fallback_trouble == "full" and "/fallback" in place:
            return os.statvfs_result((*found[:3], 0, 0, *found[5:]))
        if place and self._volume.holds(place):
            return os.statvfs_result((1, 1, VOLUME_BYTES, *[self._volume.free] * 2, *found[5:]))
        return found

    # The fallback store

    def _connect(
        self, real: Callable[..., sqlite3.Connection], address: str, **more: Any
    ) -> sqlite3.Connection:
        if self._home not in address:
            return real(address, **more)
        found = real(address, factory=partial(_Connection, self), **more)
        self._actors.current.connections.append(found)
        return found

    @contextmanager
    def transacting(self, statement: str) -> Iterator[None]:
        """Tell of a statement that begins or ends a transaction; OperationalError where it is refused."""
        how = self._actors.call("sqlite", statement)
        try:
            if self.fallback_trouble == "locked" and statement == "BEGIN IMMEDIATE":
                raise sqlite3.OperationalError("database is locked")
            if self.fallback_trouble == "broken" and statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            yield
        except sqlite3.Error:
            if not how:
                raise
        if how:
            self._actors.die(statement)

    # Locks

    def _put_locks_in_place(self, change: Callable[..., None]) -> None:
        actors, close = self._actors, RecordLock.close

        def try_acquire(lock: RecordLock, byte: int | None = None) -> bool:
            return actors.lock(files.identity_of(lock.fd), byte)

        def release(lock: RecordLock, byte: int) -> None:
            actors.unlock(files.identity_of(lock.fd), byte)

        def closing(lock: RecordLock) -> None:
            if lock.fd >= 0:
                actors.unlock_all(files.identity_of(lock.fd))
            close(lock)

        change(RecordLock, "try_acquire", try_acquire)
        change(RecordLock, "release", release)
        change(RecordLock, "close", closing)

    @contextmanager
    def _telling(self, name: str, place: str, about: str = "") -> Iterator[str]:
        """Tell of a call, and die behind it if that is asked for, whether it worked or not."""
        how = ""
        if self._is_ours(place) and not any(word in place for word in _UNTOLD):
            how = self._actors.call(name, f"{place.removeprefix(self._home)} {about}")
        try:
            yield how
        except OSError:
            if not how:
                raise
        if how:
            self._actors.die(name)

    def _is_ours(self, place: str) -> bool:
        return place.startswith(self._home)

    def _place(self, path: Any) -> str:
        """Return a path as a text if it is below our directory, else an empty one."""
        text = path_of(path) if isinstance(path, int) else os.fsdecode(path)
        if text.startswith("/proc/self/fd/"):
            number, _, rest = text.removeprefix("/proc/self/fd/").partition("/")
            text = path_of(number) + (f"/{rest}" if rest else "")
        if not text.startswith(self._home):
            return ""
        return os.path.normpath(text) if ".." in text else text


class _Connection(sqlite3.Connection):
    """A connection whose transactions are told."""

    def __init__(self, calls: Calls, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._calls = calls

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement; a dead actor's is not run."""
        if not statement.startswith(("BEGIN", "COMMIT", "VACUUM")):
            return super().execute(statement, *arguments)
        with self._calls.transacting(statement):
            return super().execute(statement, *arguments)


def _appends(fd: int) -> bool:
    import fcntl

    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)
