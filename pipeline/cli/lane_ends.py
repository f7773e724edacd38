"""Where every lane ends at this moment, and how far it is on the disk, as an outsider can see it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.errors import LaneError
from pipeline.host import files
from pipeline.queue import chain
from pipeline.queue.layout import (
    HEADER_BYTES,
    POSITION,
    position,
    unpack_header,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places


def ends(places: Places) -> dict[str, int]:
    """Return, by producer, the place behind its last record; lanes without a record are left out."""
    found: dict[str, int] = {}
    for parent in (places.lanes_dir, places.disk_lanes_dir):
        for name in files.names_in(parent):
            end = 0 if name.startswith(".") or name == "instance.lock" else _end_in(parent / name)
            if end:
                found[name] = max(end, found.get(name, 0))
    return found


def is_durable(places: Places, producer: str, end: int) -> bool:
    """Whether a lane is on the disk up to a place. One that is gone was finished."""
    directories = [parent / producer for parent in (places.lanes_dir, places.disk_lanes_dir)]
    there = [directory for directory in directories if directory.is_dir()]
    return not there or max(map(_durable_in, there)) >= end


def _end_in(directory: Path) -> int:
    for serial, path in reversed(chain.segments_in(directory).items()):
        end = _segment_end(path)
        if end > HEADER_BYTES:
            return position(serial, end)
    return 0


def _segment_end(path: Path) -> int:
    """Return the offset behind the last record of a segment, 0 when it is gone or of another version."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return 0
    try:
        header = unpack_header(files.pread_all(fd, HEADER_BYTES, 0), str(path))
        return header.end if header.has_head else os.fstat(fd).st_size
    except (OSError, LaneError):
        return 0
    finally:
        os.close(fd)


def _durable_in(directory: Path) -> int:
    try:
        data = (directory / "position").read_bytes()
    except OSError:
        return 0
    return int(POSITION.unpack(data)[1]) if len(data) == POSITION.size else 0
