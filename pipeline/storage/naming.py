"""Names of day files: `DATE[.INSTANCE][.PART].jsonl`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.host import files

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = re.compile(r"^(\d{4,}-\d\d-\d\d)(?:\.(i[0-9a-f]{8}))?(?:\.(\d+))?\.jsonl$")


class DayName(NamedTuple):
    """The parts of a day file's name. `instance` is empty for the first one, `part` 0 for the day itself."""

    period: str
    instance: str
    part: int

    def __str__(self) -> str:
        middle = f".{self.instance}" if self.instance else ""
        part = f".{self.part}" if self.part else ""
        return f"{self.period}{middle}{part}.jsonl"


def parse(name: str) -> DayName | None:
    """Return what a file name says, None when it is no day file of ours."""
    match = _NAME.match(name)
    if match is None:
        return None
    period, instance, part = match.groups()
    return DayName(period, instance or "", int(part or 0))


def period_of(name: str) -> str:
    """Return the period that the name of a day file begins with."""
    return name.partition(".")[0]


def day_files(log_dir: Path, instance: str) -> dict[str, list[DayName]]:
    """Return the parts that an instance has of each period, in order."""
    found: dict[str, list[DayName]] = {}
    for name in files.names_in(log_dir):
        day = parse(name)
        if day is not None and day.instance == instance:
            found.setdefault(day.period, []).append(day)
    return {period: sorted(parts) for period, parts in found.items()}
