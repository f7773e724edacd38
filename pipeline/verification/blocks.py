"""
Bytes against digests: block by block, without parsing a line.

Only the few lines in which the pipeline tells something of producers are picked out, since the verdict needs
them: everything else a proven block says by its entry.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.verification.opener import READ_ERRORS
from pipeline.verification.testimony import TELLING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.verification.entries import Block

_MARKS: Final = (b'"action_type":"producer_', b'"action_type":"records_', b'"action_type":"pipeline_st')
"""What the lines of the telling types begin with, behind the timestamp; each is looked for in one pass."""


class Proof(NamedTuple):
    """What became of one block."""

    is_same: bool
    telling: list[tuple[int, int, bytes]]
    """Lines that may tell something of a producer: (lines before it in the block, offset, bytes)."""


def prove(path: Path, blocks: Sequence[Block]) -> list[Proof]:
    """Compare blocks of a plain file with their digests. A block that cannot be read is not the same."""
    proofs: list[Proof] = []
    buffer = bytearray(max(block.length for block in blocks))
    try:
        with open(path, "rb", buffering=0) as file:
            for block in blocks:
                view = memoryview(buffer)[: block.length]
                file.seek(block.offset)
                is_same = _fill(file, view) and hashlib.sha256(view).hexdigest() == block.digest
                proofs.append(Proof(is_same, [*_telling(buffer, block)] if is_same else []))
    except READ_ERRORS:
        pass  # the lines of these blocks are read then, and say what is wrong
    return proofs + [Proof(is_same=False, telling=[])] * (len(blocks) - len(proofs))


def _fill(file: object, view: memoryview) -> bool:
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            return False
        done += count
    return True


def _telling(buffer: bytearray, block: Block) -> Iterator[tuple[int, int, bytes]]:
    starts = {
        buffer.rfind(b"\n", 0, place) + 1 for mark in _MARKS for place in _places(buffer, mark, block.length)
    }
    for start in sorted(starts):
        line = bytes(buffer[start : buffer.find(b"\n", start, block.length)])
        if any(f'"action_type":"{name}"'.encode() in line for name in TELLING):
            yield buffer.count(b"\n", 0, start), block.offset + start, line


def _places(buffer: bytearray, mark: bytes, end: int) -> Iterator[int]:
    place = buffer.find(mark, 0, end)
    while place >= 0:
        yield place
        place = buffer.find(mark, place + 1, end)
