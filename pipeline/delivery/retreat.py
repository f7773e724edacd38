"""
Leaving files that refuse, and delivering to the fallback meanwhile.

A file that failed an fsync says nothing true any more: a second fsync reports success although the pages are
gone, and a re-read proves nothing. So what stands behind its last good sync is taken back: a *cut mark*
(file, size) is stored, the lanes go on at what was durable then, and everything since is delivered again
elsewhere. The file is cut to its mark as soon as that is possible, before anybody appends to it again.
Records between mark and delivery are safe in their lanes, which are released only behind `durable`.

Invariants
    T1  The page says that a retreat has begun before a mark is stored, and settles after it: a successor
    takes
        both for granted, or begins again.                          crash/test_fail_points.py
        (writer.retreat.*)
    T2  Marks and positions are of one moment, `ControlPage.synced`: nothing is lost or twice between them,
    also
        for a successor that cannot read a single file.             integration/test_outage_in_process.py
    T3  Nothing of a lane goes to the fallback before all that precedes it is durable. integration, the same
    T4  A file is never appended to while its mark stands.          integration, the same
    T6  A mark is of one file: a new one that gets its inode, once it is deleted, is not cut.
                                                                    integration/test_volume_numbers.py
    T5  A file is cut by marks that were read with the append lock held, or were made by this process.
                                                                    integration/test_two_at_one_store.py
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.delivery.slices import ends, first_bytes
from pipeline.errors import FallbackError, FallbackFull, FallbackMoved, LaneError
from pipeline.host import failpoint
from pipeline.storage import stored
from pipeline.storage.fallback import CutMark, FallbackRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.delivery.leftovers import Leftovers
    from pipeline.delivery.pump import Pump
    from pipeline.queue.tailer import Slice
    from pipeline.storage.day_file import DayFile
    from pipeline.storage.fallback import Fallback


class Retreat:
    """What a pump does when its files refuse."""

    def __init__(self, pump: Pump, fallback: Fallback) -> None:
        self.pump = pump
        self.fallback = fallback
        self.may_touch_files = True
        """Whether this process holds the append lock; one that does not only stores marks and rows."""
        pump.days.marks = lambda: self.cuts
        pump.days.began = self._void
        self.has_rows = False
        """Whether the fallback holds records that have to be replayed."""
        self.leftovers: Leftovers | None = None
        """The stores of pipelines that are gone, whose lanes may be found again."""
        self.is_store_in_doubt = False
        """Whether a transaction that failed may yet turn up: its records must not go elsewhere before."""

    @property
    def cuts(self) -> list[CutMark]:
        """Marks of files that could not be cut yet; nobody appends to them."""
        grip = self.pump.days.grip
        return [mark for mark in self.fallback.known_cut_marks if not grip.is_elsewhere(mark.volume)]

    def load(self) -> None:
        """
        Take over what others left: positions and cut marks. FallbackError.

        Also each time that the append lock is had: who held it may have worked marks off, and gone on in the
        files that they were about.
        """
        if not self.fallback.is_open and not self.fallback.path.exists():
            return
        self.fallback.reread()
        for producer, place in self.fallback.positions().items():
            lane = self.pump.lanes.watched.get(producer)
            if lane is not None:
                lane.tailer.durable = max(lane.tailer.durable, place)
                lane.tailer.written = max(lane.tailer.written, place)
        self.has_rows = self.fallback.summary().rows > 0

    def durable_of(self, producer: str) -> int:
        """Return up to where a lane is durable, by the page and by what is known of the store."""
        return max(self.pump.page.synced.lanes.get(producer, 0), self.fallback.position_of(producer))

    def held(self, producers: Iterable[str]) -> dict[str, set[int]]:
        """Return the numbers that the fallback holds of these producers. FallbackError."""
        found = self.leftovers.held(producers) if self.leftovers else {}
        if self.fallback.is_open or self.fallback.path.exists():
            for producer, numbers in self.fallback.held(producers).items():
                found.setdefault(producer, set()).update(numbers)
        return found

    def forget_removed(self) -> None:
        """
        Forget the positions of lanes that are gone: an outage sees many processes end.

        A kill before that leaves some, which nobody asks for any more; a lane that a power loss brings back
        needs none, as the files and the rows are asked for its numbers then.
        """
        try:
            if self.fallback.is_open:
                self.fallback.forget(self.pump.lanes.removed)
        except FallbackError:
            return  # the next look tries again
        self.pump.lanes.removed.clear()

    def deliver(self, reason: str) -> bool:
        """
        Put one batch into the fallback; whether there was one. Call `leave` before the first.

        FallbackError when it refuses, too: nothing has moved then.
        """
        self.settle_store()
        self.end()
        period, slices, skipped = self.pump.collect()
        if any(lane.tailer.has_copy for lane in self.pump.lanes.all()):
            self.pump.ask_files()
        if self.pump.needs_files or not (slices or skipped):
            return False
        if not self.pump.lanes.take(slices):
            return True  # dropped since they were found: look again
        rows = [self._row(period, piece, reason) for piece in slices]
        failpoint.reach("writer.fallback.before")
        self._store(rows, ends([*slices, *skipped]))
        failpoint.reach("writer.fallback.stored")
        self.has_rows = True
        self.pump.records += sum(row.count for row in rows)
        self.pump.advance([*slices, *skipped])
        self.pump.batches += 1
        self.pump.publish()
        return True

    def leave(self) -> None:
        """
        Stop writing to files: make durable what is in them, or take it back.

        OSError or FallbackError when not even that can be said anywhere; nothing has moved then.
        """
        self.settle_store()
        self.end()
        if self.pump.is_all_durable and not self.pump.days.open and self.pump.page.open_intent() is None:
            return
        failpoint.reach("writer.leave.before")
        try:
            self._trim()
            self.pump.sync_all()
        except (OSError, LaneError):
            self.take_back()
        self.pump.days.close()

    def take_back(self) -> None:
        """
        Take back everything behind the last sync: files get cut marks, lanes go on at what is durable.

        A second fsync would say that all is well although the pages are gone, and a re-read proves nothing.
        FallbackError or OSError when the marks can be kept nowhere and the files not be cut either: nothing
        is written then until it works.
        """
        self.pump.is_retreating = True
        was_known = self.pump.page.is_trusted or self.pump.page.is_retreating
        if was_known:
            self.pump.page.retreat()
        else:
            self.pump.page.doubt()
        for file in self.pump.days.open.values():
            file.synced_size = self._counted(file)
        self.pump.days.close()
        self._mark([CutMark(name, *about) for name, about in self.pump.page.synced.files.items()])
        self.rewind()
        if was_known:
            self.pump.page.settle()
        else:
            self.pump.page.be_sure()
        self.pump.is_retreating = False
        self.cut_marked()

    def mark_unsure(self) -> None:
        """Have files count up to what is known to be synced, after a sync that nobody saw the end of."""
        if self.pump.page.is_unsure:
            self._mark([CutMark(name, *about) for name, about in self.pump.page.synced.files.items()])
            self.cut_marked()

    def _counted(self, file: DayFile) -> int:
        """Return up to where a file counts: a successor opened it with all that the last one left there."""
        *identity, size = self.pump.page.synced.files.get(file.name, ("", -1, 0))
        is_marked = identity == [file.volume, file.inode]
        return min(size, file.published_size) if is_marked else file.published_size

    def cut_marked(self) -> None:
        """Shorten the files that have cut marks, as far as that is possible now."""
        if not self.may_touch_files:
            return
        for mark in self.cuts:
            with suppress(OSError, FallbackError):  # it stays, for the next time
                self.pump.days.cut(*mark)
                failpoint.reach("writer.cut.done")
                self.fallback.remove_cut_mark(mark)

    def _void(self, file: DayFile) -> None:
        """Forget the mark of a file that is gone, whose inode a new one has. OSError when that fails."""
        for mark in self.cuts:
            if (mark.volume, mark.inode) == (file.volume, file.inode):
                try:
                    self.fallback.remove_cut_mark(mark)
                except FallbackError as error:
                    raise OSError(errno.EIO, str(error), file.name) from error

    def cut_elsewhere(self) -> None:
        """Shorten the files that stores of gone pipelines have marks of. OSError when that cannot be done."""
        if self.leftovers:
            self.leftovers.cut_marked(self.pump.days)

    def end(self) -> None:
        """Finish a retreat that could not be finished."""
        if self.pump.is_retreating:
            self.take_back()

    def settle_store(self) -> None:
        """See that a transaction that failed stays failed. FallbackError while that cannot be said."""
        if self.is_store_in_doubt and not self.fallback.settle():
            raise FallbackError(
                "a transaction of the fallback store is in doubt",
                where=str(self.fallback.path),
                remedy="Its records stay queued until its volume takes a write again",
            )
        self.is_store_in_doubt = False

    def _store(
        self, rows: list[FallbackRow], positions: dict[str, int], cuts: Sequence[CutMark] = ()
    ) -> None:
        try:
            self.fallback.store(rows, positions, cuts)
        except FallbackFull:
            raise
        except FallbackMoved:
            self.load()
            raise
        except FallbackError:
            self.is_store_in_doubt = True
            raise

    def _trim(self) -> None:
        """
        Settle a batch that its file could not take whole: its whole lines stay, the rest goes elsewhere.

        On a full disk nothing durable is in doubt, so nothing else is taken back. OSError when the file is
        not what it was.
        """
        intent = self.pump.page.open_intent()
        if intent is None:
            return
        file = self.pump.days.find(intent.file, intent.volume, intent.inode)
        source = b"".join(self.pump.read(piece) for piece in intent.slices)
        there = file.read(intent.offset, file.actual_size()) if file else b""
        if file is None or file.actual_size() < intent.offset or not source.startswith(there):
            raise OSError(errno.ESTALE, "the file of an open batch is not what it was", intent.file)
        length = there.rfind(b"\n") + 1
        file.cut_to(intent.offset + length)
        self.pump.sync_now(file)
        failpoint.reach("writer.trim.cut")
        if not length:
            self.pump.page.withdraw()
            return
        part = first_bytes(intent.slices, length)
        records = self.pump.records + there.count(b"\n", 0, length)
        self.pump.page.propose(intent._replace(length=length, slices=part, skipped=[], records=records))
        self.pump.finish(file, self.pump.page.intents[intent.batch % 2], [])
        self.pump.let_go(file)

    def _mark(self, marks: list[CutMark]) -> None:
        """Keep cut marks in the fallback; without it, cut the files at once."""
        try:
            self._store([], {}, marks)
        except FallbackError:
            if not self.may_touch_files:
                raise
            for mark in marks:
                self.pump.days.cut(*mark)
            return
        failpoint.reach("writer.retreat.marked")

    def rewind(self) -> None:
        """Go back to what is durable, in every lane."""
        self.pump.forget_unsynced()
        self.pump.records = self.pump.durable_records
        for lane in self.pump.lanes.all():
            durable = max(lane.tailer.durable, self.pump.page.synced.lanes.get(lane.producer, 0))
            lane.tailer.written = lane.tailer.durable = durable
            lane.store_position()

    def _row(self, period: str, piece: Slice, reason: str) -> FallbackRow:
        data = self.pump.read(piece)
        first, last = stored.number_of(data), stored.number_of(data[data.rfind(b"\n", 0, -1) + 1 :])
        return FallbackRow(piece.producer, period, first or 0, last or 0, data.count(b"\n"), data, reason)
