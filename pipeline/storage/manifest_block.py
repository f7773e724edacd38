"""
Blocks: the pieces of a day file that a manifest has an entry for, each about 1 MiB of whole lines.

The writer feeds them the bytes that it appends, so that nothing is read back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pipeline.host import clock
from pipeline.limits import MIB
from pipeline.storage import stored
from pipeline.storage.manifest import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.storage.manifest import Entry

BLOCK_BYTES: Final = MIB
BLOCK_SEC: Final = 10.0
"""A block that has not become full by then gets its entry at the next sync."""


class Lines:
    """
    Whole lines that stand one behind the other, on their way into blocks.

    A slice is of one producer, in order. If its `count` and the numbers at its ends say that none is missing
    in between, the ends of its parts say what is in them, and no line is looked at or counted again.
    """

    __slots__ = ("_data", "_first", "_last", "_place", "_producer")

    def __init__(self, data: bytes, count: int, *, is_slice: bool) -> None:
        self._data = data
        self._place = 0
        self._producer = ""
        """Of all lines that are left, when their numbers are `_first` to `_last` without a gap."""
        first = stored.key_of(data) if is_slice else None
        last = first and stored.key_of(data, data.rfind(b"\n", 0, -1) + 1)
        if first and last and last[1] - first[1] + 1 == count:
            self._producer, self._first, self._last = *first, last[1]

    @property
    def are_left(self) -> bool:
        """Whether not all are taken."""
        return self._place < len(self._data)

    def take(self, room: int) -> tuple[memoryview, int, Iterable[tuple[str, int, int]]]:
        """Take lines until `room` bytes are full: (bytes, lines, stretches (producer, first, last))."""
        start, data = self._place, self._data
        end = self._place = data.find(b"\n", start + max(0, room - 1)) + 1 or len(data)
        view, last = memoryview(data)[start:end], self._last_of(end)
        if last:
            first, self._first = self._first, last + 1
            return view, last - first + 1, [(self._producer, first, last)]
        keys = stored.keys_in(data, start, end)
        return view, data.count(b"\n", start, end), ((producer, number, number) for producer, number in keys)

    def _last_of(self, end: int) -> int:
        """Return the number of the line that ends there; 0 where the numbers of all lines have to be read."""
        if not self._producer or end == len(self._data):
            return self._last if self._producer else 0
        key = stored.key_of(self._data, self._data.rfind(b"\n", 0, end - 1) + 1)
        if key is None or not self._first <= key[1] < self._last:
            self._producer = ""
            return 0
        return key[1]


class Block:
    """A run of whole lines of one file: its place, digest, and the numbers that it holds of each producer."""

    __slots__ = ("_hash", "began", "is_closed", "length", "lines", "offset", "producers", "rebuilt")

    def __init__(self, offset: int, rebuilt: str = "") -> None:
        self.offset = offset
        self.rebuilt = rebuilt
        """Why nobody can say that these bytes are what was appended; empty for most."""
        self.length = 0
        self.lines = 0
        self.producers: dict[str, list[list[int]]] = {}
        """Stretches [first, last] without a gap, in the order in which they stand."""
        self.began = clock.monotonic()
        self.is_closed = False
        self._hash = hashlib.sha256()

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.length

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._hash.copy().hexdigest()

    @property
    def is_due(self) -> bool:
        """Whether it is full, or waited long enough for more."""
        return self.is_closed or clock.monotonic() - self.began >= BLOCK_SEC

    def add(self, lines: Lines) -> None:
        """Take lines until it is full."""
        taken, count, stretches = lines.take(BLOCK_BYTES - self.length)
        self._hash.update(taken)
        for producer, first, last in stretches:
            self._note(producer, first, last)
        self.lines += count
        self.length += len(taken)
        self.is_closed = self.length >= BLOCK_BYTES

    def entry(self) -> Entry:
        """Return what the manifest says of it."""
        found: Entry = {
            "kind": BLOCK,
            "offset": self.offset,
            "length": self.length,
            "lines": self.lines,
            "producers": self.producers,
            "digest": self.digest,
        }
        return found | {"rebuilt": self.rebuilt} if self.rebuilt else found

    def _note(self, producer: str, first: int, last: int) -> None:
        stretches = self.producers.setdefault(producer, [])
        if stretches and stretches[-1][1] + 1 == first:
            stretches[-1][1] = last
        else:
            stretches.append([first, last])
