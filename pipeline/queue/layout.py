"""
Bytes of the queue: the only module that knows offsets, sizes and magic numbers of segments and `alive` files.

Segment::

    0        8         12      16      24             32       40       72         88   128
    +--------+---------+-------+-------+--------------+--------+--------+----------+----+----------------------+
    | magic  | version | place | head  | first_number | state  | period | producer | 0… | records, plain JSONL
    |
    +--------+---------+-------+-------+--------------+--------+--------+----------+----+----------------------+
      8 B      u32       u32     u64     u64            u64      32 B     16 B

    head (memory)   records << 32 | offset behind the last committed record; one aligned 8-byte store commits
                    a record
    head (disk)     stays as it was at creation: what is committed is what the file holds up to its last
                    newline
    state           0 while this is the last segment of its lane, 1 once its successor stands in the directory

Stub, what a dropped segment leaves in its place (see `dropping`): the header of the segment, its place marked
STUB, with `records` the number of records that it held and the offset behind those that were kept. A note of
128 bytes follows, for people, `{"first_action_number":…,"last_action_number":…}` filled up with spaces; then
the critical records that it held. It may stand for earlier segments too: the u64 behind the producer is the
serial of the first. A position behind the note says that the drop is told in the stream.

Alive file, 4,096 bytes, written whole at creation so that a full disk cannot refuse a later store::

    0       1        64               128
    +-------+--------+----------------+--------------------------------+
    | state | signal | drop counters  | JSON about the process, spaces |
    +-------+--------+----------------+--------------------------------+
      u8      u8       8 x u64

The JSON is stored again, in its place, when the process has more to say of itself (counts of `NAMED`); who
reads half of it takes what it read before. Numbers are in the machine's byte order: the files never leave
the machine, and a native 8-byte store is what is atomic. Changing a number here changes the format: raise
VERSION; a lane of an unknown version is kept and reported. Version 1 had no stubs, and its writers did not
take a segment before they read it, so only segments of version 2 are dropped.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.errors import LaneError
from pipeline.limits import OFFSET_BITS, SEGMENT_HEADER_BYTES, require

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC: Final = b"PIPELANE"
VERSION: Final = 2
_VERSIONS: Final = (1, 2)
MEMORY: Final = 0
DISK: Final = 1
COPY: Final = 2
"""On disk: what its producer put there of a segment in memory that was removed under it."""
STUB: Final = 4
"""Added to the place of a segment that was dropped."""

_HEADER: Final = struct.Struct("=8sIIQQQ32s16sQ")
HEADER_BYTES: Final = SEGMENT_HEADER_BYTES
NOTE_BYTES: Final = 128
HEAD_WORD: Final = 2
"""Index of the head among the 8-byte words of the header."""
STATE_WORD: Final = 4
STATE_OFFSET: Final = 32
_PERIOD: Final = re.compile(rb"^\d{4,}-\d\d-\d\d(?:T\d\d(?:-\d\d){0,2})?$")
OPEN: Final = 0
SUCCEEDED: Final = 1

OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1
ONE_RECORD: Final = 1 << OFFSET_BITS
"""What one record adds to the upper half of the head word."""

_KINDS: Final = frozenset({"seg", "taken"})

ALIVE_BYTES: Final = 4096
ALIVE: Final = ord("A")
ENDING: Final = ord("E")
ON_DISK_OFFSET: Final = 2
"""Not 0 in the lane's place in memory: it has gone on to the disk, and may come back."""
COUNTERS_OFFSET: Final = 64
_COUNTERS: Final = struct.Struct("=8Q")
ABOUT_OFFSET: Final = 128

DROP_REASONS: Final = ("queue_full", "low_level", "block_timeout", "critical_timeout")
"""Why a record was refused."""
LEFT_OUT_REASONS: Final = ("sampled", "rate_limited")
"""Why a record was left out as the settings ask for."""
COUNTED: Final = DROP_REASONS + LEFT_OUT_REASONS
"""The place in this tuple is the place of the counter."""

WRONG_FIELDS: Final = "wrong_fields"
"""Counts of fields that are not as their types say: `tool_call.args: string instead of object`."""
MASKED: Final = "masked"
"""Counts of values that were masked, by rule."""
TRUNCATED: Final = "truncated"
"""Counts of records that were cut, by the setting that asks for it."""
NAMED: Final = {WRONG_FIELDS: 1_800, MASKED: 800, TRUNCATED: 150}
"""What a process counts by name, and the bytes of JSON that the counts of each may take."""
_PROCESS_BYTES_MAX: Final = 1_150
"""What a process says of itself besides: about 300 bytes, and a `program` of at most 200 characters."""

_TOLD: Final = 7
POSITION: Final = struct.Struct(f"=QQ{_TOLD}QQ")
"""
The position file: `written` and `durable`, each serial << 32 | offset.

Then the drops already told in the stream, by reason, and the serial of the last stub that was told.
"""

require(_HEADER.size <= HEADER_BYTES, "the segment header fits its room")
require(len(COUNTED) <= _TOLD, "each drop reason has a counter")
require(COUNTERS_OFFSET + _COUNTERS.size <= ABOUT_OFFSET, "the drop counters fit their room")
require(
    ABOUT_OFFSET + _PROCESS_BYTES_MAX + sum(NAMED.values()) <= ALIVE_BYTES, "what is counted by name has room"
)


class Header(NamedTuple):
    """The header of a segment."""

    version: int
    place: int
    head: int
    first_number: int
    state: int
    period: str
    producer: str
    covers: int = 0
    """Of a stub, the serial of the first segment that it stands for, up to its own."""

    @property
    def is_stub(self) -> bool:
        """Whether this is what is left of a dropped segment."""
        return bool(self.place & STUB)

    @property
    def is_on_disk(self) -> bool:
        """Whether this is in the state directory and not in memory."""
        return self.place & ~STUB != MEMORY

    @property
    def has_head(self) -> bool:
        """Whether the head commits, and not the file's last newline."""
        return self.is_stub or not self.is_on_disk

    @property
    def records(self) -> int:
        """Committed records, where the head commits; of a stub, those that the dropped segment held."""
        return self.head >> OFFSET_BITS

    @property
    def start(self) -> int:
        """Offset of the first record."""
        return HEADER_BYTES + NOTE_BYTES if self.is_stub else HEADER_BYTES

    @property
    def end(self) -> int:
        """Offset behind the last committed record, where the head commits."""
        return self.head & OFFSET_MASK


def pack_header(header: Header) -> bytes:
    """Return the 128 bytes that begin a segment."""
    packed = _HEADER.pack(
        MAGIC,
        header.version,
        header.place,
        header.head,
        header.first_number,
        header.state,
        header.period.encode(),
        header.producer.encode(),
        header.covers,
    )
    return packed.ljust(HEADER_BYTES, b"\0")


def unpack_header(data: bytes, where: str) -> Header:
    """Return the header of a segment; LaneError when it is none or of another version."""
    if len(data) < HEADER_BYTES or data[:8] != MAGIC:
        raise LaneError("not a segment", where=where)
    _, version, place, head, first_number, state, period, producer, covers = _HEADER.unpack_from(data)
    if version not in _VERSIONS:
        raise LaneError(
            "a segment of an unknown version", where=where, cause=f"version {version}, known {_VERSIONS}"
        )
    name = period.rstrip(b"\0")
    if not _PERIOD.match(name):
        raise LaneError("a segment with a damaged header", where=where, cause=f"period {name!r}")
    return Header(
        version,
        place,
        head,
        first_number,
        state,
        period.rstrip(b"\0").decode(),
        producer.rstrip(b"\0").decode(),
        covers,
    )


def pack_note(first: int, last: int) -> bytes:
    """Return the first line of a stub."""
    note = orjson.dumps({"first_action_number": first, "last_action_number": last})
    return note.ljust(NOTE_BYTES - 1) + b"\n"


def segment_name(serial: int) -> str:
    """Return the file name of the nth segment of a lane, counted from 1, that nobody has begun to read."""
    return f"{serial:08d}.seg"


def taken_name(serial: int) -> str:
    """Return the file name of a segment that is the writer's, and is not dropped any more."""
    return f"{serial:08d}.taken"


def serial_of(name: str) -> int | None:
    """Return which segment a file name is, taken or not, None when it is something else."""
    stem, dot, kind = name.partition(".")
    return int(stem) if dot and kind in _KINDS and stem.isdigit() else None


def position(serial: int, offset: int) -> int:
    """Return a place in a lane as one number; later places are greater."""
    return serial << OFFSET_BITS | offset


class About(NamedTuple):
    """What an `alive` file tells of its producer."""

    state: int
    signal: int
    dropped: tuple[int, ...]
    process: dict[str, Any]
    has_disk: bool = False
    """Whether the lane may have segments on the disk."""


def pack_alive(process: dict[str, Any]) -> bytes:
    """Return the content of a new `alive` file."""
    return bytes([ALIVE]).ljust(ABOUT_OFFSET, b"\0") + pack_about(process)


def pack_about(process: dict[str, Any]) -> bytes:
    """Return what stands in an `alive` file from `ABOUT_OFFSET` on."""
    room = ALIVE_BYTES - ABOUT_OFFSET
    return orjson.dumps(process).ljust(room, b" ")[:room]


def pack_ending(signal_number: int) -> bytes:
    """Return the two bytes that say the process has begun a normal end."""
    return bytes([ENDING, signal_number])


def unpack_alive(data: bytes) -> About:
    """Return what an `alive` file says; a damaged one says as much as can be read."""
    data = data.ljust(ABOUT_OFFSET, b"\0")
    try:
        process = orjson.loads(data[ABOUT_OFFSET:].rstrip())
    except ValueError:
        process = {}
    dropped = _COUNTERS.unpack_from(data, COUNTERS_OFFSET)[:_TOLD]
    return About(data[0], data[1], dropped, process, data[ON_DISK_OFFSET] != 0)


def together(abouts: Sequence[About]) -> About:
    """Return what several `alive` files of one lane, the one in memory first, say together."""
    return About(
        state=ENDING if any(about.state == ENDING for about in abouts) else abouts[0].state,
        signal=max(about.signal for about in abouts),
        dropped=tuple(max(counts) for counts in zip(*(about.dropped for about in abouts), strict=True)),
        process=abouts[0].process,
        has_disk=any(about.has_disk for about in abouts),
    )


def counter_offset(reason: str) -> int:
    """Return where the 8-byte counter of a drop reason stands in the `alive` file."""
    return COUNTERS_OFFSET + 8 * COUNTED.index(reason)
