"""
The database file of the fallback store: schema, transactions, size, and whether it is still itself.

Plain SQLite over sqlite-utils' handle. What the rows mean is told in `fallback.py`, the schema in
docs/fallback.md.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pipeline.errors import FallbackError
from pipeline.host import clock, failpoint, files
from pipeline.limits import FALLBACK_BUSY_SEC, FALLBACK_WAL_BYTES, MIB
from pipeline.storage.directories import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sqlite_utils import Database

    from pipeline.storage.directories import Access

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x70466264
"""Says in the file's header that it is ours; `file` prints it."""
BESIDE: Final = ("", "-wal", "-shm")
"""The names that one database has, as ends of its own name."""

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE slices (
    id INTEGER PRIMARY KEY AUTOINCREMENT, producer TEXT NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, count INTEGER NOT NULL, length INTEGER NOT NULL, period TEXT NOT NULL,
    sha256 TEXT NOT NULL, reason TEXT NOT NULL, stored_at TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE positions (producer TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cut_marks (
    file TEXT, device TEXT, inode TEXT, size INTEGER NOT NULL, PRIMARY KEY (file, device, inode))
    WITHOUT ROWID;
CREATE TABLE appends (
    part TEXT PRIMARY KEY, device TEXT NOT NULL, inode TEXT NOT NULL, start INTEGER NOT NULL,
    first_slice INTEGER NOT NULL, last_slice INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE announcements (id INTEGER PRIMARY KEY, action_type TEXT NOT NULL, fields TEXT NOT NULL);
CREATE TABLE totals (
    reason TEXT PRIMARY KEY, rows INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TRIGGER slice_stored AFTER INSERT ON slices BEGIN
    INSERT INTO totals VALUES (NEW.reason, 1, NEW.count, NEW.length) ON CONFLICT (reason) DO UPDATE
    SET rows = rows + 1, records = records + NEW.count, bytes = bytes + NEW.length;
END;
CREATE TRIGGER slice_removed AFTER DELETE ON slices BEGIN
    UPDATE totals SET rows = rows - 1, records = records - OLD.count, bytes = bytes - OLD.length
    WHERE reason = OLD.reason;
    DELETE FROM totals WHERE reason = OLD.reason AND rows = 0;
END;
"""
_VOLUME_RESERVE_BYTES: Final = 8 * MIB
_PAGE_BYTES: Final = 65536
"""Most rows are long: they go over few pages, and a long log has few frames to look through."""
_SHRINK_COPY_BYTES: Final = 4 << 20
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE: Final = 0xFF
"""SQLite's extended codes carry the primary one in their lowest byte (sqlite.org/rescode.html)."""


class FallbackFile:
    """One open database. Errors are sqlite3.Error and OSError; `is_corruption` tells them apart."""

    def __init__(self, path: Path, about: Mapping[str, str], access: Access = PRIVATE) -> None:
        self.path = path
        self.in_doubt = False
        """Whether a COMMIT failed and nothing has been written over it since: a restart may find it done."""
        create(path, access)
        self.db = connect(path, "rw")
        try:
            self._prepare(about)
            self._identities = self._found()
        except BaseException:
            self.db.conn.close()
            raise

    def close(self) -> None:
        """Close the database; SQLite moves the log into the file and removes it."""
        self.db.conn.close()

    def transaction(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do the work in one transaction, durable at return. Whatever is raised leaves nothing of it."""
        try:
            self._run(work)
        except BaseException:
            self.settle()
            raise

    def settle(self) -> bool:
        """Write over what a failed COMMIT may have left in the log; whether nothing is in doubt any more."""
        if self.in_doubt:
            try:
                self._run(_count_settlement)
            except sqlite3.Error:
                return False
        return True

    def is_replaced(self) -> bool:
        """Whether one of the files is no longer the one that we opened, or has no name any more."""
        return self._found() != self._identities

    def has_volume_room(self, size: int) -> bool:
        """
        Whether the volume takes `size` more bytes and what it takes to get rid of them again.

        They go to the log, from there to the database, and their removal is written, too: a store that has
        filled its own volume could never be emptied.
        """
        volume = os.statvfs(self.path.parent)
        free, whole = (count * volume.f_frsize for count in (volume.f_bavail, volume.f_blocks))
        return free >= 2 * size + self._log_bytes() + min(_VOLUME_RESERVE_BYTES, whole // 16)

    def used_bytes(self) -> int:
        """Return the room taken on the volume, log included, without the pages that are free inside."""
        pages, free, size = (self._pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        on_disk = os.stat(self.path).st_size + self._log_bytes()
        return max(pages * size, on_disk) - free * size

    def shrink(self) -> None:
        """Give the room of rows that are gone back to the volume, once little is left to copy for that."""
        pages, free = (self._pragma(name) for name in ("page_count", "freelist_count"))
        if free and (pages - free) * _PAGE_BYTES <= _SHRINK_COPY_BYTES:
            self.db.conn.execute("VACUUM")
        self.shorten_log()

    def shorten_log(self) -> None:
        """Move the log into the file and cut it, if nobody reads in it just now."""
        self._without_waiting("PRAGMA wal_checkpoint(TRUNCATE)")

    def _run(self, work: Callable[[sqlite3.Connection], None]) -> None:
        connection = self.db.conn
        connection.execute("BEGIN IMMEDIATE")
        try:
            work(connection)
            failpoint.reach("fallback.commit.before")
            # From here on the log may hold the whole transaction, whatever an error says of it.
            self.in_doubt = True
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        self.in_doubt = False
        failpoint.reach("fallback.commit.after")

    def _without_waiting(self, pragma: str) -> tuple[int, int, int] | None:
        """Run a checkpoint that gives way at once; None when it could not."""
        self.db.conn.execute("PRAGMA busy_timeout = 0")
        try:
            found: tuple[int, int, int] = self.db.conn.execute(pragma).fetchone()
        except sqlite3.OperationalError:
            return None  # what is committed is in the log, and stays there
        finally:
            self.db.conn.execute(f"PRAGMA busy_timeout = {int(FALLBACK_BUSY_SEC * 1000)}")
        return found

    def _prepare(self, about: Mapping[str, str]) -> None:
        connection = self.db.conn
        if self._pragma("application_id") == 0 and self._pragma("page_count") == 0:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        # Many builds overwrite what is deleted with zeros, twice: in the log and in the database. Replay took
        # 40 % longer with that, for rows that stand in a day file a moment later.
        connection.execute("PRAGMA secure_delete = OFF")
        # Tried after each commit from there on; it gives way to readers, who only make the log longer.
        connection.execute(f"PRAGMA wal_autocheckpoint = {FALLBACK_WAL_BYTES // _PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit = {FALLBACK_WAL_BYTES}")
        version = self._pragma("user_version")
        if version == 0 and self._pragma("application_id") == 0:
            self.transaction(lambda connection: _create(connection, about))
        elif version != SCHEMA_VERSION:
            raise sqlite3.NotSupportedError(f"schema version {version}, known {SCHEMA_VERSION}")

    def _pragma(self, name: str) -> int:
        found: int = self.db.conn.execute(f"PRAGMA {name}").fetchone()[0]
        return found

    def _log_bytes(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _found(self) -> list[tuple[int, int] | None]:
        return [_identity(f"{self.path}{end}") for end in BESIDE]


def connect(path: Path, mode: str) -> Database:
    """Return a database that exists; `mode` is ro or rw. Transactions begin by word, and never else."""
    from sqlite_utils import Database  # 20 MiB and 0.1 s, which a writer without an outage does not pay

    address = f"file:{quote(str(path))}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=FALLBACK_BUSY_SEC, isolation_level=None)
    return Database(connection, recursive_triggers=False, execute_plugins=False)


def is_corruption(error: Exception) -> bool:
    """Whether the database itself is damaged or not ours, and not just its volume or a lock."""
    if isinstance(error, sqlite3.NotSupportedError):
        return True
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & _PRIMARY_CODE in _CORRUPT or _lacks_schema(error)


def move_aside(path: Path, directory: Path) -> Path:
    """Move a database with its log out of the way, and return where it is now."""
    aside = directory / f"{path.name}.{clock.wall_ns()}"
    for end in BESIDE:
        source = path.with_name(path.name + end)
        if os.path.lexists(source):
            source.rename(aside.with_name(aside.name + end))
    return aside


def create(path: Path, access: Access) -> None:
    """Make the file where there is none, safe from others; SQLite gives its log the same mode."""
    if not os.path.lexists(path.parent):
        files.make_private(path.parent)
        access.give_store(path.parent)
    if not files.is_guarded_directory(path.parent) or not is_safe_above(path.parent.parent):
        raise FallbackError(
            "the directory of the fallback store is not this user's, or others may write to it",
            where=str(path.parent),
            remedy="Remove it, or set fallback_dir to another place",
        )
    try:
        fd = os.open(path, files.CREATE, 0o600)
        access.give_file(fd)
        os.close(fd)
    except FileExistsError:
        if not path.is_file() or path.is_symlink():
            raise sqlite3.NotSupportedError("it is no file of its own") from None


def is_safe_above(path: Path) -> bool:
    """Whether nobody else can rename what is ours in this directory."""
    found = path.stat()
    is_sticky = bool(found.st_mode & stat.S_ISVTX)
    return found.st_uid in (0, os.geteuid()) and (is_sticky or not found.st_mode & 0o022)


def _create(connection: sqlite3.Connection, about: Mapping[str, str]) -> None:
    statement = ""
    for line in _TABLES.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    facts = {**about, "schema_version": str(SCHEMA_VERSION), "created_at": clock.wall_text()}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # SQLite has rolled back by itself, or does so when the connection is closed


def _count_settlement(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO meta VALUES ('settled', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
    )


def _lacks_schema(error: Exception) -> bool:
    """Whether a table that every database of ours has is missing: somebody emptied or replaced the file."""
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
