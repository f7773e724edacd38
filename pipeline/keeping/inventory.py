"""
What files a log directory has, as data for a plan.

Only day files are in it, of whatever instance, plain or packed: the fallback store, quarantine, manifests and
the catalog are no day files, and so nothing that is planned can ever touch them.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from pipeline.records import periods
from pipeline.storage import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.storage.naming import DayName


class Kept(NamedTuple):
    """One day file, in whatever form it is."""

    end_sec: int
    """The epoch second at which its period is over: no record in it is younger."""
    day: DayName
    sizes: tuple[tuple[str, int], ...]
    """Bytes on the disk by packing, "" first: more than one while a packed copy is being made."""
    is_sealed: bool
    """Whether nothing will ever be appended to it again."""
    told: str = ""
    """The reason, when its entry says already that it has left: whoever removes it was killed."""

    @property
    def name(self) -> str:
        """The name that it keeps when it is packed; its manifest has this one."""
        return str(self.day)

    @property
    def size(self) -> int:
        """What it takes on the disk, in bytes."""
        return sum(size for _, size in self.sizes)

    @property
    def is_plain(self) -> bool:
        """Whether the plain file is there."""
        return self.sizes[0][0] == ""

    @property
    def files(self) -> list[str]:
        """The names in the log directory; the packed one is the last to be removed."""
        return [f"{self.name}.{packing}" if packing else self.name for packing, _ in self.sizes]


def take(
    log_dir: Path,
    *,
    is_sealed: Callable[[DayName, int], bool],
    told: Callable[[str], str] = lambda _name: "",
    timezone: str = "UTC",
) -> list[Kept]:
    """
    Return the day files of a log directory, oldest first. OSError when it cannot be looked into.

    `is_sealed` is asked with a file's name and the second at which its period is over, `told` with a name:
    why its manifest says that it has left, empty when it does not.
    """
    found: dict[DayName, dict[str, int]] = {}
    changed: dict[DayName, int] = {}
    for name, about in _regular(log_dir):
        plain, packing = naming.unpacked(name)
        day = naming.parse(plain)
        if day is not None:
            found.setdefault(day, {})[packing] = about.st_size
            changed[day] = about.st_mtime_ns
    files = [
        Kept(end_sec, day, tuple(sorted(sizes.items())), is_sealed(day, end_sec), told(str(day)))
        for day, sizes in found.items()
        if (end_sec := periods.end_of(day.period, timezone)) is not None
    ]
    # The parts of one period by their last change, which packing keeps: the numbers of two instances that
    # write at once have nothing to do with each other, and one would lose all of its files before the other.
    return sorted(files, key=lambda kept: (kept.end_sec, changed[kept.day], kept.day))


def _regular(log_dir: Path) -> Iterable[tuple[str, os.stat_result]]:
    for name in os.listdir(log_dir):
        try:
            about = os.lstat(log_dir / name)
        except FileNotFoundError:
            continue  # packed or removed just now
        # What a link leads to is somebody's, and not in our budget.
        if stat.S_ISREG(about.st_mode):
            yield name, about
