"""
Which files a query reads: days, their parts, those of other instances, plain and packed.

Only names are looked at, and the size of those that are in range: a directory may have years of days. A file
that is there twice is being packed, and its plain form counts. Where a fallback store has a cut mark for a
file, it ends there: what stands behind was delivered again.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.storage import naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.query.cuts import Cuts
    from pipeline.storage.naming import DayName

PACKINGS: Final = ("", "zst", "gz")
"""In order of preference, when a file is there twice: the packed one is a copy that is just being made."""
DAY_CHARS: Final = len("2025-11-21")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is to be read."""

    path: Path
    day: DayName
    packing: str
    size: int
    """Up to where it is read, as it stands on the disk."""
    trouble: str = ""
    """Why it cannot be read, if that is known already."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def stem(self) -> str:
        """The name that it keeps when it is packed."""
        return str(self.day)


def sources(log_dir: Path, first_day: str, last_day: str, cuts: Cuts) -> list[Source]:
    """
    Return the files of the days [first_day, last_day] (`2025-11-21`; empty: no bound), in order.

    OSError when the directory cannot be listed; one that is not there has no files.
    """
    try:
        names = os.listdir(log_dir)
    except FileNotFoundError:
        return []
    chosen = list(_chosen(names, first_day, last_day))
    found = (_measured(log_dir / name, day, packing, cuts) for name, day, packing in _without_twins(chosen))
    return sorted(
        found,
        key=lambda source: (source.day.period, source.day.instance, source.day.is_replay, source.day.part),
    )


def twin(source: Source) -> Source | None:
    """Return the other form of a file that was packed (or unpacked) since the directory was listed."""
    for packing in PACKINGS:
        path = source.path.with_name(f"{source.stem}.{packing}" if packing else source.stem)
        if packing != source.packing and path.is_file():
            return _measured(path, source.day, packing)
    return None


def _chosen(names: Iterable[str], first_day: str, last_day: str) -> Iterator[tuple[str, DayName, str]]:
    for name in names:
        stem, packing = naming.unpacked(name)
        day = naming.parse(stem)
        if day is None or (first_day and day.period[:DAY_CHARS] < first_day):
            continue
        if not last_day or day.period[:DAY_CHARS] <= last_day:
            yield name, day, packing


def _without_twins(chosen: Iterable[tuple[str, DayName, str]]) -> Iterable[tuple[str, DayName, str]]:
    best: dict[DayName, tuple[str, DayName, str]] = {}
    for one in sorted(chosen, key=lambda one: PACKINGS.index(one[2])):
        best.setdefault(one[1], one)
    return best.values()


def _measured(path: Path, day: DayName, packing: str, cuts: Cuts | None = None) -> Source:
    source = Source(path, day, packing, 0)
    try:
        found = path.stat()
    except OSError:
        return source  # packed or removed since the directory was listed; who opens it sees
    # Opening a FIFO would wait for somebody to write to it.
    trouble = "" if stat.S_ISREG(found.st_mode) else "not a regular file"
    size = found.st_size if cuts is None else cuts.size_of(path.name, found)
    return replace(source, size=size, trouble=trouble)
