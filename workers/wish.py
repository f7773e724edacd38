"""
The writer's wish for a keeper: it looks into the log directory, which the supervisor never does.

It looks when it starts, when it has sealed a file, and once a minute; what it has wished for once it wishes
for again after a day at the earliest, as what could not be packed today cannot be in a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.host import clock
from pipeline.keeping import work

if TYPE_CHECKING:
    from workers.writer import Writer

_LOOK_SEC: Final = 60.0
_HURRY_SEC: Final = 5.0
"""Between two looks at the least: periods of a second are sealed every second."""
_AGAIN_SEC: Final = 86_400.0


class KeeperWish:
    """What one writer has wished for."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._looked_at = -_LOOK_SEC
        self._wished_at = 0.0
        self._wished: set[str] = set()
        self._is_hurried = False

    def hurry(self) -> None:
        """Look soon: a file was sealed."""
        self._is_hurried = True

    def look(self) -> None:
        """See whether the keeper has something to do, and ask for it then."""
        now = clock.monotonic()
        if now - self._looked_at < (_HURRY_SEC if self._is_hurried else _LOOK_SEC):
            return
        self._looked_at, self._is_hurried = now, False
        writer = self._writer
        try:
            due = set(work.due(writer.places, writer.settings, writer.days.instance))
            if now - self._wished_at > _AGAIN_SEC:
                self._wished.clear()
            if due - self._wished:
                launch.want_keeper(writer.places)
                self._wished_at, self._wished = now, due | self._wished
        except OSError as error:
            writer.journal.note(f"cannot see whether there is work for the keeper: {error}")
