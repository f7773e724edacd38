"""
A directory whose power can be cut: what this process does below it is remembered until it is synced.

The functions of `os` that change files and names are wrapped while the context lasts; what they did is noted
after they did it. A file that was changed in another way (`open(…).write`) counts as written anew, as a
whole, when it is looked at next. Everything is done for real, so that any code can be driven over it, and
only a cut takes something back. Not for several threads that write one file; other processes are not seen.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline.testing import volatile
from pipeline.testing.volatile import Directory, File, Move, Node

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from types import TracebackType

_WRAPPED: Final = (
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "mkdir",
    "open",
    "pwrite",
    "remove",
    "rename",
    "replace",
    "rmdir",
    "truncate",
    "unlink",
    "write",
    "writev",
)


class FragileDirectory:
    """
    A context manager over a directory that exists; what is in it then counts as synced.

    `cuts` tells how often the power was cut.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)
        self.cuts = 0
        self._root = Directory()
        self._nodes: dict[int, Node] = {os.stat(self.path).st_ino: self._root}
        """What is there now, by inode."""
        self._real: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> Self:
        self._catch_up()
        self._sync_all(self._root)
        for name in _WRAPPED:
            self._real[name] = getattr(os, name)
            setattr(os, name, partial(getattr(self, f"_{name}"), self._real[name]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)
        self._real.clear()

    def cut_power(self, dice: random.Random) -> str:
        """
        Leave what a power cut may leave; returns which of `volatile.FATES` it was.

        Whoever had files open has to be thrown away before, as a power cut does. Files that stay keep their
        inode.
        """
        self._catch_up()
        fate = dice.choice(volatile.FATES)
        volatile.settle(self._root, fate, dice)
        wrappers = {name: getattr(os, name) for name in self._real}
        for name, function in self._real.items():
            setattr(os, name, function)
        try:
            self._build()
        finally:
            for name, wrapper in wrappers.items():
                setattr(os, name, wrapper)
        self.cuts += 1
        return fate

    # What the functions of `os` do here: the real thing, and a note of it

    def _open(self, real: Callable[..., int], path: Any, *arguments: Any, **more: Any) -> int:
        place = self._place(path, more.get("dir_fd"))
        was_there = place is None or os.path.lexists(place)
        before = place is not None and was_there and self._file_at(place)
        fd = real(path, *arguments, **more)
        if place is not None and not was_there:
            self._name(place, self._node_of(os.fstat(fd), is_new=True))
        elif isinstance(before, File) and os.fstat(fd).st_size == 0 and before.content():
            before.pending.append((0, None))  # O_TRUNC
        return fd

    def _write(self, real: Callable[..., int], fd: int, data: Any) -> int:
        count = real(fd, data)
        self._note_write(fd, bytes(data)[:count])
        return count

    def _writev(self, real: Callable[..., int], fd: int, buffers: Any) -> int:
        count = real(fd, buffers)
        self._note_write(fd, b"".join(map(bytes, buffers))[:count])
        return count

    def _pwrite(self, real: Callable[..., int], fd: int, data: Any, offset: int) -> int:
        count = real(fd, data, offset)
        file = self._file_of(fd)
        if file is not None:
            file.pending.append((offset, bytes(data)[:count]))
        return count

    def _ftruncate(self, real: Callable[..., None], fd: int, length: int) -> None:
        real(fd, length)
        file = self._file_of(fd)
        if file is not None:
            file.pending.append((length, None))

    def _truncate(self, real: Callable[..., None], path: Any, length: int) -> None:
        real(path, length)
        place = self._place(path, None) if not isinstance(path, int) else None
        file = self._file_of(path) if isinstance(path, int) else place and self._file_at(place)
        if isinstance(file, File):
            file.pending.append((length, None))

    def _fsync(self, real: Callable[..., None], fd: Any) -> None:
        real(fd)
        number = fd if isinstance(fd, int) else fd.fileno()
        node = self._nodes.get(os.fstat(number).st_ino)
        if node is not None:
            self._catch_up()
            node.sync()

    _fdatasync = _fsync

    def _mkdir(self, real: Callable[..., None], path: Any, *arguments: Any, **more: Any) -> None:
        real(path, *arguments, **more)
        place = self._place(path, more.get("dir_fd"))
        if place is not None:
            self._name(place, self._node_of(os.lstat(place), is_new=True))

    def _link(self, real: Callable[..., None], source: Any, target: Any, **more: Any) -> None:
        real(source, target, **more)
        place = self._place(target, more.get("dst_dir_fd"))
        if place is not None:
            self._name(place, self._node_of(os.lstat(place)))

    def _unlink(self, real: Callable[..., None], path: Any, **more: Any) -> None:
        place = self._place(path, more.get("dir_fd"))
        real(path, **more)
        if place is not None:
            self._name(place, None)

    _remove = _rmdir = _unlink

    def _rename(self, real: Callable[..., None], source: Any, target: Any, **more: Any) -> None:
        old = self._place(source, more.get("src_dir_fd"))
        new = self._place(target, more.get("dst_dir_fd"))
        node = self._node_of(os.lstat(old)) if old is not None else None
        real(source, target, **more)
        entries = [(place, named) for place, named in ((new, node), (old, None)) if place is not None]
        self._note_names(entries)

    _replace = _rename

    # What there is

    def _place(self, path: Any, dir_fd: int | None) -> str | None:
        """Return the whole path of a name below the root, None for one elsewhere."""
        name = os.fsdecode(path)
        base = os.readlink(f"/proc/self/fd/{dir_fd}") if dir_fd is not None else os.getcwd()
        parent, last = os.path.split(os.path.join(base, name))
        place = os.path.join(os.path.realpath(parent), last)
        return place if place.startswith(self.path + "/") else None

    def _node_of(self, found: os.stat_result, *, is_new: bool = False) -> Node:
        """Return what is known of an inode; a new file may have the number of one that is gone."""
        if is_new or found.st_ino not in self._nodes:
            kind = Directory if stat.S_ISDIR(found.st_mode) else File
            self._nodes[found.st_ino] = kind(mode=stat.S_IMODE(found.st_mode))
        return self._nodes[found.st_ino]

    def _file_of(self, fd: int) -> File | None:
        node = self._nodes.get(os.fstat(fd).st_ino)
        return node if isinstance(node, File) else None

    def _file_at(self, place: str) -> File | None:
        try:
            node = self._nodes.get(os.stat(place).st_ino)
        except OSError:
            return None
        return node if isinstance(node, File) else None

    def _directory_at(self, place: str) -> Directory:
        if place == self.path:
            return self._root
        node = self._node_of(os.stat(place))
        assert isinstance(node, Directory)  # noqa: S101 - a name was just changed in it
        return node

    def _name(self, place: str, node: Node | None) -> None:
        self._note_names([(place, node)])

    def _note_names(self, entries: list[tuple[str, Node | None]]) -> None:
        found = [(*os.path.split(place), node) for place, node in entries]
        volatile.apply(Move([(self._directory_at(parent), name, node) for parent, name, node in found]))

    def _note_write(self, fd: int, data: bytes) -> None:
        file = self._file_of(fd)
        if file is not None:
            file.pending.append((os.lseek(fd, 0, os.SEEK_CUR) - len(data), data))

    def _catch_up(self) -> None:
        """Take note of what was done in other ways: by comparing what is known with what is there."""
        self._compare(self._root, self.path)

    def _compare(self, directory: Directory, place: str) -> None:
        known, there = directory.names(), {}
        with os.scandir(place) as entries:
            for entry in entries:
                if not entry.is_symlink():
                    there[entry.name] = self._node_of(entry.stat(follow_symlinks=False))
        for name in known.keys() | there.keys():
            if known.get(name) is not there.get(name):
                volatile.apply(Move([(directory, name, there.get(name))]))
        for name, node in there.items():
            path = os.path.join(place, name)
            if isinstance(node, Directory):
                self._compare(node, path)
            else:
                self._compare_file(node, path)

    def _compare_file(self, file: File, path: str) -> None:
        with open(path, "rb") as opened:
            content = opened.read()
        if file.content() != content:
            file.pending += [(0, None), (0, content)]

    def _sync_all(self, directory: Directory) -> None:
        directory.sync()
        for node in directory.synced.values():
            if isinstance(node, Directory):
                self._sync_all(node)
            else:
                node.sync()

    # What a cut leaves

    def _build(self) -> None:
        """Make the directory what is on the disk, out of the files that are there."""
        aside = tempfile.mkdtemp(prefix=".cut-", dir=os.path.dirname(self.path))
        files: dict[int, str] = {}
        there = [os.path.join(parent, name) for parent, _, names in os.walk(self.path) for name in names]
        for number, path in enumerate(there):
            node = self._nodes.get(os.lstat(path).st_ino)
            kept = os.path.join(aside, str(number))
            os.rename(path, kept)
            files[id(node)] = kept
        for name in os.listdir(self.path):
            shutil.rmtree(os.path.join(self.path, name))
        self._nodes = {os.stat(self.path).st_ino: self._root}
        self._fill(self._root, self.path, files)
        shutil.rmtree(aside)

    def _fill(self, directory: Directory, place: str, files: dict[int, str]) -> None:
        for name, node in directory.synced.items():
            path = os.path.join(place, name)
            if isinstance(node, Directory):
                os.mkdir(path, node.mode)
                self._fill(node, path, files)
            else:
                if id(node) in files:  # a second name is another link to the same file
                    os.link(files[id(node)], path)
                files[id(node)] = path
                self._refill(node, path)
            self._nodes[os.lstat(path).st_ino] = node

    @staticmethod
    def _refill(file: File, path: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, file.mode)
        with open(fd, "r+b") as opened:
            opened.truncate(0)
            opened.write(file.synced)
