"""
Which file system a path is on, by the kernel's table of mounts.

Nothing on the way is touched: a stat(2) on a volume that hangs does not come back.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

_TABLE: Final = "/proc/self/mountinfo"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A file system and where it is mounted; `device` is "major:minor", the same for a bind mount."""

    point: str = ""
    device: str = ""
    kind: str = ""


def of(path: Path) -> Mount:
    """Return the mount that a path without links in it leads to; an empty one where there is no table."""
    best = Mount()
    for mount in _mounts():
        is_above = str(path) == mount.point or str(path).startswith(mount.point.rstrip("/") + "/")
        if is_above and len(mount.point) >= len(best.point):  # what is mounted later hides what was there
            best = mount
    return best


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths are on one file system, as far as their names say."""
    return of(path).device == of(other).device


def _mounts() -> list[Mount]:
    try:
        text = os.fsdecode(Path(_TABLE).read_bytes())
    except OSError:
        return []
    return [_mount(line) for line in text.split("\n") if line]


def _mount(line: str) -> Mount:
    """Read a line: ids, device, root and point, options, any number of tags, "-", kind (proc(5))."""
    before, _, after = line.partition(" - ")
    fields = before.split(" ")
    point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
    return Mount(point, fields[2], after.split(" ")[0])
