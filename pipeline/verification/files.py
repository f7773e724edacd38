"""
Which files a log directory has, and up to where each is read.

Sizes are taken twice, all of them in one go each time. `size` is from the second pass and says how far a file
is read. `settled` is from the first. Whatever stood in any file at the first pass was written before any size
of the second was taken; so everything that a settled byte follows from (the numbers before this one, the
records before a `producer_died`) lies within the `size` of its own file, whichever file that is. Only settled
bytes are therefore used to prove that something else is missing. In a directory at rest both sizes are the
same.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}(?:-?\d{2}){0,2})?", re.ASCII)
NAME: Final = re.compile(
    rf"(?P<period>{DAY.pattern})(?:\.(?P<instance>i[0-9a-z]{{8}}))?(?:\.(?P<replay>r)?(?P<part>\d+))?"
    r"\.jsonl(?:\.(?P<packing>zst|gz))?",
    re.ASCII,
)
PACKINGS: Final = ("", "zst", "gz")
"""In order of preference, when a file is there twice: the packed one is a copy that is just being made."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log directory, as it was when the sizes were taken."""

    name: str
    path: Path
    period: str
    order: tuple[str, str, bool, int]
    packing: str
    size: int
    settled: int
    trouble: str = ""
    """Why it cannot be read, if that is known already."""
    start: int = 0
    """Where reading begins; only a piece of a plain file begins elsewhere than at 0."""

    def piece(self, start: int, end: int) -> LogFile:
        """Return the bytes [start, end) of a plain file, to be read like a file of their own."""
        return replace(self, start=start, size=end, settled=min(self.settled, end))

    @property
    def stem(self) -> str:
        """The name that a file keeps when it is packed."""
        return self.name.removesuffix(f".{self.packing}") if self.packing else self.name


class Snapshot(NamedTuple):
    """What is to be read."""

    files: list[LogFile]
    unread_periods: list[str]
    """Periods that are in the directory but were not asked for."""


def take_snapshot(
    log_dir: Path, dates: Collection[str] = (), between: Callable[[], object] | None = None
) -> Snapshot:
    """
    Return the files of these dates (all without any) with their sizes, in the order of their periods.

    `between` is called between the two looks at the sizes. A record that leaves another place for a file
    before that is within the file's size; one that leaves it later is still in the other place then.
    """
    before = {file.name: file.size for file in _look(log_dir)}
    if between is not None:
        between()
    found = [replace(file, settled=_settled(file, before)) for file in _look(log_dir)]
    chosen = [file for file in _without_twins(found) if not dates or is_of(file.period, dates)]
    unread = {file.period for file in found} - {file.period for file in chosen}
    return Snapshot(sorted(chosen, key=lambda file: file.order), sorted(unread))


def periods(log_dir: Path) -> list[str]:
    """Return the periods that the directory has files of."""
    return sorted({file.period for file in _look(log_dir)})


def is_of(period: str, dates: Iterable[str]) -> bool:
    """Tell whether a period is one of the dates or a part of one: an hour of a day, a minute of an hour."""
    return any(period == date or period.startswith((f"{date}T", f"{date}-")) for date in dates)


def packed_twin(file: LogFile) -> LogFile | None:
    """Return the packed file that has taken the place of a plain one since the sizes were taken."""
    stem = file.path.name
    paths = (file.path.with_name(f"{stem}.{packing}") for packing in PACKINGS if packing)
    return next((describe(path) for path in paths if path.is_file()), None)


def _settled(file: LogFile, before: dict[str, int]) -> int:
    # Packed files are of days long finished: nothing is ever appended to one.
    return file.size if file.packing else min(file.size, before.get(file.name, 0))


def _look(log_dir: Path) -> Iterator[LogFile]:
    for name in os.listdir(log_dir):
        file = describe(log_dir / name)
        if file is not None:
            yield file


def describe(path: Path) -> LogFile | None:
    """Return the file at a path as it is now, None when its name is not that of a day file."""
    match = NAME.fullmatch(path.name)
    if match is None:
        return None
    size, trouble = _size(path)
    period, instance, part = match["period"], match["instance"] or "", int(match["part"] or 0)
    order = (period, instance, match["replay"] is not None, part)
    return LogFile(path.name, path, period, order, match["packing"] or "", size, size, trouble)


def _size(path: Path) -> tuple[int, str]:
    try:
        status = path.stat()
    except FileNotFoundError:
        # Packed since the directory was listed. The opener finds the twin, or says what is wrong.
        return 0, ""
    except OSError as error:
        return 0, error.strerror or str(error)
    # Opening a FIFO would wait for somebody to write to it.
    trouble = "" if stat.S_ISREG(status.st_mode) else "not a regular file"
    return status.st_size, trouble


def _without_twins(files: Sequence[LogFile]) -> list[LogFile]:
    best: dict[str, LogFile] = {}
    for file in sorted(files, key=lambda file: PACKINGS.index(file.packing)):
        best.setdefault(file.stem, file)
    return list(best.values())
