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
from pipeline.queue import chain
from pipeline.queue.layout import (
    HEADER_BYTES,
    OFFSET_MASK,
    POSITION,
    Header,
    unpack_header,
)

if TYPE_CHECKING:
    from pathlib import Path

_EXACT_BYTES_MAX: Final = 1 << 20
_NOT_OF_DEPTH: Final = ("producers", "dropped")
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
    dropped: int = 0
    """Records that were dropped to make room and are not told in the stream yet."""
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
            dropped=self.dropped + other.dropped,
            producers=self.producers | other.producers,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the figures, as health has them."""
        figures = {name: value for name, value in vars(self).items() if name not in _NOT_OF_DEPTH}
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
    written = written_in(directory)
    waiting = [
        (path, start)
        for serial, path in chain.segments_in(directory).items()
        if (start := _add_segment(depth, path, serial, written))
    ]
    if waiting:
        depth.oldest_age_sec = max(depth.oldest_age_sec, _age(*waiting[0]))


def _add_segment(depth: Depth, path: Path, serial: int, written: int) -> int:
    """Add a segment; the offset of its first record that is not written, 0 when there is none."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return 0
    try:
        header = unpack_header(os.pread(fd, HEADER_BYTES, 0), str(path))
        size = os.fstat(fd).st_size
        if header.is_on_disk:
            depth.disk_bytes += size
        else:
            depth.memory_bytes += size
        return _add_records(depth, fd, header, offset_in(serial, written))
    except LaneError:
        depth.unknown_lanes += 1
    except OSError:
        return 0
    finally:
        os.close(fd)
    return 0


def _add_records(depth: Depth, fd: int, header: Header, offset: int) -> int:
    """Add what a segment holds behind an offset; the offset of the first record of that, or 0."""
    end = header.end if header.has_head else os.fstat(fd).st_size
    start = max(offset, header.start)
    if header.is_stub and offset < header.start:
        depth.dropped += header.records - _count_lines(fd, header.start, end)
    if end <= start:
        return 0
    depth.bytes += end - start
    is_whole = start == HEADER_BYTES and header.has_head
    depth.records += header.records if is_whole else _count_lines(fd, start, end)
    return start


def offset_in(serial: int, written: int) -> int:
    """Return the offset in a segment up to which it is written."""
    written_serial, offset = written >> OFFSET_BITS, written & OFFSET_MASK
    if serial < written_serial:
        return OFFSET_MASK
    return offset if serial == written_serial else 0


def _count_lines(fd: int, start: int, end: int) -> int:
    """Count the records of a range; a long one by its first MiB."""
    sample = files.pread_all(fd, min(end - start, _EXACT_BYTES_MAX), start)
    lines = sample.count(b"\n")
    return lines if len(sample) == end - start else round(lines * (end - start) / max(1, len(sample)))


def written_in(directory: Path) -> int:
    """Return the position up to which a lane is written, 0 when it does not say."""
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
