"""
How deep the queue is, measured from outside.

Reads what producers and writer have published and takes no lock, so the supervisor can tell the truth about
the queue while the writer is stopped. Counts are a moment's picture: everybody goes on meanwhile.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pipeline.errors import LaneError
from pipeline.host import clock, files
from pipeline.limits import OFFSET_BITS
from pipeline.queue.layout import (
    HEADER_BYTES,
    OFFSET_MASK,
    POSITION,
    segment_name,
    serial_of,
    unpack_header,
)

if TYPE_CHECKING:
    from pathlib import Path

_EXACT_BYTES_MAX: Final = 1 << 20
_STAMP_PREFIX: Final = len(b'{"timestamp":"')
_STAMP_BYTES: Final = len("2025-11-21T14:32:15.123456Z")


@dataclass
class Depth:
    """What is in the queue and not in the files."""

    records: int = 0
    bytes: int = 0
    memory_bytes: int = 0
    """Bytes of segments in memory, written or not."""
    disk_bytes: int = 0
    oldest_age_sec: float = 0.0
    unknown_lanes: int = 0
    producers: set[str] = field(default_factory=set)

    def plus(self, other: Depth) -> Depth:
        """Return both together; a lane that is in both places counts once."""
        return Depth(
            records=self.records + other.records,
            bytes=self.bytes + other.bytes,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            disk_bytes=self.disk_bytes + other.disk_bytes,
            oldest_age_sec=max(self.oldest_age_sec, other.oldest_age_sec),
            unknown_lanes=self.unknown_lanes + other.unknown_lanes,
            producers=self.producers | other.producers,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the figures, as health has them."""
        figures = {name: value for name, value in vars(self).items() if name != "producers"}
        return {**figures, "lanes": len(self.producers)}


def measure(parent: Path) -> Depth:
    """Return how deep the lanes below a directory are: the memory lanes of an instance, or its disk lanes."""
    depth = Depth()
    for name in files.names_in(parent):
        if not name.startswith(".") and name != "instance.lock":
            depth.producers.add(name)
            _add_lane(depth, parent / name)
    return depth


def _add_lane(depth: Depth, directory: Path) -> None:
    written = _written(directory)
    serials = sorted(serial for name in files.names_in(directory) if (serial := serial_of(name)) is not None)
    waiting = [
        serial for serial in serials if _add_segment(depth, directory / segment_name(serial), serial, written)
    ]
    if waiting:
        start = _start_in(waiting[0], written)
        depth.oldest_age_sec = max(depth.oldest_age_sec, _age(directory / segment_name(waiting[0]), start))


def _add_segment(depth: Depth, path: Path, serial: int, written: int) -> bool:
    """Add a segment; whether it holds records that are not written."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return False
    try:
        header = unpack_header(os.pread(fd, HEADER_BYTES, 0), str(path))
        size = os.fstat(fd).st_size
        end = size if header.is_on_disk else header.end
        if header.is_on_disk:
            depth.disk_bytes += size
        else:
            depth.memory_bytes += size
        start = _start_in(serial, written)
        if end <= start:
            return False
        depth.bytes += end - start
        whole = header.records if not header.is_on_disk else 0
        depth.records += whole if whole and start == HEADER_BYTES else _count_lines(fd, start, end)
    except LaneError:
        depth.unknown_lanes += 1
        return False
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _start_in(serial: int, written: int) -> int:
    written_serial, offset = written >> OFFSET_BITS, written & OFFSET_MASK
    if serial < written_serial:
        return OFFSET_MASK
    return max(offset, HEADER_BYTES) if serial == written_serial else HEADER_BYTES


def _count_lines(fd: int, start: int, end: int) -> int:
    """Count the records of a range; a long one by its first MiB."""
    sample = files.pread_all(fd, min(end - start, _EXACT_BYTES_MAX), start)
    lines = sample.count(b"\n")
    return lines if len(sample) == end - start else round(lines * (end - start) / max(1, len(sample)))


def _written(directory: Path) -> int:
    try:
        data = (directory / "position").read_bytes()
    except OSError:
        return 0
    return int(POSITION.unpack(data)[0]) if len(data) == POSITION.size else 0


def _age(path: Path, offset: int) -> float:
    """Return how long ago the record at an offset was emitted, in seconds."""
    try:
        with path.open("rb") as file:
            file.seek(offset + _STAMP_PREFIX)
            stamp = file.read(_STAMP_BYTES).decode()
        emitted = datetime.fromisoformat(stamp).timestamp()
    except (OSError, ValueError):
        return 0.0
    return max(0.0, clock.wall_ns() / clock.NANO - emitted)
