"""
Which files nothing will ever be appended to again, as somebody beside the writer can tell.

A writer notes in its checkpoint what it has sealed. What it did not come to (it ended with its last producer,
or never had the file open) is sealed when its period is over and its entries reach to its end: then all of it
is durable, explained, and behind no cut mark. Of a file from before there were manifests nobody can say that;
a day after its period it counts as sealed.

Whoever acts on this has the file alone besides (`storage/holding`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipeline.host import files
from pipeline.limits import SEAL_AFTER_SEC
from pipeline.storage.manifest import BEGIN, BLOCK, EXPIRED, SUFFIX, covered_by, directory_of, last_entry

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.storage.naming import DayName

_CHECKPOINT: Final = re.compile(r"checkpoint(?:\.(i[0-9a-f]{8}))?\.json")
_UNKNOWN_AFTER_SEC: Final = 86_400.0


class Seals:
    """What is sealed in one log directory at one moment."""

    def __init__(self, places: Places, now_sec: float) -> None:
        self._places = places
        self._now_sec = now_sec
        self._sealed = _noted(places.state_dir)
        self._manifests = directory_of(places.belongings_dir)

    def is_sealed(self, day: DayName, end_sec: int) -> bool:
        """Whether a file is sealed whose period is over at `end_sec`."""
        over_sec = self._now_sec - end_sec
        if over_sec <= SEAL_AFTER_SEC:
            return False
        return str(day) in self._sealed or self._is_explained(str(day), over_sec)

    def _is_explained(self, name: str, over_sec: float) -> bool:
        manifest, path = self._manifests / (name + SUFFIX), self._places.log_dir / name
        last = last_entry(manifest)
        if last is None:
            return over_sec > _UNKNOWN_AFTER_SEC
        if last["kind"] == EXPIRED:
            return True
        if last["kind"] not in (BEGIN, BLOCK):
            return False  # somebody cut it: whoever goes on there writes an entry
        try:
            size = path.stat().st_size
        except OSError:
            return True  # packed: nothing is appended to that
        return covered_by(last) >= size


def _noted(state_dir: Path) -> set[str]:
    """Return the files that the checkpoints of all instances here call sealed."""
    found: set[str] = set()
    for name in files.names_in(state_dir):
        if _CHECKPOINT.fullmatch(name):
            found.update((files.read_json(state_dir / name) or {}).get("sealed", ()))
    return found
