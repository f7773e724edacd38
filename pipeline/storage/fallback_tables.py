"""The tables of the fallback store: rows, cut marks and sums as values, and how they are put and got."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.storage import stored

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping


class FallbackRow(NamedTuple):
    """A slice to keep: records `first` to `last` of one producer and period, whole lines in their order."""

    producer: str
    period: str
    first: int
    last: int
    count: int  # type: ignore[assignment] # nobody looks for a value in a row
    data: bytes
    reason: str


class CutMark(NamedTuple):
    """Up to where a day file counts: what stands behind `size` was delivered again elsewhere."""

    file: str
    volume: str
    """Its id, or a device number where nobody could give it one (`grip`): the column `device`."""
    inode: int
    size: int


class FallbackSummary(NamedTuple):
    """What is in the store; `oldest_at` is RFC 3339 or empty, `reasons` counts records."""

    rows: int
    records: int
    bytes: int
    oldest_at: str
    reasons: dict[str, int]


EMPTY: Final = FallbackSummary(0, 0, 0, "", {})


def summary_of(connection: sqlite3.Connection) -> FallbackSummary:
    """Return what a database holds, from its own running totals. sqlite3.Error when it cannot be read."""
    totals = connection.execute("SELECT reason, rows, records, bytes FROM totals ORDER BY reason").fetchall()
    oldest = connection.execute("SELECT stored_at FROM slices ORDER BY id LIMIT 1").fetchone()
    return FallbackSummary(
        rows=sum(rows for _, rows, _, _ in totals),
        records=sum(records for _, _, records, _ in totals),
        bytes=sum(size for _, _, _, size in totals),
        oldest_at=oldest[0] if oldest else "",
        reasons={reason: records for reason, _, records, _ in totals},
    )


def held(connection: sqlite3.Connection, producers: set[str]) -> dict[str, set[int]]:
    """Return the numbers that the rows hold of these producers. sqlite3.Error when they cannot be read."""
    found: dict[str, set[int]] = {producer: set() for producer in producers}
    for row in connection.execute("SELECT producer, first, last, count, id FROM slices"):
        if row[0] in found:
            found[row[0]] |= _numbers(connection, *row[1:])
    return found


def _numbers(connection: sqlite3.Connection, first: int, last: int, count: int, row: int) -> set[int]:
    """Return the numbers of one row; only a row with gaps has to be read for that."""
    if count == last - first + 1:
        return set(range(first, last + 1))
    data = connection.execute("SELECT data FROM slices WHERE id = ?", (row,)).fetchone()[0]
    return {number for line in data.splitlines() if (number := stored.number_of(line)) is not None}


def columns(row: FallbackRow, at: str) -> tuple[object, ...]:
    """Return a row's values in the order of the table, without its number."""
    digest = hashlib.sha256(row.data).hexdigest()
    about = (row.producer, row.first, row.last, row.count, len(row.data), row.period)
    return (*about, digest, row.reason, at, row.data)


def positions(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the positions by producer. sqlite3.Error when they cannot be read."""
    return dict(connection.execute("SELECT producer, position FROM positions"))


def cuts(connection: sqlite3.Connection) -> dict[tuple[str, str, int], int]:
    """Return the sizes of the cut marks, by file, volume and inode. sqlite3.Error."""
    found = connection.execute("SELECT file, device, inode, size FROM cut_marks")
    return {(file, volume, int(inode)): size for file, volume, inode, size in found}


def put_positions(connection: sqlite3.Connection, positions: Mapping[str, int]) -> None:
    """Put positions; one that stands further on already stays."""
    statement = (
        "INSERT INTO positions VALUES (?, ?) ON CONFLICT (producer) DO UPDATE"
        " SET position = max(position, excluded.position)"
    )
    connection.executemany(statement, positions.items())


def put_cuts(connection: sqlite3.Connection, cuts: Iterable[CutMark]) -> None:
    """Put cut marks; of two for one file the smaller size counts."""
    statement = (
        "INSERT INTO cut_marks VALUES (?, ?, ?, ?) ON CONFLICT (file, device, inode) DO UPDATE"
        " SET size = min(size, excluded.size)"
    )
    connection.executemany(statement, [(cut.file, cut.volume, str(cut.inode), cut.size) for cut in cuts])
