"""
The checkpoint: what is durable, kept on the disk for the next start after a power loss.

Written after the data and its directory are synced and before anything is released; a reader takes an old,
empty or missing one for what it is: less knowledge, more looking into the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import clock, files

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.queue.lanes import WatchedLane
    from pipeline.storage.days import Days

_VERSION: Final = 1


class Checkpoint:
    """The checkpoint file of one instance."""

    def __init__(self, state_dir: Path, instance: str) -> None:
        self._state_dir = state_dir
        self.use(instance)
        self.error = ""
        """Why the last one could not be stored; disk segments then stay."""

    def use(self, instance: str) -> None:
        """Keep the checkpoint of this instance from now on."""
        self.instance = instance
        self.path = self._state_dir / (f"checkpoint.{instance}.json" if instance else "checkpoint.json")

    def load(self) -> dict[str, Any]:
        """Return the last checkpoint, an empty one when there is none to read."""
        found = files.read_json(self.path) or {}
        return found if found.get("version") == _VERSION else {}

    def store(self, batch: int, days: Days, lanes: list[WatchedLane]) -> bool:
        """Store what is durable now; whether that was possible."""
        content = {
            "version": _VERSION,
            "at": clock.wall_text(),
            "batch": batch,
            "files": days.describe(),
            "sealed": sorted(days.sealed),
            "lanes": {lane.producer: lane.tailer.durable for lane in lanes},
        }
        try:
            days.grip.check_path(self.path.parent)
            files.make_private(self.path.parent)
            files.replace(self.path, orjson.dumps(content), durable=True, is_only_writer=True)
        except OSError as error:
            self.error = str(error)
            return False
        self.error = ""
        return True
