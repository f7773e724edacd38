"""
What lies in fallback stores: records that are on their way to a file, and marks where a file ends for good.

Read without the code that writes the stores, by their documented tables: `slices` (producer, first, last,
count, sha256, data), `cut_marks` (file, device, inode, size) and `announcements` (action_type, fields). Where
the stores are stands in a note beside the checkpoint and in the runtime directory.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from orjson import JSONDecodeError, loads

from pipeline.host.terminal import visible
from pipeline.verification.findings import Finding, Kind
from pipeline.verification.live import find_homes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.verification.files import LogFile
    from pipeline.verification.findings import Findings

NOTE: Final = "fallback.json"
DATABASE: Final = re.compile(r"fallback(?:\.i[0-9a-f]{8})?\.db", re.ASCII)
WAIT_SEC: Final = 10.0
_MARKS: Final = (b'"action_type":"p', b'"action_type":"records_', b'"action_type":"quarantined"')


@dataclass
class Stored:
    """What all stores of a log directory hold."""

    rows: int = 0
    lines: list[tuple[str, int, bytes]] = field(default_factory=list)
    """(producer, number, line) of lines that may tell something of a producer, and of incomplete ranges."""
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    """(producer, first, last) without a gap."""
    quarantined: list[tuple[str, int, int]] = field(default_factory=list)
    """(producer, first, last) of rows that were set aside, which no record tells yet."""
    cut_marks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Sizes by (file, volume, inode); the volume's id, or its device number where it had none."""

    @property
    def records(self) -> int:
        """How many records they hold."""
        return sum(last - first + 1 for _, first, last in self.ranges)


def find_stores(log_dir: Path) -> list[Path]:
    """Return the stores that the notes of this log directory lead to."""
    homes = find_homes(log_dir)
    notes = [log_dir / ".pipeline" / NOTE, *(home.runtime_dir / NOTE for home in homes)]
    notes += [home.state_dir / NOTE for home in homes if home.state_dir is not None]
    directories = {directory for note in notes for directory in _noted(note)}
    names = ((directory, name) for directory in sorted(directories) for name in _names(directory))
    return [directory / name for directory, name in names if DATABASE.fullmatch(name)]


def read_stores(stores: Iterable[Path], findings: Findings) -> Stored:
    """Return what the stores hold; a row that is not what its digest says is a finding."""
    stored = Stored()
    for path in stores:
        try:
            uri = f"file:{quote(str(path))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=WAIT_SEC)) as connection:
                # One that was never finished being made, on a full volume, has no table and holds nothing.
                if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    _read(connection, path, stored, findings)
        except sqlite3.Error as error:
            sentence = f"the fallback store cannot be read: {visible(str(error))}"
            findings.add(Finding(Kind.UNREADABLE, sentence, str(path), check="fallback"))
    return stored


def without_cut(files: Sequence[LogFile], stored: Stored) -> list[LogFile]:
    """Return the files up to their cut marks: what stands behind one is somewhere else, too, and void."""
    return [_up_to_mark(file, stored) for file in files] if stored.cut_marks else [*files]


def _up_to_mark(file: LogFile, stored: Stored) -> LogFile:
    try:
        found = os.stat(file.path)
    except OSError:
        return file
    volumes = str(found.st_dev), _id_of(Path(file.path).parent)
    sizes = [stored.cut_marks.get((file.name, volume, str(found.st_ino))) for volume in volumes]
    size = min((size for size in sizes if size is not None), default=file.size)
    if size >= file.size:
        return file
    return replace(file, size=size, settled=min(file.settled, size))


def _id_of(log_dir: Path) -> str:
    """Return what the volume of a log directory calls itself, empty when it has no id."""
    try:
        return (log_dir / ".pipeline" / "volume").read_text(errors="replace")
    except OSError:
        return ""


def _read(connection: sqlite3.Connection, path: Path, stored: Stored, findings: Findings) -> None:
    connection.execute("BEGIN")  # one moment for both tables
    for file, device, inode, size in connection.execute("SELECT file, device, inode, size FROM cut_marks"):
        stored.cut_marks[file, str(device), str(inode)] = size
    stored.quarantined += _untold(connection)
    query = "SELECT id, producer, first, last, count, sha256, data FROM slices ORDER BY id"
    for row, producer, first, last, count, digest, content in connection.execute(query):
        data = content if isinstance(content, bytes) else str(content).encode()
        stored.rows += 1
        if hashlib.sha256(data).hexdigest() != digest:
            sentence = f"the bytes of row {row} are not those that were stored"
            findings.add(Finding(Kind.CHANGED, sentence, str(path), check="fallback"))
        if count == last - first + 1:
            stored.ranges.append((producer, first, last))
        for line in _lines(data):
            if count != last - first + 1:
                stored.ranges.append((*line[:2], line[1]))
            if any(mark in line[2] for mark in _MARKS):
                stored.lines.append(line)


def _untold(connection: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    """Yield (producer, first, last) of the rows that were set aside and are not told yet."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'announcements'").fetchone():
        return  # whoever made this store without it has set nothing aside
    for (fields,) in connection.execute("SELECT fields FROM announcements WHERE action_type = 'quarantined'"):
        with suppress(JSONDecodeError, KeyError, TypeError, ValueError):
            told = loads(fields)
            yield str(told["subject"]), int(told["first_action_number"]), int(told["last_action_number"])


def _lines(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    for line in data.split(b"\n"):
        try:
            record = loads(line)
            yield str(record["producer"]), int(record["action_number"]), line
        except (JSONDecodeError, KeyError, TypeError, ValueError):
            continue


def _noted(note: Path) -> Iterator[Path]:
    try:
        found = loads(note.read_bytes())
    except (OSError, JSONDecodeError):
        return
    if isinstance(found, dict):
        if isinstance(found.get("directory"), str):
            yield Path(found["directory"])
        if isinstance(found.get("path"), str):
            yield Path(found["path"]).parent


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
