"""Names of day files: `DATE[.INSTANCE][.PART].jsonl`; `DATE[.INSTANCE].rPART.jsonl` is what was replayed."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.host import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_NAME: Final = re.compile(
    r"^(\d{4,}-\d\d-\d\d(?:T\d\d(?:-\d\d){0,2})?)(?:\.(i[0-9a-f]{8}))?(?:\.(r)?(\d+))?\.jsonl$"
)
_PACKED: Final = (".zst", ".gz")
"""What a packed file's name has at its end."""


class DayName(NamedTuple):
    """
    The parts of a day file's name.

    `instance` is empty for the first one, `part` 0 for the day itself. Replayed parts are numbered by
    themselves, and live records never go there.
    """

    period: str
    instance: str
    part: int
    is_replay: bool = False

    def __str__(self) -> str:
        middle = f".{self.instance}" if self.instance else ""
        part = f".{'r' if self.is_replay else ''}{self.part}" if self.part else ""
        return f"{self.period}{middle}{part}.jsonl"


def parse(name: str) -> DayName | None:
    """Return what a file name says, None when it is no day file of ours."""
    match = _NAME.match(name)
    if match is None:
        return None
    period, instance, replay, part = match.groups()
    return DayName(period, instance or "", int(part or 0), replay is not None)


def unpacked(name: str) -> tuple[str, str]:
    """Return the name that a file had before it was packed, and its packing: `zst`, `gz`, or empty."""
    plain, dot, end = name.rpartition(".")
    return (plain, end) if dot + end in _PACKED else (name, "")


def packed_copy(path: Path) -> Path | None:
    """Return the packed file that is there of a plain one, None when there is none."""
    paths = (path.with_name(path.name + end) for end in _PACKED)
    return next((packed for packed in paths if packed.exists()), None)


def period_of(name: str) -> str:
    """Return the period that the name of a day file begins with."""
    return name.partition(".")[0]


def path_of(log_dir: Path, name: str, is_it: Callable[[os.stat_result], bool]) -> Path | None:
    """
    Return where a plain file that has had this name is now in the log directory, None when it is not there.

    A packed file is never meant: it may have the inode that a plain one had before it was packed.
    OSError when that cannot be said: a directory or a file that cannot be looked at is not gone, and what
    counts as gone is written again.
    """
    for candidate in (name, *os.listdir(log_dir)):
        if unpacked(candidate)[1]:
            continue
        path = log_dir / candidate
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # removed just now
        if stat.S_ISLNK(found.st_mode):
            with suppress(OSError):  # one that leads nowhere is no file of ours
                found = path.stat()
        if is_it(found):
            return path
    return None


def day_files(log_dir: Path, instance: str) -> dict[str, list[DayName]]:
    """Return the parts that an instance has of each period, in order, packed or not; no replayed ones."""
    found: dict[str, set[DayName]] = {}
    for name in files.names_in(log_dir):
        day = parse(unpacked(name)[0])
        if day is not None and day.instance == instance and not day.is_replay:
            found.setdefault(day.period, set()).add(day)
    return {period: sorted(parts) for period, parts in found.items()}


def next_replay_part(log_dir: Path, instance: str, period: str, had: Iterable[str] = ()) -> DayName:
    """
    Return the first name for a replayed part that no file has, packed or not.

    `had` are the names of files that may be gone: theirs is not taken either.
    """
    last = 0
    for name in (*files.names_in(log_dir), *had):
        day = parse(unpacked(name)[0])
        if day is not None and day.is_replay and (day.instance, day.period) == (instance, period):
            last = max(last, day.part)
    return DayName(period, instance, last + 1, is_replay=True)
