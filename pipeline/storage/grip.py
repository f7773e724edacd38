"""
The descriptor through which a process reaches its log directory: all names are those of one directory.

A volume may be unmounted between any two system calls. Who then goes on by path asks and writes the empty
directory below the mount point: files count as gone that are not, and what is made there is hidden when the
volume is back. (A soak lost a row of the fallback store by that, and had whole batches twice, each time in
the few milliseconds behind a look that had found the volume there.) So a path is followed once, in `check`,
and everything behind it goes through the open directory, whatever is mounted or unmounted meanwhile: a file
system that was detached under open descriptors is real, and comes back with the mount.

Invariants                                                              integration/test_volume_leaves.py
    V1  What is asked or made between two calls of `check` is in one directory, the one the first call found.
    V2  That is never one below the mount point of a volume that is away.
    V3  Who stands back lets go, and reaches nothing.
    V4  What is noted of a file for later names it by its volume's own id and its inode: a device number
        belongs to the mount, and is another one the next time.         integration/test_volume_numbers.py
    V5  The id is durable before anything is noted with it. Where it cannot be written, the device number
        stands for it, as in what releases before 0.2 have noted.
"""

from __future__ import annotations

import os
import secrets
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.host import files
from pipeline.storage import naming
from pipeline.storage.directories import make_log_dir
from pipeline.storage.volume import Volume

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.directories import Access

_ID_NAME: Final = "volume"
_ID_BYTES: Final = 8
_ID_MARK: Final = "v"
"""No device number begins so."""
_NOTHING: Final = os.devnull
"""What is held while no directory is: each name below it is refused (ENOTDIR)."""


class Grip:
    """
    Holds one log directory, or nothing.

    `places` are the given ones, with those in the log directory reached through it. The number of the
    descriptor stays the same, so that paths that somebody keeps lead to whatever is held.
    """

    def __init__(self, places: Places) -> None:
        self.log_dir = places.log_dir
        self.volume_id = ""
        """What the volume that is held calls itself, `v` and 16 hexadecimal digits; empty: it has no id."""
        self._volume = Volume(places)
        self._identity: tuple[int, int] | None = None
        self._fd = os.open(_NOTHING, os.O_PATH | os.O_CLOEXEC)
        self._path = Path(f"/proc/self/fd/{self._fd}")
        self.places = places.through(self._path)
        # A test lets its writers die in the middle; the number may be somebody else's file by then.
        self._held = [files.identity_of(self._fd)]
        self.close = weakref.finalize(self, _close, self._fd, self._held)

    def check(self) -> None:
        """
        Hold the directory that the path leads to now, or nothing where there is none.

        OSError when that cannot be said, or the volume is away: what is held stays held then. Costs one
        stat(2) while nothing changes.
        """
        try:
            found = os.stat(self.log_dir)
        except FileNotFoundError:
            self._volume.check()
            self.let_go()
            return
        if (found.st_dev, found.st_ino) != self._identity:
            self._take()

    def make(self, settings: Settings) -> None:
        """Hold the log directory, which is made where there is none. OSError, as `check`."""
        self.check()
        if self._identity is None:
            make_log_dir(self.log_dir, settings)
            self.check()

    def check_path(self, path: Path) -> None:
        """OSError when a path beside our files would be made below the mount point of their volume."""
        if path.is_relative_to(self._path):
            self.check()
        else:
            self._volume.check_path(path)

    def is_there(self, path: Path) -> bool:
        """Whether what belongs at a path, by its own name, could be seen: its volume is not away."""
        try:
            self._volume.check_path(path)
        except OSError:
            return False
        return True

    def is_gone(self) -> bool:
        """Whether somebody took the log directory away, not its volume."""
        if self.log_dir.is_dir():
            return False
        try:
            self._volume.check()
        except OSError:
            return False
        return True

    def is_current(self) -> bool:
        """Whether the path leads to what is held."""
        try:
            found = os.stat(self.log_dir)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def name_volume(self, access: Access) -> None:
        """
        Give the volume an id, durably, if it has none; only with the append lock of the plain names held.

        A disk that refuses does not keep us.
        """
        if self._identity is None or self.volume_id:
            return
        made = _ID_MARK + secrets.token_hex(_ID_BYTES)
        try:
            give = access.give_file
            files.replace(self._id_path, made.encode(), durable=True, is_only_writer=True, give=give)
        except OSError:
            return
        self.volume_id = made

    def identity_of(self, found: os.stat_result) -> tuple[str, int]:
        """Return what to note of a file: (volume, inode)."""
        is_here = self._identity is not None and found.st_dev == self._identity[0]
        return (is_here and self.volume_id) or str(found.st_dev), found.st_ino

    def is_it(self, found: os.stat_result, volume: str, inode: int) -> bool:
        """Whether a file is the one that was noted so."""
        return (volume, inode) in (self.identity_of(found), (str(found.st_dev), found.st_ino))

    def is_elsewhere(self, volume: str) -> bool:
        """Whether a volume that was noted so is another one than this: what is noted of it waits for it."""
        return self._identity is not None and volume.startswith(_ID_MARK) and volume != self.volume_id

    def find(self, name: str, volume: str, inode: int) -> Path | None:
        """Return where in the log directory a file is that was noted so, None when it is gone. OSError."""
        return naming.path_of(self._path, name, lambda found: self.is_it(found, volume, inode))

    def let_go(self) -> None:
        """Hold nothing."""
        if self._identity is not None:
            fd = os.open(_NOTHING, os.O_PATH | os.O_CLOEXEC)
            self._put(fd)
            self._identity, self.volume_id = None, ""

    def renew(self) -> None:
        """Remember the volume again, after somebody removed the runtime directory."""
        self._volume.renew()

    def named(self, text: str) -> str:
        """Return a message with the names that people know."""
        return text.replace(f"{self._path}/", f"{self.log_dir}/").replace(
            f"'{self._path}'", f"'{self.log_dir}'"
        )

    def _take(self) -> None:
        fd = os.open(self.log_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._volume.check_device(os.fstat(fd).st_dev)
        except BaseException:
            os.close(fd)
            raise
        self._put(fd)
        self._identity = self._held[0]
        self.volume_id = self._read_id()

    @property
    def _id_path(self) -> Path:
        return self.places.belongings_dir / _ID_NAME

    def _read_id(self) -> str:
        """Return the id; empty where there is none, or a torn one. OSError when that cannot be said."""
        try:
            found = self._id_path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        is_whole = found.startswith(_ID_MARK.encode()) and len(found) == len(_ID_MARK) + 2 * _ID_BYTES
        return found.decode(errors="replace") if is_whole else ""

    def _put(self, fd: int) -> None:
        """Have our number mean this open file, and close its own."""
        os.dup2(fd, self._fd, inheritable=False)
        self._held[0] = files.identity_of(self._fd)
        os.close(fd)


def _close(fd: int, held: list[tuple[int, int]]) -> None:
    files.close_if_ours(fd, held[0])
