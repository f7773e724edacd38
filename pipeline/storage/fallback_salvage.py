"""
What can still be read of a database that is damaged or was removed, copied into its successor.

Each row is looked up by its own number, so that one damaged page costs the rows on it and no others. A row
whose bytes are not those of its checksum stays behind, in quarantine with the rest of the old file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BYTES_PER_TRANSACTION: Final = 4 << 20
_SMALL_TABLES: Final = {
    "SELECT producer, position FROM positions": "INSERT OR IGNORE INTO positions VALUES (?, ?)",
    "SELECT file, device, inode, size FROM cut_marks": "INSERT OR IGNORE INTO cut_marks VALUES (?, ?, ?, ?)",
    "SELECT part, device, inode, start, first_slice, last_slice FROM appends": (
        "INSERT OR IGNORE INTO appends VALUES (?, ?, ?, ?, ?, ?)"
    ),
    "SELECT id, action_type, fields FROM announcements": (
        "INSERT OR IGNORE INTO announcements VALUES (?, ?, ?)"
    ),
}
_READ_ROW: Final = (
    "SELECT id, producer, first, last, count, length, period, sha256, reason, stored_at, data"
    " FROM slices WHERE id = ?"
)
_WRITE_ROW: Final = "INSERT INTO slices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Salvaged(NamedTuple):
    """How many rows came over, and how many are known to be left behind."""

    rows: int
    left: int


def salvage(old: sqlite3.Connection, fresh: sqlite3.Connection, beat: Callable[[], None]) -> Salvaged:
    """Copy positions, cut marks and open appends, then the rows. sqlite3.Error of `fresh`."""
    with _Transaction(fresh):
        for query, statement in _SMALL_TABLES.items():
            fresh.executemany(statement, list(_readable(old, query)))
    numbers = _numbers(old)
    done = 0
    pending: list[tuple[Any, ...]] = []
    for number in numbers:
        row = _row(old, number)
        if row is not None:
            pending.append(row)
        if sum(len(row[-1]) for row in pending) >= _BYTES_PER_TRANSACTION:
            done += _copy(fresh, pending)
            beat()
    done += _copy(fresh, pending)
    return Salvaged(done, len(numbers) - done)


class _Transaction:
    """BEGIN and COMMIT around a block, ROLLBACK when it raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK" if kind else "COMMIT")


def _copy(fresh: sqlite3.Connection, pending: list[tuple[Any, ...]]) -> int:
    """Store the rows, empty the list, return how many there were."""
    with _Transaction(fresh):
        fresh.executemany(_WRITE_ROW, pending)
    count = len(pending)
    pending.clear()
    return count


def _numbers(old: sqlite3.Connection) -> list[int]:
    """Return the row numbers, listed as far as they can be read, then all that are possible."""
    found = [number for (number,) in _readable(old, "SELECT id FROM slices ORDER BY id")]
    ends = next(_readable(old, "SELECT max(id) FROM slices"), (None,))
    if ends[0] is not None and (not found or found[-1] < ends[0]):
        found += range(found[-1] + 1 if found else 1, ends[0] + 1)
    return found


def _row(old: sqlite3.Connection, number: int) -> tuple[Any, ...] | None:
    row = next(_readable(old, _READ_ROW, number), None)
    if row is None or not isinstance(row[-1], bytes) or hashlib.sha256(row[-1]).hexdigest() != row[7]:
        return None
    return row


def _readable(old: sqlite3.Connection, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """Yield what a query gives, up to the first page that cannot be read."""
    try:
        yield from old.execute(query, values)
    except sqlite3.Error:
        return
