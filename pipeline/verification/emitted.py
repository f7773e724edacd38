"""
What producers themselves say of how much they have emitted: their lanes, later the register.

A lane is the producer's own side: its segments begin with the number of their first record, and the producer
counts on in them with every emit(). What lies behind the lane's `durable` position waits in the queue; what
is before it has to be elsewhere, and is no excuse for a file that lacks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orjson import JSONDecodeError, loads

from pipeline.errors import LaneError
from pipeline.limits import OFFSET_BITS
from pipeline.queue import chain
from pipeline.queue.layout import COPY, HEADER_BYTES, OFFSET_MASK, POSITION, position
from pipeline.queue.opened import OpenSegment
from pipeline.verification.live import find_homes, lanes_dirs, live_producers, state_dirs
from pipeline.verification.ranges import Range, joined, minus
from pipeline.verification.register import read_registers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TELLING: Final = (b'"action_type":"records_dropped"', b'"action_type":"quarantined"')
_TRIES: Final = 5
"""How often a lane is listed anew when a segment was released between its listing and its opening."""


@dataclass
class Lane:
    """What one lane says. `emitted` is None when none of its segments can be read."""

    emitted: int | None = None
    queued: list[Range] = field(default_factory=list)
    dropped: list[Range] = field(default_factory=list)
    """What stubs stand for that no record tells yet."""
    telling: list[bytes] = field(default_factory=list)
    """Lines in the queue that tell what became of other producers' records."""


@dataclass
class Emitted:
    """The producers' side at one moment."""

    lanes: dict[str, Lane]
    register: dict[str, int]
    live: frozenset[str]
    """The producers that live, the writer of the pipeline included."""

    def last(self, producer: str) -> tuple[int, str] | None:
        """
        Return (the last number emitted, "lane" or "register"), None when neither says it.

        The higher one, where both do: a power loss may bring back an old state of a lane that was removed.
        """
        lane = self.lanes.get(producer, Lane()).emitted
        last = self.register.get(producer)
        if lane is not None and (last is None or lane >= last):
            return lane, "lane"
        return None if last is None else (last, "register")

    def is_cut_off(self, producer: str) -> bool:
        """Whether a lane may end before what it had: nobody holds it, so a power loss may have been there."""
        return producer in self.lanes and producer not in self.live


def look(log_dir: Path, more_state_dirs: Iterable[Path] = ()) -> Emitted:
    """
    Read all lanes, then the registers.

    In this order: a lane that is not there any more was noted in a register before it went.
    """
    homes = find_homes(log_dir)
    places = lanes_dirs(log_dir, homes)
    live = live_producers(None, places).live
    directories: dict[str, list[Path]] = {}
    for place in places:
        for directory in _directories_in(place):
            directories.setdefault(directory.name, []).append(directory)
    lanes = {producer: _read_lane(found) for producer, found in directories.items()}
    return Emitted(lanes, read_registers({*state_dirs(log_dir, homes), *more_state_dirs}), live)


def _directories_in(place: Path) -> list[Path]:
    """Return the lanes in a directory: what has no `alive` file is none yet, or none any more."""
    try:
        return [
            path for path in place.iterdir() if not path.name.startswith(".") and (path / "alive").exists()
        ]
    except OSError:
        return []


def _read_lane(directories: Iterable[Path]) -> Lane:
    directories = list(directories)
    durable = max(map(_durable_in, directories), default=0)
    for _ in range(_TRIES):
        lane = Lane()
        changed = [directory for directory in directories if not _read_directory(directory, durable, lane)]
        if not changed:
            break
    lane.queued, lane.dropped = joined(lane.queued), joined(lane.dropped)
    return lane


def _durable_in(directory: Path) -> int:
    try:
        data = (directory / "position").read_bytes()
    except OSError:
        return 0
    return int(POSITION.unpack(data)[1]) if len(data) == POSITION.size else 0


def _read_directory(directory: Path, durable: int, lane: Lane) -> bool:
    """Read the segments of a directory; False when one went away meanwhile, and others may have come."""
    is_whole = True
    for serial, path in chain.segments_in(directory).items():
        try:
            segment = OpenSegment.open(serial, path, is_taken=path.suffix == ".taken")
        except LaneError:
            continue  # of another version: the writer keeps it aside
        if segment is None:
            is_whole = False
            continue
        try:
            _read_segment(segment, durable, lane)
        finally:
            segment.close()
    return is_whole


def _read_segment(segment: OpenSegment, durable: int, lane: Lane) -> None:
    if segment.header.is_stub and not segment.is_taken and durable > position(segment.serial, HEADER_BYTES):
        return  # a dropper came too late: the segment had been read
    last = segment.last_number
    lane.emitted = max(lane.emitted or 0, last)
    if segment.serial < durable >> OFFSET_BITS and segment.header.place != COPY:
        return
    is_here = segment.serial == durable >> OFFSET_BITS and segment.header.place != COPY
    offset = max(durable & OFFSET_MASK if is_here else 0, HEADER_BYTES)
    lines = segment.read(max(offset, segment.start), segment.end)
    lane.telling += _telling(lines)
    if segment.header.is_stub:
        _read_stub(segment, lines, lane, is_told=offset >= segment.start)
    elif lines:
        lane.queued.append((last - lines.count(b"\n") + 1, last))


def _read_stub(segment: OpenSegment, lines: bytes, lane: Lane, *, is_told: bool) -> None:
    kept = _numbers_in(lines)
    lane.queued += kept
    if not is_told:
        gone = (segment.header.first_number, segment.last_number)
        lane.dropped += minus([gone], joined(kept))


def _numbers_in(lines: bytes) -> list[Range]:
    found = []
    for line in lines.splitlines():
        try:
            number = loads(line)["action_number"]
        except (JSONDecodeError, KeyError, TypeError):
            continue
        found.append((number, number))
    return found


def _telling(lines: bytes) -> list[bytes]:
    if not any(mark in lines for mark in _TELLING):
        return []
    return [line for line in lines.splitlines() if any(mark in line for mark in _TELLING)]
