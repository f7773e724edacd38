"""
What is on its way to a file: rows of fallback stores, and what lanes hold that is not written.

Looked at before the files are: whatever has left a lane by then is in a store or in a file, and whatever has
left a store is in a file. What is found in both places is given once (`Once`).
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from pipeline.errors import LaneError, PipelineError
from pipeline.host import files
from pipeline.paths import find_places, runtime_root
from pipeline.query.cuts import Cuts
from pipeline.query.reading import Chunk
from pipeline.queue import chain
from pipeline.queue.depth import offset_in, written_in
from pipeline.queue.layout import HEADER_BYTES, unpack_header
from pipeline.storage import fallback_places, stored
from pipeline.storage.fallback_tables import CutMark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.query.report import Report
    from pipeline.query.scan import Found

WAIT_SEC: Final = 5.0
_MEMORY_BYTES: Final = 8 << 20
"""More than this of unwritten lines is kept in a temporary file."""


class Store:
    """A fallback store, as it was at one moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        import sqlite3

        uri = f"file:{quote(str(path))}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=WAIT_SEC, isolation_level=None)
        try:
            self._connection.execute("BEGIN")
            # One that was never finished being made, on a full volume, has no table and holds nothing.
            self._is_made = bool(self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def cut_marks(self) -> list[CutMark]:
        """Return up to where files count."""
        rows = self._rows("SELECT file, device, inode, size FROM cut_marks")
        return [CutMark(file, str(volume), int(inode), size) for file, volume, inode, size in rows]

    def extents(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield (period, producer, first, last) of what is in it."""
        yield from self._rows(
            "SELECT period, producer, min(first), max(last) FROM slices GROUP BY period, producer"
        )

    def chunks(self, period: str, report: Report) -> Iterator[Chunk]:
        """Yield the lines of a period; a row that is not what it was is noted."""
        query = "SELECT id, sha256, data FROM slices WHERE period = ? ORDER BY id"
        for row, digest, content in self._rows(query, period):
            data = bytearray(content if isinstance(content, bytes) else str(content).encode())
            if hashlib.sha256(data).hexdigest() != digest:
                report.unreadable.append((str(self.path), f"row {row} is not what was stored"))
            elif data:
                yield Chunk(data, data.rfind(b"\n") + 1, 0)

    def _rows(self, query: str, *arguments: object) -> Iterator[tuple]:  # type: ignore[type-arg]
        return iter(self._connection.execute(query, arguments) if self._is_made else ())


class Unwritten:
    """What the lanes of a log directory hold that is in no file and no store yet."""

    def __init__(self, log_dir: Path) -> None:
        import tempfile

        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - see close()
        self._pieces: list[tuple[str, str, int]] = []
        """(period, producer, length) of what stands in the file, one behind the other."""
        self.extents: list[tuple[str, str, int, int]] = []
        for lane in _lanes(log_dir):
            self._take(lane)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def producers(self, period: str) -> list[str]:
        """Return the producers that have something of a period."""
        return list(dict.fromkeys(producer for one, producer, _ in self._pieces if one == period))

    def chunks(self, period: str, producer: str) -> Iterator[Chunk]:
        """Yield the lines that a producer has of a period."""
        place = 0
        for one, whose, length in self._pieces:
            if (one, whose) == (period, producer):
                self._file.seek(place)
                yield Chunk(bytearray(self._file.read(length)), length, 0)
            place += length

    def _take(self, lane: Path) -> None:
        written = written_in(lane)
        for serial, path in chain.segments_in(lane).items():
            # Released since it was listed, or of another version: then it is no queue of ours to read.
            with suppress(OSError, LaneError):
                self._take_segment(path, offset_in(serial, written))

    def _take_segment(self, path: Path, offset: int) -> None:
        fd = os.open(path, files.READ)
        try:
            header = unpack_header(os.pread(fd, HEADER_BYTES, 0), str(path))
            start = max(offset, header.start)
            end = header.end if header.has_head else os.fstat(fd).st_size
            data = files.pread_all(fd, max(0, end - start), start)
        finally:
            os.close(fd)
        data = data[: data.rfind(b"\n") + 1]
        first, last = stored.key_of(data), stored.key_of(data, data.rfind(b"\n", 0, -1) + 1)
        if first and last:
            self._file.seek(0, os.SEEK_END)
            self._file.write(data)
            self._pieces.append((header.period, header.producer, len(data)))
            self.extents.append((header.period, header.producer, first[1], last[1]))


class Once:
    """Passes a record that may be in two places once."""

    def __init__(self, extents: list[tuple[str, str, int, int]]) -> None:
        self._ranges: dict[str, tuple[int, int]] = {}
        for _, producer, first, last in extents:
            low, high = self._ranges.get(producer, (first, last))
            self._ranges[producer] = (min(low, first), max(high, last))
        self._seen: set[tuple[str, int]] = set()

    def __call__(self, answer: Iterator[Found]) -> Iterator[Found]:
        """Yield what comes for the first time."""
        if not self._ranges:
            return answer
        return (one for one in answer if self._is_first(one))

    def _is_first(self, one: Found) -> bool:
        producer, number = one.record.get("producer", ""), one.record.get("action_number", 0)
        low, high = self._ranges.get(producer, (1, 0))
        if not low <= number <= high:
            return True
        is_first = (producer, number) not in self._seen
        self._seen.add((producer, number))
        return is_first


class Look(NamedTuple):
    """What is known of stores and lanes at the beginning of a query."""

    stores: list[Store]
    cuts: Cuts
    unwritten: Unwritten | None
    extents: list[tuple[str, str, int, int]]
    """(period, producer, first, last) of what waits and was asked for."""

    def pieces(self, period: str, report: Report) -> Iterator[tuple[str, Callable[[], Iterator[Chunk]]]]:
        """Yield (name, what gives its lines) of each store and each producer that has some of a period."""
        for store in self.stores:
            yield str(store.path), partial(store.chunks, period, report)
        if self.unwritten is not None:
            for producer in self.unwritten.producers(period):
                yield f"lane {producer}", partial(self.unwritten.chunks, period, producer)

    def close(self) -> None:
        """Let go of everything."""
        for store in self.stores:
            store.close()
        if self.unwritten is not None:
            self.unwritten.close()


def look(log_dir: Path, report: Report, *, fallback: bool, queue: bool) -> Look:
    """Look at lanes if they are asked for, then at stores: always for cut marks, at rows if asked for."""
    unwritten = Unwritten(log_dir) if queue else None
    found = Look([], Cuts(log_dir), unwritten, list(unwritten.extents) if unwritten else [])
    for path in _stores(log_dir):
        _add(found, path, report, wants_rows=fallback)
    return found


def _add(found: Look, path: Path, report: Report, *, wants_rows: bool) -> None:
    import sqlite3

    try:
        store = Store(path)
    except sqlite3.Error as error:
        report.unreadable.append((str(path), str(error)))
        return
    found.stores.append(store)
    try:
        found.cuts.add(store.cut_marks())
        found.extents.extend(store.extents() if wants_rows else ())
    except sqlite3.Error as error:
        report.unreadable.append((str(path), str(error)))
    if not wants_rows:
        found.stores.remove(store)
        store.close()


def _stores(log_dir: Path) -> list[Path]:
    try:
        return fallback_places.stores(find_places(log_dir))
    except (OSError, PipelineError):
        return []  # no place for a runtime directory: nothing of ours ever ran here


def _lanes(log_dir: Path) -> list[Path]:
    """Return the lanes of all instances over a log directory, in memory and on the disk."""
    parents = []
    with suppress(PipelineError):
        root = runtime_root()
        for name in files.names_in(root):
            home = files.read_json(root / name / "home.json") or {}
            if home.get("log_dir") == str(log_dir):
                parents += [root / name / "lanes", *_disk_lanes(Path(str(home.get("state_dir", ""))))]
    parents += _disk_lanes(log_dir / ".pipeline")
    found = (parent / name for parent in dict.fromkeys(parents) for name in files.names_in(parent))
    return [lane for lane in found if not lane.name.startswith(".") and lane.is_dir()]


def _disk_lanes(state_dir: Path) -> list[Path]:
    lanes = state_dir / "lanes"
    return [lanes / name for name in files.names_in(lanes)]
