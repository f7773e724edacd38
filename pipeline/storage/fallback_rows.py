"""
The rows of the fallback store as replay takes them: in pieces, claimed for a place in a part, then removed.

A piece is a run of rows by their numbers, so that its claim is one row, however many it has.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from pipeline.storage.fallback import Fallback

_COLUMNS: Final = "SELECT id, producer, first, last, count, length, period, sha256, data FROM slices"
_REPLAYED: Final = "replayed"


class StoredRow(NamedTuple):
    """A row of the store with its number there."""

    id: int
    producer: str
    first: int
    last: int
    count: int  # type: ignore[assignment] # nobody looks for a value in a row
    length: int
    period: str
    sha256: str
    data: bytes

    def is_whole(self) -> bool:
        """Whether the bytes are those that were stored."""
        return hashlib.sha256(self.data).hexdigest() == self.sha256


class Claim(NamedTuple):
    """Where a piece is being appended: `start` is the size that the part had before."""

    part: str
    volume: str
    inode: int
    start: int
    first_slice: int
    last_slice: int


class Replayed(NamedTuple):
    """What has left the store for the files since this was last announced."""

    rows: int = 0
    records: int = 0
    bytes: int = 0
    quarantined: int = 0


def next_rows(connection: sqlite3.Connection, after: int, bytes_max: int) -> list[StoredRow]:
    """Return the rows behind number `after` that lead in one period, at most `bytes_max` but at least one."""
    found = connection.execute("SELECT id, length, period FROM slices WHERE id > ? ORDER BY id", (after,))
    last, period, room = 0, "", bytes_max
    for number, length, its_period in found:
        if last and (its_period != period or length > room):
            break
        last, period, room = number, its_period, room - length
    found.close()
    return rows_between(connection, after + 1, last)


def rows_between(connection: sqlite3.Connection, first: int, last: int) -> list[StoredRow]:
    """Return the rows with these numbers."""
    query = f"{_COLUMNS} WHERE id BETWEEN ? AND ? ORDER BY id"
    rows = [StoredRow(*row) for row in connection.execute(query, (first, last))]
    return [row._replace(data=_bytes(row.data)) for row in rows]


def number_before(connection: sqlite3.Connection, since: str) -> int:
    """Return the number before the first row that was stored at `since` (RFC 3339 UTC) or later."""
    query = "SELECT min(id) FROM slices WHERE stored_at >= ?" if since else "SELECT min(id) FROM slices"
    first = connection.execute(query, (since,) if since else ()).fetchone()[0]
    if first is not None:
        return int(first) - 1
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM slices").fetchone()[0])


def claims(connection: sqlite3.Connection) -> list[Claim]:
    """Return the pieces whose append is not known to be done."""
    rows = connection.execute("SELECT part, device, inode, start, first_slice, last_slice FROM appends")
    return [Claim(part, volume, int(inode), *rest) for part, volume, inode, *rest in rows]


def put_claim(connection: sqlite3.Connection, claim: Claim) -> None:
    """Note a piece's append, before its first byte is written."""
    values = (claim.part, claim.volume, str(claim.inode), *claim[3:])
    connection.execute("INSERT OR REPLACE INTO appends VALUES (?, ?, ?, ?, ?, ?)", values)


def drop_claim(connection: sqlite3.Connection, part: str) -> None:
    """Forget a piece's append: its rows, if they are still here, are taken again."""
    connection.execute("DELETE FROM appends WHERE part = ?", (part,))


def remove(connection: sqlite3.Connection, rows: Sequence[StoredRow], part: str) -> None:
    """Remove rows that are in a part for good, and count them."""
    connection.executemany("DELETE FROM slices WHERE id = ?", [(row.id,) for row in rows])
    drop_claim(connection, part)
    _count(
        connection,
        Replayed(len(rows), sum(row.count for row in rows), sum(row.length for row in rows), quarantined=0),
    )


def keep_rest(
    connection: sqlite3.Connection, row: StoredRow, lines: Sequence[bytes], numbers: list[int]
) -> None:
    """Leave only these lines of a row, whose others are in a file."""
    data = b"".join(lines)
    connection.execute(
        "UPDATE slices SET data = ?, length = ?, sha256 = ?, count = ?, first = ?, last = ? WHERE id = ?",
        (data, len(data), hashlib.sha256(data).hexdigest(), len(lines), numbers[0], numbers[-1], row.id),
    )


def quarantine(connection: sqlite3.Connection, row: StoredRow, file: str) -> None:
    """Remove a row that is kept in a file of the quarantine, and have that told."""
    connection.execute("DELETE FROM slices WHERE id = ?", (row.id,))
    _count(connection, Replayed(quarantined=1))
    connection.execute(
        "INSERT INTO meta VALUES ('quarantined', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
    )
    fields = {
        "subject": row.producer,
        "first_action_number": row.first,
        "last_action_number": row.last,
        "count": row.count,
        "file": file,
    }
    _announce(connection, "quarantined", fields)


def announce_replayed(connection: sqlite3.Connection) -> None:
    """Have the writer tell what was replayed since it last did."""
    done = replayed(connection)
    if done != Replayed():
        _announce(connection, "fallback_replayed", done._asdict())
        connection.execute("DELETE FROM meta WHERE key = ?", (_REPLAYED,))


def replayed(connection: sqlite3.Connection) -> Replayed:
    """Return what was replayed and not announced."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (_REPLAYED,)).fetchone()
    return Replayed(*orjson.loads(found[0])) if found else Replayed()


def tell(fallback: Fallback, emit: Callable[..., int]) -> None:
    """Emit what the store has to tell. A kill between the record and its removal here tells it twice."""
    for number, action_type, fields in fallback.read(_announcements):
        told: dict[str, Any] = orjson.loads(fields)
        if not emit(action_type, level="WARNING", **told):
            return
        fallback.change(lambda connection, n=number: _forget_announcement(connection, n))  # type: ignore[misc]


def _bytes(data: object) -> bytes:
    """Return what stands in place of the bytes of a row; somebody may have made a text of them."""
    return data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogateescape")


def _forget_announcement(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM announcements WHERE id = ?", (number,))


def _announcements(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    return connection.execute("SELECT id, action_type, fields FROM announcements ORDER BY id").fetchall()


def _announce(connection: sqlite3.Connection, action_type: str, fields: dict[str, Any]) -> None:
    values = (action_type, orjson.dumps(fields).decode())
    connection.execute("INSERT INTO announcements (action_type, fields) VALUES (?, ?)", values)


def _count(connection: sqlite3.Connection, more: Replayed) -> None:
    total = [a + b for a, b in zip(replayed(connection), more, strict=True)]
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_REPLAYED, orjson.dumps(total).decode()))
