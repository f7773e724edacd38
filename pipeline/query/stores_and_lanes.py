"""What is in a fallback store, and what lanes hold that is not written. Loaded where there is some of it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pipeline.errors import LaneError, PipelineError
from pipeline.host import files
from pipeline.paths import runtime_root
from pipeline.query.reading import Chunk
from pipeline.queue import chain
from pipeline.queue.depth import offset_in, written_in
from pipeline.queue.layout import HEADER_BYTES, unpack_header
from pipeline.storage import stored
from pipeline.storage.fallback_tables import CutMark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.query.report import Report

WAIT_SEC: Final = 5.0
_MEMORY_BYTES: Final = 8 << 20
"""More than this of unwritten lines is kept in a temporary file."""


class Store:
    """A fallback store, as it was at one moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
