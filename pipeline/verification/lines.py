"""
Lines out of chunks, with their places.

A line ends at a newline and nowhere else (`splitlines` would also cut at a carriage return). Places are
worked out only for the lines that somebody asks about: most lines are read and forgotten.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.verification.opener import Chunk

LINE_BYTES_MAX: Final = 640 * 1024 * 1024
"""Above what one record may take. A longer line is not kept, and so can only be reported."""

HEAD_BYTES: Final = 64
"""What is kept of a line that cannot be a record: less than the shortest record, so never taken for one."""

RECORD_STARTS: Final = (b"{", b" ", b"\t", b"\r")
"""What a JSON object can begin with; anything else (a block of NULs) need not be kept to be judged."""


class Place(NamedTuple):
    """Where a line stands. `file` is an index into the files of the run."""

    file: int
    line: int
    offset: int
    length: int


class Block:
    """Some lines that follow each other."""

    __slots__ = ("_offsets", "bytes", "first_line", "is_settled", "lines", "offset", "omitted")

    def __init__(self, lines: list[bytes], first_line: int, offset: int) -> None:
        self.lines = lines
        self.first_line = first_line
        self.offset = offset
        self.is_settled = True
        self.omitted = 0
        """Bytes of the first line that were not kept."""
        self._offsets: list[int] = []

    def place(self, file: int, index: int) -> Place:
        """Return where the line with this index stands."""
        if index and not self._offsets:
            # Once for the whole block: in a ruined file every line is asked about.
            lengths = (len(line) + 1 for line in self.lines)
            self._offsets = list(accumulate(lengths, initial=0))
        omitted = self.omitted if index else 0
        length = len(self.lines[index]) + (0 if index else self.omitted)
        start = self._offsets[index] if index else 0
        return Place(file, self.first_line + index, self.offset + start + omitted, length)


class LineReader:
    """Cuts chunks into blocks of whole lines; afterwards `rest` is what follows the last newline."""

    def __init__(self, chunks: Iterable[Chunk], offset: int = 0) -> None:
        self._chunks = chunks
        self.rest = _Unfinished()
        self.line = 1
        self.offset = offset
        self.disk_bytes = 0

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks in order. Raises what reading the chunks raises."""
        for chunk in self._chunks:
            self.disk_bytes += chunk.disk_bytes
            lines = chunk.data.split(b"\n")
            last = lines.pop()
            if lines:
                yield self._block(lines, len(chunk.data) - len(last), is_settled=chunk.is_settled)
            self.rest.add(last)

    def _block(self, lines: list[bytes], length: int, *, is_settled: bool) -> Block:
        block = Block(lines, self.line, self.offset)
        size = self.rest.length + length
        if self.rest.length:
            self.rest.add(lines[0])
            lines[0] = self.rest.kept()
            block.omitted = self.rest.length - len(lines[0])
            self.rest = _Unfinished()
        block.is_settled = is_settled
        self.line += len(lines)
        self.offset += size
        return block


class _Unfinished:
    """A line that spans chunks. Its pieces are joined once, or 100 MB would be copied hundreds of times."""

    __slots__ = ("_pieces", "length")

    def __init__(self) -> None:
        self.length = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Append a piece, as long as the line can still be a record."""
        if not piece:
            return
        self.length += len(piece)
        self._pieces.append(piece)
        if self._is_hopeless():
            self._pieces = [b"".join(self._pieces[:2])[:HEAD_BYTES]]

    def _is_hopeless(self) -> bool:
        return self.length > LINE_BYTES_MAX or not self._pieces[0].startswith(RECORD_STARTS)

    def kept(self) -> bytes:
        """Return the line, or its beginning if it was hopeless."""
        return b"".join(self._pieces)
