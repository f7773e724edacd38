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
    a record head (disk)     stays as it was at creation: what is committed is what the file holds up to its
    last newline state           0 while this is the last segment of its lane, 1 once its successor stands in
    the directory

Alive file, 4,096 bytes, written once at creation so that a full disk cannot refuse a later store::

    0       1        64               128
    +-------+--------+----------------+--------------------------------+
    | state | signal | drop counters  | JSON about the process, spaces |
    +-------+--------+----------------+--------------------------------+
      u8      u8       8 x u64

Numbers are in the machine's byte order: the files never leave the machine, and a native 8-byte store is what
is atomic. Changing a number here changes the format: raise VERSION; a lane of an unknown version is kept and
reported.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final, NamedTuple

import orjson

from pipeline.errors import LaneError
from pipeline.limits import OFFSET_BITS, SEGMENT_HEADER_BYTES, require

MAGIC: Final = b"PIPELANE"
VERSION: Final = 1
MEMORY: Final = 0
DISK: Final = 1
COPY: Final = 2
"""On disk: what its producer put there of a segment in memory that was removed under it."""

_HEADER: Final = struct.Struct("=8sIIQQQ32s16s")
HEADER_BYTES: Final = SEGMENT_HEADER_BYTES
HEAD_WORD: Final = 2
"""Index of the head among the 8-byte words of the header."""
STATE_WORD: Final = 4
STATE_OFFSET: Final = 32
_PERIOD: Final = re.compile(rb"^\d{4,}-\d\d-\d\d$")
OPEN: Final = 0
SUCCEEDED: Final = 1

OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1
ONE_RECORD: Final = 1 << OFFSET_BITS
"""What one record adds to the upper half of the head word."""

ALIVE_BYTES: Final = 4096
ALIVE: Final = ord("A")
ENDING: Final = ord("E")
COUNTERS_OFFSET: Final = 64
_COUNTERS: Final = struct.Struct("=8Q")
ABOUT_OFFSET: Final = 128

DROP_REASONS: Final = ("queue_full", "low_level", "block_timeout", "critical_timeout")
"""Why a record was refused; the place in this tuple is the place of its counter."""

POSITION: Final = struct.Struct("=QQ8Q")
"""
The position file: `written` and `durable`, each serial << 32 | offset.

Then the drops already told in the stream.
"""

require(_HEADER.size <= HEADER_BYTES, "the segment header fits its room")
require(8 * len(DROP_REASONS) <= _COUNTERS.size, "each drop reason has a counter")
require(COUNTERS_OFFSET + _COUNTERS.size <= ABOUT_OFFSET, "the drop counters fit their room")


class Header(NamedTuple):
    """The header of a segment."""

    version: int
    place: int
    head: int
    first_number: int
    state: int
    period: str
    producer: str

    @property
    def is_on_disk(self) -> bool:
        """Whether the file's last newline commits, and not the head."""
        return self.place != MEMORY

    @property
    def records(self) -> int:
        """Committed records, for a memory segment."""
        return self.head >> OFFSET_BITS

    @property
    def end(self) -> int:
        """Offset behind the last committed record, for a memory segment."""
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
    )
    return packed.ljust(HEADER_BYTES, b"\0")


def unpack_header(data: bytes, where: str) -> Header:
    """Return the header of a segment; LaneError when it is none or of another version."""
    if len(data) < HEADER_BYTES or data[:8] != MAGIC:
        raise LaneError("not a segment", where=where)
    _, version, place, head, first_number, state, period, producer = _HEADER.unpack_from(data)
    if version != VERSION:
        raise LaneError(
            "a segment of an unknown version", where=where, cause=f"version {version}, known {VERSION}"
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
    )


def segment_name(serial: int) -> str:
    """Return the file name of the nth segment of a lane, counted from 1."""
    return f"{serial:08d}.seg"


def serial_of(name: str) -> int | None:
    """Return which segment a file name is, None when it is something else."""
    stem, dot, kind = name.partition(".")
    return int(stem) if dot and kind == "seg" and stem.isdigit() else None


def position(serial: int, offset: int) -> int:
    """Return a place in a lane as one number; later places are greater."""
    return serial << OFFSET_BITS | offset


class About(NamedTuple):
    """What an `alive` file tells of its producer."""

    state: int
    signal: int
    dropped: tuple[int, ...]
    process: dict[str, Any]


def pack_alive(process: dict[str, Any]) -> bytes:
    """Return the content of a new `alive` file."""
    about = orjson.dumps(process)
    return (bytes([ALIVE]).ljust(ABOUT_OFFSET, b"\0") + about).ljust(ALIVE_BYTES, b" ")[:ALIVE_BYTES]


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
    return About(data[0], data[1], _COUNTERS.unpack_from(data, COUNTERS_OFFSET), process)


def counter_offset(reason: str) -> int:
    """Return where the 8-byte counter of a drop reason stands in the `alive` file."""
    return COUNTERS_OFFSET + 8 * DROP_REASONS.index(reason)
