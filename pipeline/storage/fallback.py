"""
The fallback store: where records go while the log directory cannot take them, an SQLite database elsewhere.

It is written by one process, the writer or who holds the append lock in its place, and read by anybody. A row
is a slice: bytes as they would have been appended, with what is needed to put them into a file later and to
prove that they are the same bytes. Positions stand in the same transaction as the rows they are past.

Invariants                                                                 unit/test_fallback_store.py
    F1  `store` returns after its transaction is on the disk, rows, positions and cut marks together.
    F2  A `store` that raises leaves nothing, also for a successor that reads the log of a failed COMMIT, as
        soon as the volume takes one more write (`settle`).         integration/test_fallback_in_doubt.py
    F3  A damaged or removed database is never an end: it is moved away, a new one takes its readable rows,
        and the positions and cut marks that this process knows.
    F5  Rows go in behind the positions that their writer has read, or not at all: a predecessor that hangs in
        its last COMMIT is done with it before the next transaction begins.     integration/test_stand_ins.py
    F4  Nothing here waits for anybody longer than FALLBACK_BUSY_SEC; a reader makes the log longer, and us
        not slower.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pipeline.errors import FallbackError, FallbackFull, FallbackMoved
from pipeline.host import clock, files
from pipeline.limits import MIB
from pipeline.paths import QUARANTINE
from pipeline.storage import fallback_file, fallback_salvage, fallback_tables
from pipeline.storage.directories import PRIVATE, Access, make_directory
from pipeline.storage.fallback_file import FallbackFile
from pipeline.storage.fallback_tables import EMPTY, CutMark, FallbackRow, FallbackSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings

__all__ = ["CutMark", "Fallback", "FallbackRow", "FallbackSummary", "is_damage"]

Found = TypeVar("Found")
_ROW_OVERHEAD_BYTES: Final = 512
"""What a row takes beside its bytes, on the safe side: columns, page heads, the last page's rest."""


class Fallback:
    """
    The store at `path`, for its one writing process.

    `about` goes into a new database and says whose it is; `note` takes one line about a store that had to be
    replaced; `beat` is called while that takes its time.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        quarantine_dir: Path,
        about: Mapping[str, str] | None = None,
        access: Access = PRIVATE,
        beat: Callable[[], None] = lambda: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.quarantine_dir = quarantine_dir
        self._about = dict(about or {})
        self._access = access
        self._beat = beat
        self._note = note
        self._file: FallbackFile | None = None
        self._positions: dict[str, int] = {}
        self._cuts: dict[tuple[str, str, int], int] = {}
        self._summary = EMPTY

    @classmethod
    def of(cls, places: Places, settings: Settings, path: Path, instance: str, **more: Any) -> Self:
        """Return a store of a log directory, as the settings want it; `more` are `beat` and `note`."""
        return cls(
            path,
            max_bytes=int(settings.fallback_max_mb * MIB),
            quarantine_dir=places.quarantine_dir,
            about={"log_dir": str(places.log_dir), "instance": instance},
            access=Access.of(settings),
            **more,
        )

    @property
    def is_open(self) -> bool:
        """Whether the database is open."""
        return self._file is not None

    def open(self) -> None:
        """Open the database, make it where there is none, replace it when it is damaged. FallbackError."""
        if self._file is not None:
            return
        try:
            self._file = self._opened()
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the database; what is in it stays."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except sqlite3.Error as error:
                self._note(f"fallback store: {error}")  # the log stays beside it, as after a kill

    def store(
        self,
        rows: Sequence[FallbackRow],
        positions: Mapping[str, int],
        cuts: Sequence[CutMark] = (),
        *,
        also: Callable[[sqlite3.Connection], None] = lambda _: None,
    ) -> None:
        """
        Keep rows, positions and cut marks, all of it durable at return, or nothing; `also` joins in.

        FallbackFull when `max_bytes` is reached, FallbackMoved when `reread` has to come first, FallbackError
        for anything else.
        """
        if rows:
            self._require_room(sum(len(row.data) + _ROW_OVERHEAD_BYTES for row in rows))
        at = clock.wall_text()
        ready = [fallback_tables.columns(row, at) for row in rows]

        def work(connection: sqlite3.Connection) -> None:
            self._require_known(connection, positions)
            connection.executemany(
                "INSERT INTO slices"
                " (producer, first, last, count, length, period, sha256, reason, stored_at, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ready,
            )
            fallback_tables.put_positions(connection, positions)
            fallback_tables.put_cuts(connection, cuts)
            also(connection)

        self.change(work)
        self._positions.update(positions)
        for mark in cuts:
            self._cuts[mark[:3]] = min(mark.size, self._cuts.get(mark[:3], mark.size))

    def positions(self) -> dict[str, int]:
        """Return up to where each lane is in the store or was delivered before, by producer."""
        self._require_open()
        return dict(self._positions)

    def position_of(self, producer: str) -> int:
        """Return up to where a lane is in the store, as this process knows it; 0 for one that is not."""
        return self._positions.get(producer, 0)

    def forget(self, producers: Iterable[str]) -> None:
        """Forget the positions of lanes that are gone."""
        gone = [producer for producer in producers if producer in self._positions]
        if gone:
            statement = "DELETE FROM positions WHERE producer = ?"
            self.change(lambda connection: _run_each(connection, statement, [(name,) for name in gone]))
            for producer in gone:
                del self._positions[producer]

    def reread(self) -> None:
        """Take cut marks and positions as they stand now: another process had the files. FallbackError."""
        self._require_open()
        self._cuts = self.read(fallback_tables.cuts)
        self._put_positions(self.read(fallback_tables.positions))

    @property
    def known_cut_marks(self) -> list[CutMark]:
        """The cut marks in force, as this process last saw them; the database is not opened for that."""
        return [CutMark(*key, size) for key, size in self._cuts.items()]

    def cut_marks(self) -> list[CutMark]:
        """Return the cut marks in force, as this process knows them. FallbackError."""
        self._require_open()
        return self.known_cut_marks

    def remove_cut_mark(self, mark: CutMark) -> None:
        """Forget a mark whose file has been cut."""
        key = (mark.file, mark.volume, str(mark.inode))
        statement = "DELETE FROM cut_marks WHERE file = ? AND device = ? AND inode = ?"
        self.change(lambda connection: _run_each(connection, statement, [key]))
        self._cuts.pop(mark[:3], None)

    def summary(self) -> FallbackSummary:
        """Return what is in the store; what was last known of it while it cannot be read."""
        if self._file is not None:
            try:
                self._summary = fallback_tables.summary_of(self._file.db.conn)
            except sqlite3.Error:
                return self._summary
        return self._summary

    def settle(self) -> bool:
        """Make sure that what `store` refused stays refused for a successor too; whether it is sure (F2)."""
        return self._file is None or self._file.settle()

    def held(self, producers: Iterable[str]) -> dict[str, set[int]]:
        """Return the action_numbers that the store holds of each producer asked for, for recovery by sets."""
        wanted = set(producers)
        return self.read(lambda connection: fallback_tables.held(connection, wanted))

    def read(self, look: Callable[[sqlite3.Connection], Found]) -> Found:
        """Return what `look` finds, in a new database if this one is damaged. FallbackError."""
        try:
            try:
                return look(self._require_open().db.conn)
            except sqlite3.Error as error:
                if not fallback_file.is_corruption(error):
                    raise
                return look(self._renewed(f"is damaged: {error}").db.conn)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def change(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do the work in one durable transaction, in a new database if this one is gone or damaged."""
        try:
            file = self._require_whole()
            try:
                file.transaction(work)
            except sqlite3.Error as error:
                if not fallback_file.is_corruption(error):
                    raise
                self._renewed(f"is damaged: {error}").transaction(work)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error

    def shrink(self) -> None:
        """Give the room of rows that are gone back to the volume, once little is left to copy for that."""
        try:
            self._require_open().shrink()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _require_open(self) -> FallbackFile:
        self.open()
        if self._file is None:
            raise FallbackError("the fallback store is closed", where=str(self.path))
        return self._file

    def _require_whole(self) -> FallbackFile:
        """Return the open database once it is seen to be the one that its path names."""
        file = self._require_open()
        return self._renewed("was removed or replaced") if file.is_replaced() else file

    def _require_known(self, connection: sqlite3.Connection, positions: Mapping[str, int]) -> None:
        """Refuse to store what a transaction that came late, of who was killed in it, has stored (F5)."""
        for producer in positions:
            query = "SELECT position FROM positions WHERE producer = ?"
            found = connection.execute(query, (producer,)).fetchone()
            if found and found[0] > self._positions.get(producer, 0):
                raise FallbackMoved("another writer has stored records of this lane", where=producer)

    def _require_room(self, size: int) -> None:
        try:
            file = self._require_whole()
            if file.used_bytes() + size <= self.max_bytes and file.has_volume_room(size):
                return
            file.shorten_log()
            used, has_room = file.used_bytes(), file.has_volume_room(size)
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                return  # the transaction that follows replaces it
            raise self._error(error) from error
        if used + size > self.max_bytes:
            raise FallbackFull(
                "the fallback store is full",
                where=str(self.path),
                cause=f"{used / MIB:.1f} MiB are used",
                remedy="Repair the log directory, or raise fallback_max_mb",
            )
        if not has_room:
            raise FallbackFull(
                "the volume of the fallback store is nearly full",
                where=str(self.path),
                cause=f"{size / MIB:.1f} MiB more would leave no room to empty it again",
                remedy="Make room there, or set fallback_dir to another volume",
            )

    def _opened(self) -> FallbackFile:
        try:
            return self._usable()
        except sqlite3.Error as error:
            if not fallback_file.is_corruption(error):
                raise
            aside = self._move_aside()
            self._note(f"fallback store {self.path} cannot be used ({error}); it is kept as {aside}")
        file = FallbackFile(self.path, self._about, self._access)
        if aside.is_file():
            self._salvage(fallback_file.connect(aside, "rw").conn, file)
        self._learn(file)
        return file

    def _usable(self) -> FallbackFile:
        """Return the database that is there or a new one, once everything that we rely on has been read."""
        file = FallbackFile(self.path, self._about, self._access)
        try:
            self._learn(file)
        except sqlite3.Error:
            file.close()
            raise
        return file

    def _renewed(self, what: str) -> FallbackFile:
        """Put a new database in place, with what we know ourselves and what can be read of the old one."""
        old = self._require_open()
        aside = self._move_aside()
        self._note(f"fallback store {self.path} {what}; what is left of it is kept as {aside}")
        fresh = FallbackFile(self.path, self._about, self._access)
        fresh.transaction(self._put_known)
        self._file = fresh
        # Open descriptors still reach what has lost its name: rows that nobody else can read any more.
        self._salvage(old.db.conn, fresh)
        return fresh

    def _salvage(self, old: sqlite3.Connection, fresh: FallbackFile) -> None:
        try:
            found = fallback_salvage.salvage(old, fresh.db.conn, self._beat)
            self._note(f"fallback store: {found.rows} rows were taken over, {found.left} could not be read")
        except sqlite3.Error as error:
            self._note(f"fallback store: the old rows could not be taken over: {error}")
        finally:
            old.close()

    def _put_known(self, connection: sqlite3.Connection) -> None:
        fallback_tables.put_positions(connection, self._positions)
        fallback_tables.put_cuts(connection, self.known_cut_marks)

    def _move_aside(self) -> Path:
        beside = self.path.parent / QUARANTINE
        # The quarantine may be on another volume, or on the one that has failed: nothing is made there then.
        if self.quarantine_dir.parent.is_dir():
            try:
                make_directory(self.quarantine_dir, self._access)
                return fallback_file.move_aside(self.path, self.quarantine_dir)
            except OSError as error:
                self._note(f"fallback store: {error}; what is moved aside stays in {beside}")
        files.make_private(beside)
        return fallback_file.move_aside(self.path, beside)

    def _learn(self, file: FallbackFile) -> None:
        """Take positions and cut marks into memory: they outlive a database that is damaged later."""
        self._summary = fallback_tables.summary_of(file.db.conn)
        self._put_positions(fallback_tables.positions(file.db.conn))
        self._cuts.update(fallback_tables.cuts(file.db.conn))

    def _put_positions(self, positions: Mapping[str, int]) -> None:
        for producer, position in positions.items():
            self._positions[producer] = max(position, self._positions.get(producer, 0))

    def _error(self, error: Exception) -> FallbackError:
        return FallbackError(
            "the fallback store failed",
            where=str(self.path),
            cause=error,
            remedy="The records stay queued; see to its volume, or set fallback_dir to another one",
        )


def is_damage(error: Exception) -> bool:
    """Whether an error says that the database itself is damaged."""
    return isinstance(error, sqlite3.Error) and fallback_file.is_corruption(error)


def _run_each(connection: sqlite3.Connection, statement: str, values: Sequence[tuple[str, ...]]) -> None:
    connection.executemany(statement, values)
