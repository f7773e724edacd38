"""
The pump: from lanes to day files, each record once.

There is one primitive, `_append`: *these bytes to this target, once* (target, offset, length, source), used
for live batches and for what recovery has to finish. A batch takes of each lane only what leads in one
period, so that positions stay prefixes of lanes whatever the clock did. Where files refuse, what is not
durable is taken back (`retreat`) and batches go to the fallback, whose transaction is append and commit in
one.

Invariants
    D1  Bytes are appended only under a complete intent.
    D2  A lane's position moves only by a commit, over slices that are in a file.
    D3  Nothing is released before the fsync of its file, and of the directory when the file is new.
    D4  An append that was interrupted is compared with its source and goes on at the very next byte.
    D5  A file that failed an fsync, or a batch that cannot be completed, is cut where it was synced last, and
        what stood behind that is delivered again: under a cut mark when the file cannot be cut now.
    D7  A lane goes on in another file only when what it has in the one before is synced. test_power_model.py
    D8  What has an entry in a manifest is published: no retreat cuts it.   property/test_simulation.py
    D6  A batch goes to the fallback only when everything before it is durable, so `durable` stays a prefix.
The tests are crash/test_writer_killed.py (kills at every fail point) and property/test_delivery_model.py.
"""

from __future__ import annotations

import errno
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from pipeline.delivery.control import ControlPage, Intent, Synced
from pipeline.delivery.retreat import Retreat
from pipeline.delivery.slices import have_lane_in_common, without_stored
from pipeline.errors import LaneError
from pipeline.host import failpoint
from pipeline.limits import BATCH_SLICES_MAX, SYNC_BYTES_MAX
from pipeline.storage.day_file import DELETED, FOREIGN, INTACT, DayFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.checkpoint import Checkpoint
    from pipeline.queue.lanes import Lanes, WatchedLane
    from pipeline.queue.tailer import Slice
    from pipeline.settings import Settings
    from pipeline.storage.days import Days
    from pipeline.storage.fallback import Fallback

_FRAGMENTS_MAX: Final = BATCH_SLICES_MAX // 4
"""Most pieces that what recovery found can break one slice into, for one batch."""


class Pump:
    """Delivers what the lanes hold. One per writer, used by its main loop only."""

    def __init__(
        self,
        lanes: Lanes,
        page: ControlPage,
        days: Days,
        checkpoint: Checkpoint,
        settings: Settings,
        fallback: Fallback,
        beat: Callable[[], None],
    ) -> None:
        self.lanes = lanes
        self.page = page
        self.days = days
        self.checkpoint = checkpoint
        self.batch_bytes_max = settings.batch_max_bytes
        self.records = 0
        """Records written since the instance began."""
        self.durable_records = 0
        self.bytes_written = 0
        self.batches = 0
        self.unsynced_bytes = 0
        self.needs_files = False
        """Whether recovery by the files began and did not come to its end: it has to be repeated."""
        self.retreat = Retreat(self, fallback)
        self.is_retreating = False
        """Whether what is not durable has to be taken back before anything else is done."""
        self.is_sync_wanted = False
        self._unsynced: dict[str, list[Slice]] = {}
        self._lost: list[Slice] = []
        """What was in a deleted file and not durable: to be written again."""
        self._beat = beat
        self._turn = 0

    def deliver(self) -> bool:
        """Append one batch; whether there was one. OSError when its file refuses: `resume` is next then."""
        self.require_settled()
        if self._lost:
            self._deliver_lost()
            return True
        period, slices, skipped = self.collect()
        if any(lane.tailer.has_copy for lane in self.lanes.all()):
            self.ask_files()
            return True
        if slices:
            self._append(period, slices, skipped)
            return True
        self.advance(skipped)
        return bool(skipped)

    def ask_files(self) -> None:
        """Have the files asked before the next batch: there are records whose positions nobody knows."""
        self.needs_files = True
        self.page.distrust()

    def resume(self) -> bool:
        """
        Finish the batch whose intent is open, if there is one.

        False when its file is not what it was: the files have to be asked then. OSError when it refuses.
        """
        intent = self.page.open_intent()
        if intent is None:
            return True
        failpoint.reach("writer.recover.before")
        file = self.days.find(intent.file, intent.volume, intent.inode)
        if file is None or file.actual_size() < intent.offset:
            return False
        try:
            chunks = [self.read(piece) for piece in intent.slices]
        except LaneError:
            return False  # an old page, or somebody removed the lane
        source = b"".join(chunks)
        there = file.read(intent.offset, file.actual_size())
        if not source.startswith(there):
            return False
        file.size = intent.offset + len(there)
        self.days.manifests.propose(file, intent.offset, chunks)
        self.finish(file, intent, [source[len(there) :]])
        self.let_go(file)
        failpoint.reach("writer.recover.resumed")
        return True

    def let_go(self, file: DayFile) -> None:
        """Sync and close a file that was opened to finish a batch, unless its period is written to it."""
        if file.name not in {current.name for current in self.days.open.values()}:
            self._sync_file(file)
            self.days.let_go(file)

    def sync(self) -> None:
        """Make durable what is written, publish, release. OSError: all behind the last sync is in doubt."""
        if self._sync_and_publish():
            self.days.manifests.publish(self.days.open.values())

    def _sync_and_publish(self) -> bool:
        self.require_settled()
        if self.needs_files:
            return False  # how far lanes are written is a dead writer's word, and nobody has synced it
        for file in list(self.days.open.values()):
            if file.name in self._unsynced:
                self._sync_file(file)
        if not self.is_all_durable:
            return False  # not yet: deliver() writes the lost again first, and the next sync() publishes
        self.publish()
        return True

    def publish(self) -> None:
        """Say that everything written is durable, and release what that frees."""
        self.unsynced_bytes = 0
        self.durable_records = self.records
        self.is_sync_wanted = False
        moved = [lane for lane in self.lanes.all() if lane.tailer.durable < lane.tailer.written]
        for lane in self.lanes.all():
            lane.tailer.note_durable()
        if self.days.publish_sizes() or moved:
            self.note_synced()
        for lane in moved:
            lane.store_position()
        failpoint.reach("writer.sync.published")
        if self.page.is_unknown and all(lane.tailer.stored is None for lane in self.lanes.all()):
            failpoint.reach("writer.recover.trust")
            self.page.trust()
        self._release()

    def note_synced(self) -> None:
        """Have the page say how long the files and how far the lanes are durable."""
        lanes = {lane.producer: lane.tailer.durable for lane in self.lanes.all()}
        self.page.note_synced(Synced(self.durable_records, self.days.published(), lanes))

    def sync_all(self) -> None:
        """Sync until all is durable, what a deleted file has lost included. OSError when it cannot be."""
        self.sync()
        while self._lost:
            self._deliver_lost()
            self.sync()
        if not self.is_all_durable:
            raise OSError(errno.ESTALE, "a file with records that are not durable is closed")

    def forget_unsynced(self) -> None:
        """Forget what is not durable: it is going to be delivered again, from the lanes."""
        self._unsynced.clear()
        self._lost.clear()
        self.unsynced_bytes = 0

    @property
    def is_all_durable(self) -> bool:
        """Whether no file holds, or has lost, what is written and not durable."""
        return not self._unsynced and not self._lost

    @property
    def is_unsettled(self) -> bool:
        """Whether positions may change yet: the files have to be asked, or a retreat is not finished."""
        return self.needs_files or self.is_retreating

    def require_settled(self) -> None:
        """Refuse to go on while a retreat is not finished: OSError."""
        if self.is_retreating:
            raise OSError(errno.EIO, "what is not durable has to be taken back first")

    @property
    def is_sync_due(self) -> bool:
        """Whether so much is written and not durable that the interval is not waited for."""
        return self.is_sync_wanted or self.unsynced_bytes >= SYNC_BYTES_MAX

    def _deliver_lost(self) -> None:
        """Write again what a deleted file held and was not durable; before anything newer of its lanes."""
        failpoint.reach("writer.redeliver.before")
        period = self._period_of(self._lost[0])
        part = list(takewhile(lambda piece: self._period_of(piece) == period, self._lost[:BATCH_SLICES_MAX]))
        self._append(period, part, [], is_again=True)
        failpoint.reach("writer.redeliver.after")

    def _take_lost(self, file_name: str) -> None:
        lost = self._unsynced.pop(file_name, [])
        if lost:
            self.page.doubt()  # positions are past it: a successor has to go back to what is durable
        self._lost[:0] = lost

    def _append(
        self, period: str, slices: list[Slice], skipped: list[Slice], *, is_again: bool = False
    ) -> bool:
        """Append the slices to the period's file, once; False when something else has to come first."""
        file = self._settled_file(period, sum(piece.length for piece in slices))
        if file is None:
            return False
        if not self.lanes.take(slices):
            return False  # dropped since they were found: look again
        elsewhere = (pieces for name, pieces in self._unsynced.items() if name != file.name)
        if any(have_lane_in_common(slices, pieces) for pieces in elsewhere):
            self.sync()
            return False  # what a deleted file has lost may come first now
        if not file.is_noted:
            file.is_noted = True
            self.note_synced()
        chunks = [self.read(piece) for piece in slices]
        counts = [chunk.count(b"\n") for chunk in chunks]
        intent = Intent(
            batch=self.page.committed + 1,
            file=file.name,
            volume=file.volume,
            inode=file.inode,
            offset=file.size,
            length=sum(map(len, chunks)),
            records=self.records + (0 if is_again else sum(counts)),
            slices=slices,
            skipped=skipped,
        )
        self.page.propose(intent)
        self.days.manifests.propose(file, intent.offset, chunks, counts)
        if file.change() != INTACT:  # somebody wrote while we read and counted: look again
            self.page.withdraw()
            return self._append(period, slices, skipped, is_again=is_again)
        self.finish(file, intent, chunks)
        return True

    def finish(self, file: DayFile, intent: Intent, chunks: list[bytes]) -> None:
        """Append what is left of a proposed batch, commit it, move the positions."""
        failpoint.reach("writer.append.before")
        file.append(chunks)
        failpoint.reach("writer.append.after")
        self.page.commit(intent.batch)
        if self._lost:
            again = set(intent.slices)
            self._lost = [piece for piece in self._lost if piece not in again]
        self.records = intent.records
        self.bytes_written += intent.length
        self.batches += 1
        self.unsynced_bytes += intent.length
        self._unsynced.setdefault(file.name, []).extend(intent.slices)
        self.advance(intent.settled())
        if file.change() == FOREIGN:
            self.days.settle(file, self._sync_to_leave)
            self.is_sync_wanted = True

    def advance(self, pieces: list[Slice]) -> None:
        """Move the lanes' positions over what has got where it goes."""
        touched: dict[str, WatchedLane] = {}
        for piece in pieces:
            lane = self.lanes.watched.get(piece.producer)
            if lane is not None:
                lane.tailer.advance_written(piece)
                touched[piece.producer] = lane
        for lane in touched.values():
            lane.store_position()
            failpoint.reach("writer.position.stored")

    def _settled_file(self, period: str, coming: int) -> DayFile | None:
        """Return the file for so many bytes of a period, looked at; None when a deleted one is first."""
        while True:
            file = self.days.current(period)
            change = self.days.settle(file, self._sync_to_leave, coming)
            if change == INTACT:
                return file
            if change == DELETED:
                self._take_lost(file.name)
            if self._lost:
                return None

    def collect(self) -> tuple[str, list[Slice], list[Slice]]:
        """Return a period and what leads in it: (period, slices to append, slices settled by it)."""
        lanes = self.lanes.all()
        self._turn += 1
        start = self._turn % len(lanes) if lanes else 0
        period, room = "", min(self.batch_bytes_max, self.days.part_bytes_max)
        slices: list[Slice] = []
        skipped: list[Slice] = []
        for lane in lanes[start:] + lanes[:start]:
            pending = lane.tailer.pending(room)
            for found, piece in pending:
                is_full = len(slices) + len(skipped) + _FRAGMENTS_MAX > BATCH_SLICES_MAX
                if is_full or found != (period or found):
                    break
                period = found
                kept, settled = self._unstored(lane, piece)
                slices += kept
                skipped += settled
                room -= piece.length
                if settled and settled[0].end < piece.end:
                    break
            if room <= 0:
                break
        return period, slices, skipped

    def _unstored(self, lane: WatchedLane, piece: Slice) -> tuple[list[Slice], list[Slice]]:
        """Return (fragments of a slice that no file holds: all, but after a recovery; what they settle)."""
        known = lane.tailer.stored
        if known is None:
            return [piece], []
        kept = without_stored(piece, self.read(piece), known)
        if kept == [piece]:
            return kept, []
        if len(kept) < _FRAGMENTS_MAX:
            return kept, [piece]
        kept = kept[:_FRAGMENTS_MAX]
        return kept, [piece._replace(end=kept[-1].end)]

    def _sync_file(self, file: DayFile) -> None:
        """Sync a file that is still where its name says; keep what a deleted one held for writing again."""
        if file.change() == DELETED:
            self.days.settle(file, self.sync_now)
            self._take_lost(file.name)
            return
        self._beat()
        self.sync_now(file)
        batch = self.page.open_intent()
        if batch is not None and batch.file == file.name:  # what is there of it counts when it is whole
            file.synced_size = min(file.synced_size, batch.offset)

    def _sync_to_leave(self, file: DayFile) -> None:
        """Sync a file that is left, and publish: who takes back must not cut it below its last entry."""
        self.sync_now(file)
        self._sync_and_publish()

    def sync_now(self, file: DayFile) -> None:
        """Sync a file; if that fails, what is not durable has to be taken back, by a successor if need be."""
        try:
            with self.page.syncing():
                file.sync()
        except OSError:
            self.is_retreating = True
            raise
        # Here: what follows may fail, and nobody syncs it once it is left.
        self._unsynced.pop(file.name, None)

    def _release(self) -> None:
        releasable = [lane for lane in self.lanes.all() if lane.tailer.has_releasable()]
        if not releasable:
            return
        failpoint.reach("writer.checkpoint.before")
        is_safe = self.checkpoint.store(self.page.committed, self.days, self.lanes.all())
        failpoint.reach("writer.checkpoint.after")
        for lane in releasable:
            if lane.tailer.release(with_disk=is_safe):
                lane.store_position()

    def _period_of(self, piece: Slice) -> str:
        return self.lanes.watched[piece.producer].tailer.segments[piece.serial].header.period

    def read(self, piece: Slice) -> bytes:
        """Return the bytes of a slice; LaneError when they are not all there."""
        lane = self.lanes.watched.get(piece.producer)
        if lane is None:
            raise LaneError("the lane of an open batch is gone", where=piece.producer)
        data = lane.tailer.read(piece)
        if len(data) != piece.length:
            raise LaneError("a segment is shorter than its records", where=f"{piece.producer}/{piece.serial}")
        return data
