"""
Replay: from the fallback store back into the files, each record once.

It runs in whoever holds the append lock, a piece at a time, so that a writer does it between live batches. A
piece is claimed (part, place, rows; durable), appended to a part of replay's own, synced, its rows removed.

Invariants                                                                  crash/test_replay_killed.py
    P1  No byte of a piece is written before its claim is durable.
    P2  Rows are removed only when their bytes and the part's name are synced.
    P3  A claim that is found is settled first: what stands at its place is compared with the rows, and it
        goes on at the very next byte. Where somebody wrote in between, whole lines of ours count as there.
    P4  A failed fsync is not tried again: the part counts up to where the piece began (a cut mark, durable
        with the end of the claim), and the rows go to another part.
    P5  Within a part each producer's numbers ascend; what would go back begins another part.
    P6  A row whose bytes are not those of its checksum is never written to a file; it goes to the quarantine.
    P8  A step looks and writes in one directory, never below a mount point whose volume is away: there every
        claim is gone.                                          integration/test_volume_leaves.py
    P9  A claim may be of another instance's part. Its manifest is of that one's chain.
                                                                property/test_simulation.py
    P10 A part is as long as `rotate_max_mb` allows, or one row: a row is what is claimed and removed as a
        whole, so it is never cut in two.                           unit/test_replay.py
    P7  One process at a time replays a store: a lock beside it says so, whichever files it appends to.
"""

from __future__ import annotations

import errno
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline.delivery import replay_part
from pipeline.errors import FallbackBusy
from pipeline.host import failpoint, files
from pipeline.host.locks import RecordLock
from pipeline.storage import fallback_rows, fence, quarantine, stored
from pipeline.storage.day_file import bytes_max
from pipeline.storage.directories import Access
from pipeline.storage.fallback import CutMark
from pipeline.storage.fallback_rows import Claim
from pipeline.storage.grip import Grip
from pipeline.storage.manifest import instance_of
from pipeline.storage.manifests import Manifests

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from pipeline.delivery.replay_part import ReplayPart
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.fallback import Fallback
    from pipeline.storage.fallback_rows import StoredRow


class Replay:
    """
    One run over a store. `records` and `quarantined` (rows) count what this run has done.

    `since` leaves out rows that were stored before it, `limit` ends the run once so many records are done.
    """

    def __init__(
        self,
        fallback: Fallback,
        places: Places,
        instance: str,
        settings: Settings,
        *,
        since: str = "",
        limit: int = 0,
        beat: Callable[[], None] = lambda: None,
        grip: Grip | None = None,
        manifests: Manifests | None = None,
    ) -> None:
        self.records = 0
        self.quarantined = 0
        self._fallback = fallback
        self._grip = grip or Grip(places)
        self._quarantine_dir = self._grip.places.quarantine_dir
        self._instance = instance
        self._settings = settings
        self._bytes_max = bytes_max(settings)
        self._since = since
        self._limit = limit
        self._beat = beat
        self._access = Access.of(settings)
        self._manifests = manifests or Manifests(self._grip.places, instance, self._access, self._grip.check)
        self._after: int | None = None
        self._part: ReplayPart | None = None
        self._lock: RecordLock | None = None

    @property
    def done(self) -> Counter[str]:
        """What this run has done, as health counts it: "replayed" records, "quarantined" rows."""
        return Counter(replayed=self.records, quarantined=self.quarantined)

    def is_of(self, manifests: Manifests) -> bool:
        """
        Whether it writes these manifests.

        A writer has others, perhaps of another instance, when it has lost the append lock and had it again.
        """
        return self._manifests is manifests

    def step(self, bytes_max: int) -> int:
        """
        Replay one piece of about `bytes_max`; how many records left the store, 0 when nothing is left to do.

        OSError of the log directory and FallbackError leave the rows; the next call begins where that can be.
        """
        try:
            self._grip.check()
            if self._after is None:
                self._begin()
            rows = self._next_rows(bytes_max)
            if not rows:
                self._finish()
                return 0
            return self._replay(rows)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the part, and let others replay this store; the next step begins anew."""
        self._after = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._part is not None:
            self._let_go(self._part)
            self._part = None

    def _let_go(self, part: ReplayPart) -> None:
        """Close a part, and its manifest with it."""
        with suppress(OSError):  # whoever goes on there catches up
            self._manifests.leave(part)
        part.close()

    def _begin(self) -> None:
        self._take_store()
        for claim in self._fallback.read(fallback_rows.claims):
            failpoint.reach("replay.settle")
            with self._in_chain_of(claim):
                self._settle(claim)
        self._after = self._fallback.read(lambda conn: fallback_rows.number_before(conn, self._since))

    def _take_store(self) -> None:
        """Keep others from replaying this store, whatever files they may append to (P7)."""
        if self._lock is not None:
            return
        self._fallback.open()
        self._lock = RecordLock(self._fallback.path.with_name(f"{self._fallback.path.name}.replay"))
        if not self._lock.try_acquire():
            raise FallbackBusy(
                "another process replays the fallback store",
                where=str(self._fallback.path),
                remedy="Wait until it is done",
            )

    def _next_rows(self, bytes_max: int) -> list[StoredRow]:
        after, left = self._after or 0, self._limit - self.records
        if self._limit and left <= 0:
            return []
        rows = self._fallback.read(lambda conn: fallback_rows.next_rows(conn, after, bytes_max))
        return _up_to(rows, left) if self._limit else rows

    def _replay(self, rows: list[StoredRow]) -> int:
        """Bring one piece into a part, but for what is damaged or would go back in it (P5)."""
        for number, row in enumerate(rows):
            if not row.is_whole():
                if number:
                    rows = rows[:number]
                    break
                self._quarantine(row)
                return max(1, row.count)
        part = self._part_for(rows)
        rows = _fitting(_ascending(rows, part), self._bytes_max - part.actual_size())
        data = b"".join(row.data for row in rows)
        claim = Claim(part.name, part.volume, part.inode, part.actual_size(), rows[0].id, rows[-1].id)
        self._fallback.change(lambda connection: fallback_rows.put_claim(connection, claim))
        failpoint.reach("replay.claimed")
        self._manifests.propose(part, claim.start, [row.data for row in rows], [_lines(row) for row in rows])
        part.append(data)
        failpoint.reach("replay.appended")
        before = self.records
        if part.actual_size() == claim.start + len(data):
            self._complete(part, claim, rows)
        else:  # somebody wrote into it just now
            self.close()
            self._begin()
        return self.records - before

    def _complete(self, part: ReplayPart, claim: Claim, rows: list[StoredRow]) -> None:
        """Make a piece durable that is in its part, and remove its rows."""
        self._sync(part, claim)
        failpoint.reach("replay.synced")
        self._manifests.publish([part])
        self._fallback.change(lambda connection: fallback_rows.remove(connection, rows, claim.part))
        failpoint.reach("replay.removed")
        for row in rows:
            part.last_numbers[row.producer] = row.last
        self._after = claim.last_slice
        self.records += sum(row.count for row in rows)

    def _part_for(self, rows: list[StoredRow]) -> ReplayPart:
        """Return the part that the first row may go to."""
        part, first = self._part, rows[0]
        is_fit = part is not None and part.path.name.startswith(f"{first.period}.")
        if part is None or not is_fit or self._is_full(part, first) or _goes_back(part, first):
            if part is not None:
                self._let_go(part)
            self._part = None
            part = self._part = replay_part.create(
                self._grip,
                self._instance,
                first.period,
                self._settings,
                may_take_empty=not self._fallback.cut_marks(),
            )
            self._void_marks(part)
        return part

    def _is_full(self, part: ReplayPart, row: StoredRow) -> bool:
        return part.actual_size() > 0 and part.actual_size() + len(row.data) > self._bytes_max

    def _void_marks(self, part: ReplayPart) -> None:
        """Forget the mark of a file that is gone, whose inode this new part has."""
        for mark in self._fallback.cut_marks():
            if (mark.volume, mark.inode) == (part.volume, part.inode):
                self._fallback.remove_cut_mark(mark)

    def _sync(self, part: ReplayPart, claim: Claim) -> None:
        try:
            part.sync()
        except OSError:
            self._leave(part, claim)
            raise

    def _leave(self, part: ReplayPart, claim: Claim) -> None:
        """Have the part count up to where the piece began, and the rows taken again (P4)."""
        mark = CutMark(part.name, part.volume, part.inode, claim.start)
        self._fallback.store(
            [], {}, [mark], also=lambda connection: fallback_rows.drop_claim(connection, claim.part)
        )
        failpoint.reach("replay.left")
        with suppress(OSError):  # the mark stays, for whoever comes when the volume is better
            part.cut_to(claim.start)
            self._fallback.remove_cut_mark(mark)

    @contextmanager
    def _in_chain_of(self, claim: Claim) -> Iterator[None]:
        """Keep the manifest of another instance's part in that one's chain (P9); without its lock in none."""
        ours, owner = self._manifests, instance_of(claim.part)
        if owner == self._instance:
            yield
            return
        lock = fence.lock_of(self._grip.places, owner)
        check = self._grip.check if lock.try_acquire() else _leave_it
        self._manifests = Manifests(self._grip.places, owner, self._access, check)
        try:
            yield
        finally:
            self._manifests = ours
            lock.close()

    def _settle(self, claim: Claim) -> None:
        """Find out what an interrupted append left, and complete it (P3)."""
        rows = self._fallback.read(
            lambda conn: fallback_rows.rows_between(conn, claim.first_slice, claim.last_slice)
        )
        part = replay_part.find(self._grip, claim)
        try:
            there = part.read_from(claim.start) if part else replay_part.packed_since(self._grip, claim)
            expected = b"".join(row.data for row in rows)
            if (
                part is None
                or part.actual_size() < claim.start
                or not rows
                or not _fits(there, expected, rows)
            ):
                self._settle_by_lines(part, claim, rows, there)
                return
            part.write_again(there[: len(expected)], claim.start)
            part.append(expected[len(there) :])
            failpoint.reach("replay.settled")
            self._complete(part, claim, rows)
        finally:
            if part is not None:
                self._let_go(part)

    def _settle_by_lines(
        self, part: ReplayPart | None, claim: Claim, rows: list[StoredRow], there: bytes
    ) -> None:
        """Take whole lines of ours that are in the part for replayed, wherever they stand; the rest stays."""
        if part is not None and part.actual_size() > claim.start:
            part.write_again(there, claim.start)
            part.sync()
        rests = {
            row.id: replay_part.lines_without(row.data.splitlines(keepends=True), there)
            for row in rows
            if row.is_whole()
        }
        done = [row for row in rows if rests.get(row.id) == []]

        def work(connection: sqlite3.Connection) -> None:
            fallback_rows.remove(connection, done, claim.part)
            for row in rows:
                rest = rests.get(row.id)
                if rest and len(rest) < row.count:
                    fallback_rows.keep_rest(connection, row, rest, _numbers(rest))

        self._fallback.change(work)
        self.records += sum(row.count - len(rests.get(row.id, ())) for row in rows if row.id in rests)

    def _quarantine(self, row: StoredRow) -> None:
        """Keep a damaged row out of the files, where somebody can look at it (P6)."""
        quarantine.make(self._quarantine_dir, self._access)
        name = f"fallback.{row.producer}.{row.first}-{row.last}.{row.sha256[:8]}.jsonl"
        files.replace(self._quarantine_dir / name, row.data, durable=True, give=self._access.give_file)
        failpoint.reach("replay.quarantined")
        self._fallback.change(lambda connection: fallback_rows.quarantine(connection, row, name))
        self.quarantined += 1
        self._after = row.id

    def _finish(self) -> None:
        """Have it told, and give the room back."""
        self.close()
        if self._fallback.read(fallback_rows.replayed) != fallback_rows.Replayed():
            self._fallback.change(fallback_rows.announce_replayed)
            self._fallback.shrink()


def _leave_it() -> None:
    """Refuse to write an entry."""
    raise OSError(errno.EBUSY, "another process writes the manifests of that instance")


def _up_to(rows: list[StoredRow], records: int) -> list[StoredRow]:
    """Return the rows up to the one with which so many records are reached."""
    for number, row in enumerate(rows, 1):
        records -= row.count
        if records <= 0:
            return rows[:number]
    return rows


def _fitting(rows: list[StoredRow], room: int) -> list[StoredRow]:
    """Return the rows for which there is room, and the first one in any case."""
    for number, row in enumerate(rows):
        room -= len(row.data)
        if room < 0:
            return rows[: max(1, number)]
    return rows


def _goes_back(part: ReplayPart, row: StoredRow) -> bool:
    """Whether numbers of its producer in the part are as high."""
    return row.first <= part.last_numbers.get(row.producer, 0)


def _ascending(rows: list[StoredRow], part: ReplayPart) -> list[StoredRow]:
    """Return the rows up to the first one that would go back in the part."""
    last = dict(part.last_numbers)
    for number, row in enumerate(rows):
        if row.first <= last.get(row.producer, 0):
            return rows[:number]
        last[row.producer] = row.last
    return rows


def _lines(row: StoredRow) -> int:
    """Return how many lines a row has; counted where its numbers do not say the same as its count."""
    return row.count if row.count == row.last - row.first + 1 else row.data.count(b"\n")


def _fits(there: bytes, expected: bytes, rows: list[StoredRow]) -> bool:
    """Whether the part goes on, or can go on, with exactly these bytes."""
    is_alike = expected.startswith(there) or there.startswith(expected)
    return is_alike and all(row.is_whole() for row in rows)


def _numbers(lines: list[bytes]) -> list[int]:
    return [number for line in lines if (number := stored.number_of(line)) is not None] or [0]
