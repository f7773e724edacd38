"""
Bytes against digests: block by block, without parsing a line.

Only the few lines in which the pipeline tells something of producers are picked out, since the verdict needs
them: everything else a proven block says by its entry.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.verification.opener import READ_ERRORS
from pipeline.verification.testimony import TELLING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.verification.entries import Block

_ENDING: Final = os.path.commonprefix([name[::-1] for name in TELLING])[::-1]  # noqa: RUF071 - of words
_MARK: Final = f'{_ENDING}","action_number":'.encode()
"""What stands in every telling line. One pass for it takes half as long as the SHA-256 of the block."""
_TYPES: Final = tuple(f'"action_type":"{name}'.encode() for name in TELLING)
_REACH: Final = max(map(len, _TYPES))


class Proof(NamedTuple):
    """What became of one block."""

    is_same: bool
    telling: list[tuple[int, int, bytes]]
    """Lines that may tell something of a producer: (lines before it in the block, offset, bytes)."""


def prove(path: Path, blocks: Sequence[Block], *, lines_are_read: bool = False) -> list[Proof]:
    """
    Compare blocks of a plain file with their digests. A block that cannot be read is not the same.

    Telling lines are not looked for where all lines are going to be read anyway.
    """
    proofs: list[Proof] = []
    buffer = bytearray(max(block.length for block in blocks))
    try:
        with open(path, "rb", buffering=0) as file:
            for block in blocks:
                view = memoryview(buffer)[: block.length]
                file.seek(block.offset)
                is_same = _fill(file, view) and hashlib.sha256(view).hexdigest() == block.digest
                proofs.append(
                    Proof(is_same, [*_telling(buffer, block)] if is_same and not lines_are_read else [])
                )
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
    found = {buffer.rfind(b"\n", 0, place) + 1 for place in _places(buffer, block.length)}
    for start in sorted(found):
        line = bytes(buffer[start : buffer.find(b"\n", start, block.length)])
        yield buffer.count(b"\n", 0, start), block.offset + start, line


def _places(buffer: bytearray, end: int) -> Iterator[int]:
    """Yield where the action type of a telling line ends."""
    mark = buffer.find(_MARK, 0, end)
    while mark >= 0:
        place = mark + len(_ENDING)
        if buffer[max(0, place - _REACH) : place].endswith(_TYPES):
            yield place
        mark = buffer.find(_MARK, place, end)
