"""Up to where files count whose tails are in doubt: what stands behind a cut mark was delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from pipeline.storage.fallback_tables import CutMark


class Cuts:
    """The cut marks of all stores of a log directory."""

    def __init__(self, log_dir: Path) -> None:
        self._id_path = log_dir / ".pipeline" / "volume"
        self._marks: list[CutMark] = []

    def add(self, marks: list[CutMark]) -> None:
        """Take in those of a store."""
        self._marks += marks

    def size_of(self, name: str, found: os.stat_result) -> int:
        """Return how much of a file counts."""
        ours = [mark.size for mark in self._marks if mark.file == name and self._is(mark, found)]
        return min([*ours, found.st_size])

    def has(self, name: str) -> bool:
        """Tell whether there is a mark for a file of this name."""
        return any(mark.file == name for mark in self._marks)

    def _is(self, mark: CutMark, found: os.stat_result) -> bool:
        # A volume is noted by its id, or by the number of its device where it had none.
        return mark.inode == found.st_ino and mark.volume in (str(found.st_dev), self._volume_id())

    def _volume_id(self) -> str:
        try:
            return self._id_path.read_text(errors="replace")
        except OSError:
            return ""
