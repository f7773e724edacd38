"""
The writer's wish for a keeper: it looks into the log directory, which the supervisor never does.

It looks when it starts (unless `cleanup_on_startup` is off), when it has sealed a file, and once a minute;
what it has wished for once it wishes for again after a day at the earliest, as what could not be done today
cannot be in a minute. While it looks it sees what will have to leave for want of room, a day ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline import launch
from pipeline.host import clock
from pipeline.keeping import belief, from_settings
from pipeline.keeping.cleaning import Cleaner
from pipeline.storage.catalog import COUNTS
from pipeline.storage.directories import Access

if TYPE_CHECKING:
    from workers.writer import Writer

_LOOK_SEC: Final = 60.0
_HURRY_SEC: Final = 5.0
"""Between two looks at the least: periods of a second are sealed every second."""
_AGAIN_SEC: Final = 86_400.0
_PRESSED_AGAIN_SEC: Final = 600.0
"""The same while room is short: a disk that refused the entry of one file may take that of another."""
_COUNTED_SOON: Final = ("day", "hour")
"""Shorter periods are counted when a keeper has something else to do: nobody starts one every minute."""


class KeeperWish:
    """What one writer has wished for."""

    def __init__(self, writer: Writer) -> None:
        self.outlook: dict[str, Any] = {}
        """What health says of the room that files take, and of what will be cut."""
        self._writer = writer
        self._cleaner = Cleaner(writer.places, writer.settings)
        self._looked_at = -_LOOK_SEC
        self._wish_from = clock.monotonic() + (0.0 if writer.settings.cleanup_on_startup else _AGAIN_SEC)
        self._wished_at = 0.0
        self._wished: set[tuple[str, str]] = set()
        self._is_hurried = False
        self._counts_at = 0

    def hurry(self) -> None:
        """Look soon: a file was sealed."""
        self._is_hurried = True
        self._wish_from = 0.0

    def look(self) -> None:
        """See whether the keeper has something to do, and ask for it then."""
        now = clock.monotonic()
        self._is_hurried |= self._cleaner.is_scarce() != self.outlook.get("is_scarce", False)
        if now - self._looked_at < (_HURRY_SEC if self._is_hurried else _LOOK_SEC):
            return
        self._looked_at, self._is_hurried = now, False
        writer = self._writer
        try:
            sight = self._cleaner.sight()
            outlook = self._cleaner.outlook(sight)
            from_settings.leave_note(writer.days.grip.places, writer.settings)
            self.outlook = outlook.document() | {"clock_ahead_sec": round(self._look_at_clock())}
            if now < self._wish_from and not outlook.is_pressed:
                return
            due = {(step.file.name, type(step).__name__) for step in self._cleaner.due(sight)}
            if writer.settings.rotate_every in _COUNTED_SOON:
                due |= {(kept.name, "Finish") for kept in self._cleaner.unfinished(sight)}
            if now - self._wished_at > (_PRESSED_AGAIN_SEC if outlook.is_pressed else _AGAIN_SEC):
                self._wished.clear()
            self._take_counts()
            if due - self._wished:
                launch.want_keeper(writer.places)
                self._wished_at, self._wished = now, due | self._wished
        except OSError as error:
            writer.journal.note(f"cannot see whether there is work for the keeper: {error}")

    def _look_at_clock(self) -> float:
        """Note what the clock says, and tell of a leap; return by how much it is ahead."""
        places, look = self._writer.days.grip.places, belief.Look.now()
        known = belief.load(places)
        found, ahead_sec = known.after(look), known.ahead_sec(look)
        if ahead_sec and found.doubted != known.doubted:
            self._writer.announcer.doubts_clock(ahead_sec, look.wall_sec + belief.WAIT_SEC)
        if found.is_worth_a_note(known):
            belief.store(places, found, Access.of(self._writer.settings))
        return ahead_sec

    def _take_counts(self) -> None:
        """Have the catalog written when the keeper has counted files meanwhile."""
        directory = self._writer.days.grip.places.belongings_dir / COUNTS
        try:
            changed_at = directory.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed_at != self._counts_at:
            self._counts_at = changed_at
            self._writer.days.manifests.store_catalog()
