"""What anybody may know of a fallback store: read without writing, and without being in anybody's way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from pipeline.storage import fallback_file
from pipeline.storage.fallback_tables import EMPTY, FallbackSummary, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Scope(NamedTuple):
    """Which rows are meant: up to a number, stored at `since` (RFC 3339 UTC, empty: any time) or later."""

    last: int
    since: str


class Extent(NamedTuple):
    """How much of a scope is in a store now, and how many rows of it were ever quarantined."""

    rows: int
    records: int
    bytes: int
    quarantined: int


def summary(path: Path) -> FallbackSummary | None:
    """Return what is in a store; None when it cannot be read, or is being written anew."""
    try:
        with closing(fallback_file.connect(path, "ro").conn) as connection:
            return summary_of(connection)
    except sqlite3.Error:
        return None


def is_needed(path: Path) -> bool:
    """Whether a store holds rows, or cut marks; False when it cannot be read, or is being written anew."""
    query = "SELECT EXISTS (SELECT 1 FROM slices) OR EXISTS (SELECT 1 FROM cut_marks)"
    try:
        with closing(fallback_file.connect(path, "ro").conn) as connection:
            return bool(connection.execute(query).fetchone()[0])
    except sqlite3.Error:
        return False


def everything(path: Path, since: str = "") -> Scope:
    """Return the scope of all rows that are in a store now. sqlite3.Error when it cannot be read."""
    with closing(fallback_file.connect(path, "ro").conn) as connection:
        last = connection.execute("SELECT coalesce(max(id), 0) FROM slices").fetchone()[0]
    return Scope(last, since)


def extent(path: Path, scope: Scope) -> Extent:
    """Return what is there of a scope. sqlite3.Error when it cannot be read."""
    with closing(fallback_file.connect(path, "ro").conn) as connection:
        rows = connection.execute(
            "SELECT count(*), coalesce(sum(count), 0), coalesce(sum(length), 0) FROM slices"
            " WHERE id <= ? AND stored_at >= ?",
            scope,
        ).fetchone()
        told = connection.execute("SELECT value FROM meta WHERE key = 'quarantined'").fetchone()
    return Extent(rows[0], rows[1], rows[2], int(told[0]) if told else 0)


def total(summaries: Iterable[FallbackSummary]) -> FallbackSummary:
    """Return several stores' summaries as one."""
    found = EMPTY
    for one in summaries:
        reasons = {
            name: found.reasons.get(name, 0) + one.reasons.get(name, 0)
            for name in sorted({*found.reasons, *one.reasons})
        }
        oldest = min(filter(None, (found.oldest_at, one.oldest_at)), default="")
        found = FallbackSummary(
            found.rows + one.rows, found.records + one.records, found.bytes + one.bytes, oldest, reasons
        )
    return found
