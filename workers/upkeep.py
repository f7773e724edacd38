"""What a writer with the append lock sees to beside delivering: seals, goodbyes, keepers, left lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import clock
from pipeline.queue import adoption
from workers.goodbyes import GoodbyeDesk
from workers.wish import KeeperWish

if TYPE_CHECKING:
    from workers.writer import Writer

_ADOPT_SEC: Final = 60.0
_SEAL_REST_SEC: Final = 600.0
"""How often it looks for files that somebody else has left unsealed; one look is a listing."""


class Upkeep:
    """Of one writer; its loop calls `seal` behind each sync, and `look` twice a second."""

    def __init__(self, writer: Writer) -> None:
        self.wish = KeeperWish(writer)
        self._writer = writer
        self._goodbyes = GoodbyeDesk(writer)
        self._adopted_at = clock.monotonic()
        self._sealed_at = -_SEAL_REST_SEC

    def look(self) -> None:
        """Answer, wish, and adopt, each in its time."""
        self.wish.look()
        self._goodbyes.look()
        if clock.monotonic() - self._adopted_at > _ADOPT_SEC:
            self._adopt()

    def seal(self) -> None:
        """Seal what is over, and keep a note of it. OSError or LaneError as the disk or a lane refuses."""
        writer, busy = self._writer, self._writer.lanes.busy_periods()
        now_sec = clock.wall_ns() / clock.NANO
        is_sealed = bool(writer.days.seal_due(busy, now_sec)) or writer.days.has_sealed
        if is_sealed or clock.monotonic() - self._sealed_at > _SEAL_REST_SEC:
            self._sealed_at = clock.monotonic()
            is_sealed |= writer.days.seal_rest(busy, now_sec)
        if is_sealed:
            writer.days.has_sealed = False
            self.wish.hurry()
            writer.checkpoint.store(writer.page.committed, writer.days, writer.lanes.all())

    def _adopt(self) -> None:
        writer = self._writer
        self._adopted_at = clock.monotonic()
        writer.lanes.collect()
        adoption.collect(writer.places)
        try:
            adoption.adopt(writer.places, writer.pump.ask_files)
        except OSError as error:
            writer.journal.note(f"cannot adopt lanes: {error}")
        writer.lanes.scan(everywhere=True)
