"""
Whether the volume that the log directory was on is still there.

When a volume is unmounted, its mount point is an empty directory of the file system below. A file that is
created there works, and is hidden as soon as the volume comes back: nobody would find its records. So the
mount point of the log directory is remembered, and a log directory that lies on a file system further up is
"away".
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pipeline.host import files

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places


class Volume:
    """The volume of one log directory; remembered in the runtime directory, for the next writer too."""

    def __init__(self, places: Places) -> None:
        self._directory = places.log_dir
        self._note = places.volume_note
        self._device = -1
        self._point = str((files.read_json(self._note) or {}).get("mount_point", ""))

    def check(self) -> None:
        """OSError (ENODEV) when the volume is not mounted. Costs one stat(2) while nothing changes."""
        try:
            device = os.stat(self._directory).st_dev
        except OSError:
            device = -1
        self.check_device(device)

    def check_device(self, device: int) -> None:
        """As `check`, of a log directory that was found on this device; -1 where there is none."""
        if device == self._device != -1:
            return
        point = mount_point(self._directory)
        if self._point and is_above(point, self._point):
            raise self._absence(self._directory)
        if device not in (-1, os.stat(point).st_dev):
            raise OSError(errno.ESTALE, "a volume was mounted or unmounted just now", str(self._directory))
        self._device = device
        if device != -1 and point != self._point:
            self._remember(point)

    def check_path(self, path: Path) -> None:
        """OSError (ENODEV) when a path that belongs on the volume would be made below its mount point."""
        if self._point and path.is_relative_to(self._point) and not os.path.ismount(self._point):
            raise self._absence(path)

    def renew(self) -> None:
        """Remember it again, after somebody removed the runtime directory."""
        if self._point:
            self._remember(self._point)

    def _absence(self, path: Path) -> OSError:
        return OSError(
            errno.ENODEV, f"the volume of the log directory is not mounted at {self._point}", str(path)
        )

    def _remember(self, point: str) -> None:
        self._point = point
        try:
            files.write_json(self._note, {"mount_point": point})
        except OSError:
            return  # a successor then takes what it finds for the volume


def mount_point(path: Path) -> str:
    """Return where the file system is mounted that holds a path, or would hold it when it is made."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    device = os.stat(path).st_dev
    while path != path.parent and os.stat(path.parent).st_dev == device:
        path = path.parent
    return str(path)


def is_above(point: str, other: str) -> bool:
    """Whether a mount point is one of the directories that another one lies in."""
    return point != other and other.startswith(point.rstrip("/") + "/")
