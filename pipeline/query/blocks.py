"""
The blocks of a file as its manifest has them: runs of whole lines, each with its digest.

What an entry says is never taken for what the bytes are. It tells where lines begin, and by its digest
whether something that was once found in these bytes still belongs to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.storage import manifest

if TYPE_CHECKING:
    from pathlib import Path


class Block(NamedTuple):
    """A run of whole lines."""

    offset: int
    length: int
    lines: int
    digest: str
    is_proven: bool
    """Whether these bytes were digested as they were written, and not found in the file later."""

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + self.length


def blocks_of(log_dir: Path, stem: str) -> list[Block]:
    """Return the blocks that follow each other from the beginning of a file; none where that is not known."""
    found: list[Block] = []
    for entry in _entries(log_dir, stem):
        kind, offset = entry.get("kind"), entry.get("offset")
        if kind not in (manifest.BEGIN, manifest.BLOCK, manifest.CUT) or type(offset) is not int:
            continue
        while found and found[-1].end > offset:
            found.pop()
        if kind == manifest.BLOCK and (found[-1].end if found else 0) == offset:
            block = _block(entry, offset)
            if block is not None:
                found.append(block)
    return found


def _entries(log_dir: Path, stem: str) -> list[manifest.Entry]:
    path = manifest.directory_of(log_dir / ".pipeline") / (stem + manifest.SUFFIX)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    return [entry for line in lines if (entry := manifest.parsed(line)) is not None]


def _block(entry: manifest.Entry, offset: int) -> Block | None:
    length, lines, digest = entry.get("length"), entry.get("lines"), entry.get("digest")
    if type(length) is not int or length <= 0 or type(lines) is not int or not isinstance(digest, str):
        return None
    return Block(offset, length, lines, digest, is_proven=not entry.get("rebuilt"))
