"""The log directory and what belongs to it, made with the modes and the group that the settings ask for."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pipeline.host import files

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings


_NOT_FOR_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class Access(NamedTuple):
    """
    Who may use what we make: `dir_mode`, `file_mode` and `group` of the settings; by default this user alone.

    Locks, lanes and the checkpoint are nobody else's whatever the settings say.
    """

    dir_mode: int = 0o700
    file_mode: int = 0o600
    group: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings ask for."""
        return cls(settings.dir_mode, settings.file_mode, settings.group)

    def give_file(self, fd: int) -> None:
        """Give a new file its mode, also what the umask has taken off, and its group."""
        self._give(fd, self.file_mode)

    def give_directory(self, path: Path) -> None:
        """Give a new directory its mode and its group."""
        self._give(path, self.dir_mode)

    def give_store(self, path: Path) -> None:
        """
        Give the new directory of a fallback store its mode and group: nobody else may ever write there.

        SQLite makes files beside its database; by the set-group-ID bit they get the directory's group.
        """
        mode = self.dir_mode & ~_NOT_FOR_OTHERS
        self._give(path, mode | stat.S_ISGID if self.group else mode)

    def _give(self, what: Path | int, mode: int) -> None:
        """Give the group first: that takes set-group-ID off. What cannot be given stays as we may have it."""
        with suppress(LookupError, OSError):  # an unknown group, or a file system without modes
            if self.group:
                import shutil

                shutil.chown(what, group=self.group)
        with suppress(OSError):
            os.chmod(what, mode)


PRIVATE: Final = Access()


def make_directory(path: Path, access: Access) -> None:
    """Make a directory; one that is there keeps its mode. OSError when it cannot be."""
    with suppress(FileExistsError):
        path.mkdir(mode=access.dir_mode)
        access.give_directory(path)


def make_log_dir(log_dir: Path, settings: Settings) -> None:
    """Make the log directory; one that is there keeps its mode. OSError when it cannot be."""
    if log_dir.is_dir():
        return
    log_dir.parent.mkdir(parents=True, exist_ok=True)
    make_directory(log_dir, Access.of(settings))
    if not log_dir.is_dir():  # something else has its name: waiting does not heal that
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(log_dir))
    files.sync_ancestors(log_dir)


def make_belongings(places: Places, settings: Settings) -> None:
    """
    Make the log directory and `.pipeline` in it. OSError when it cannot be.

    `.pipeline` may have been made by a producer with a disk lane, for this user alone: it gets its mode then.
    """
    make_log_dir(places.log_dir, settings)
    access = Access.of(settings)
    make_directory(places.belongings_dir, access)
    if access != PRIVATE and stat.S_IMODE(places.belongings_dir.stat().st_mode) == PRIVATE.dir_mode:
        access.give_directory(places.belongings_dir)
