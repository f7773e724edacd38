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

from pipeline.host import files, mounts

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
        if device == self._device != -1:
            return
        point = mounts.mount_point(self._directory)
        if self._point and mounts.is_above(point, self._point):
            raise self._absence(self._directory)
        self._device = device
        if device != -1 and point != self._point:
            self._remember(point)

    def check_path(self, path: Path) -> None:
        """OSError (ENODEV) when a path that belongs on the volume would be made below its mount point."""
        if self._point and mounts.is_away(path, self._point):
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
