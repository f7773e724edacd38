"""
What a played keeper takes away: the content of each day file, as it was the moment before its name went.

Seen at the system call, so it is no word of the library's: what has left is held against what manifests,
`pipeline verify` and `pipeline account` say of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from support.unpacking import content

from pipeline.storage import departed, naming
from pipeline.storage.manifest import SUFFIX, directory_of

if TYPE_CHECKING:
    from pipeline.paths import Places


class Departures:
    """Of one log directory; `log_dirs` are the names it goes by, mounted or away."""

    def __init__(self, places: Places, log_dirs: set[str]) -> None:
        self._places = places
        self._log_dirs = log_dirs
        self._last_seen: dict[str, bytes] = {}

    def see(self, place: str) -> None:
        """Take note of a file whose name is about to go."""
        directory, _, name = place.rpartition("/")
        plain = naming.unpacked(name)[0]
        if directory in self._log_dirs and naming.parse(plain) is not None:
            found = content(Path(place))
            if found:  # a new file that cannot be begun goes again, empty
                self._last_seen[plain] = found

    def left(self) -> dict[str, list[bytes]]:
        """Return the lines of each file that is there in no form any more."""
        log_dir = self._places.log_dir
        gone = {
            name: data
            for name, data in self._last_seen.items()
            if not (log_dir / name).exists() and naming.packed_copy(log_dir / name) is None
        }
        return {name: data.splitlines(keepends=True) for name, data in gone.items()}

    def untold(self) -> list[str]:
        """Return the files that have left without a word in their manifest."""
        manifests = directory_of(self._places.belongings_dir)
        return [name for name in self.left() if not departed.cause_of(manifests / (name + SUFFIX))]
