"""What masking rules find in the records of a log directory: in its files, and in its fallback stores."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from pipeline.verification.fallback import find_stores
from pipeline.verification.files import take_snapshot
from pipeline.verification.opener import READ_ERRORS, read_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pipeline.privacy.masker import Masker

OWN_TYPES: Final = frozenset(
    {
        "clock_doubted",
        "fallback_replayed",
        "file_changed",
        "file_expired",
        "pipeline_started",
        "pipeline_stopped",
        "producer_closed",
        "producer_died",
        "quarantined",
        "records_dropped",
        "repaired",
        "writer_restarted",
    }
)
"""Records of the pipeline itself name directories, and are never masked."""


class Place(NamedTuple):
    """Where something was found: the line of a file, or the row of a store, and the field in it."""

    file: str
    line: int
    path: str
    rule: str


class Search:
    """One search; `places` holds the first `places_max` of what it found."""

    def __init__(self, masker: Masker, places_max: int) -> None:
        self.places: list[Place] = []
        self.rules: Counter[str] = Counter()
        self.records = 0
        self.unread: list[str] = []
        self._masker = masker
        self._places_max = places_max

    def look_into(self, log_dir: Path, progress: Callable[[int, int], None] | None) -> None:
        """Read everything there is."""
        files = take_snapshot(log_dir).files
        total, done = sum(file.size for file in files), 0
        for file in files:
            try:
                for number, line, disk_bytes in _lines(read_chunks(file)):
                    done += disk_bytes
                    self._look_at(file.name, number, line)
                    if progress is not None and disk_bytes:
                        progress(done, total)
            except READ_ERRORS as error:
                self.unread.append(f"{file.name}: {error}")
        for store in find_stores(log_dir):
            try:
                for row, data in _rows(store):
                    for line in data.splitlines():
                        self._look_at(store.name, row, line)
            except sqlite3.Error as error:
                self.unread.append(f"{store}: {error}")

    def as_dict(self) -> dict[str, Any]:
        """Return the answer of `--json`."""
        return {
            "records": self.records,
            "found": self.rules.total(),
            "rules": dict(self.rules.most_common()),
            "unread": self.unread,
            "places": [place._asdict() for place in self.places],
        }

    def _look_at(self, file: str, number: int, line: bytes) -> None:
        self.records += 1
        if not self._masker.texts.is_suspicious(line):
            return
        for path, rule in self._findings(line):
            self.rules[rule] += 1
            if len(self.places) < self._places_max:
                self.places.append(Place(file, number, path, rule))

    def _findings(self, line: bytes) -> Iterable[tuple[str, str]]:
        try:
            record = orjson.loads(line)
        except ValueError:
            record = line.decode("utf-8", "replace")
        if isinstance(record, dict) and record.get("action_type") in OWN_TYPES:
            return []
        return self._masker.findings(record)[1]


def _lines(chunks: Iterable[Any]) -> Iterator[tuple[int, bytes, int]]:
    """Yield (number, line, bytes read from the disk since the line before)."""
    held: list[bytes] = []
    number = disk_bytes = 0
    for chunk in chunks:
        disk_bytes += chunk.disk_bytes
        *lines, rest = chunk.data.split(b"\n")
        for line in lines:
            number += 1
            yield number, b"".join((*held, line)), disk_bytes
            held, disk_bytes = [], 0
        held.append(rest)
    if any(held):
        yield number + 1, b"".join(held), disk_bytes


def _rows(store: Path) -> Iterator[tuple[int, bytes]]:
    with closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True, timeout=10)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            for row, data in connection.execute("SELECT id, data FROM slices ORDER BY id"):
                yield row, bytes(data) if not isinstance(data, str) else data.encode()
