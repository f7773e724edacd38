"""
The seat of one writer, and the runtime directory that it is in: made again when somebody removes it.

Whoever comes to a directory that was just made again finds nobody in its seat file, and may take the seat
before the writer that had it does. Then there are two writers. The one with the append lock is the one that
goes on: it has the removed lanes open, which nobody else can reach any more. The other would take back what
that one is about to release, so it leaves, and the first one has its seat again.

Invariants                                                              integration/test_seats_removed.py
    U1  A writer that comes and finds the append lock with one that lost its seat with the runtime directory
        leaves before it has touched anything.
    U2  A writer that lost its seat goes on with the append lock alone; without that it delivers nothing more,
        and leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import files
from pipeline.host.seats import Seat
from pipeline.paths import create_runtime

if TYPE_CHECKING:
    from workers.footing import Footing
    from workers.writer import Writer


class Seating:
    """Keeps the runtime directory of one writer, which has its seat there."""

    def __init__(self, writer: Writer, footing: Footing) -> None:
        self.is_lost = False
        """Whether another writer has the seat, and the files."""
        self._writer = writer
        self._footing = footing
        self._again: Seat | None = None

    def mend(self) -> None:
        """Re-create what somebody removed of the runtime directory; positions are in open descriptors."""
        writer = self._writer
        if files.same_file(writer.page.fd, writer.page.path) or not writer.places.log_dir.is_dir():
            return
        create_runtime(writer.places)
        seat = Seat(writer.places.runtime("writer.lock"))
        if not seat.try_acquire():
            seat.close()
            self.is_lost = not self._footing.is_held
            return  # until that one has left
        self._again = seat
        writer.journal.note("the runtime directory was removed; made again")
        writer.pulse.renew()
        writer.page.move_to(writer.places.runtime("control"))
        self._footing.renew_notes(writer.fallback.path)
