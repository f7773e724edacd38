"""
Which files nothing will ever be appended to again, as somebody beside the writer can tell.

A writer notes in its checkpoint what it has sealed. What it did not come to (it ended with its last producer)
is sealed when its period is over and its entries reach to its end: then all of it is durable, explained, and
behind no cut mark. Of a file from before there were manifests nobody can say that, and of one of another
instance, perhaps on another host, nobody knows what is on its way to it: these wait for a day.

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
_OTHERS_AFTER_SEC: Final = 86_400.0


class Seals:
    """What is sealed in one log directory at one moment."""

    def __init__(self, places: Places, now_sec: float, explained: dict[str, int] | None = None) -> None:
        """`explained` is what an earlier one has found out: sizes up to which files are explained."""
        self._places = places
        self._now_sec = now_sec
        self._sealed = _noted(places.state_dir)
        self._manifests = directory_of(places.belongings_dir)
        self._own = own_instance(places)
        self._explained = {} if explained is None else explained

    def is_sealed(self, day: DayName, end_sec: int) -> bool:
        """Whether a file is sealed whose period is over at `end_sec`."""
        if str(day) in self._sealed:
            return True
        over_sec = self._now_sec - end_sec
        if over_sec <= (SEAL_AFTER_SEC if day.instance == self._own else _OTHERS_AFTER_SEC):
            return False
        return self._is_explained(str(day), over_sec)

    def _is_explained(self, name: str, over_sec: float) -> bool:
        try:
            size = (self._places.log_dir / name).stat().st_size
        except OSError:
            return True  # packed: nothing is appended to that
        if self._explained.get(name, -1) == size:
            return True
        last = last_entry(self._manifests / (name + SUFFIX))
        if last is None:
            return over_sec > _OTHERS_AFTER_SEC
        # Behind a cut somebody still has to look.
        is_whole = last["kind"] == EXPIRED or (last["kind"] in (BEGIN, BLOCK) and covered_by(last) >= size)
        if is_whole:
            self._explained[name] = size
        return is_whole


def own_instance(places: Places) -> str:
    """Return the instance whose files are ours: "" for the first one of a log directory."""
    claimed = (files.read_json(places.belongings_dir / "primary.json") or {}).get("instance")
    return "" if claimed in (None, places.instance) else places.instance


def _noted(state_dir: Path) -> set[str]:
    """Return the files that the checkpoints of all instances here call sealed."""
    found: set[str] = set()
    for name in files.names_in(state_dir):
        if _CHECKPOINT.fullmatch(name):
            found.update((files.read_json(state_dir / name) or {}).get("sealed", ()))
    return found
