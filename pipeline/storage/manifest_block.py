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
    from pipeline.storage.manifest import Entry

BLOCK_BYTES: Final = MIB
BLOCK_SEC: Final = 10.0
"""A block that has not become full by then gets its entry at the next sync."""


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

    def add(self, lines: bytes, count: int, *, is_slice: bool) -> tuple[bytes, int]:
        """
        Take some of `count` lines until the block is full; return the others, and how many they are.

        A slice is of one producer, in order.
        """
        cut = lines.find(b"\n", max(0, BLOCK_BYTES - self.length - 1)) + 1
        taken = lines if cut in (0, len(lines)) else lines[:cut]
        self._hash.update(taken)
        taken_count = count if taken is lines else taken.count(b"\n")
        self._note_numbers(taken, taken_count, is_slice=is_slice)
        self.lines += taken_count
        self.length += len(taken)
        self.is_closed = self.length >= BLOCK_BYTES
        return lines[len(taken) :], count - taken_count

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

    def _note_numbers(self, lines: bytes, count: int, *, is_slice: bool) -> None:
        first = stored.key_of(lines) if is_slice else None
        last = first if count == 1 else stored.key_of(lines[lines.rfind(b"\n", 0, -1) + 1 :])
        if first and last and last[1] - first[1] + 1 == count:
            self._note(first[0], first[1], last[1])  # numbers rise, so with this count there is no gap
            return
        for producer, number in stored.keys_in(lines):
            self._note(producer, number, number)

    def _note(self, producer: str, first: int, last: int) -> None:
        stretches = self.producers.setdefault(producer, [])
        if stretches and stretches[-1][1] + 1 == first:
            stretches[-1][1] = last
        else:
            stretches.append([first, last])
