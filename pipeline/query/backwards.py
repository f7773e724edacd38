"""The whole lines of a file in pieces from its end to its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.query.reading import CHUNK_BYTES, Chunk

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator

FIRST_BYTES: Final = 64 << 10
"""The first piece is small: most who ask for the last lines ask for few."""


def plain_pieces(raw: io.FileIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield (bytes, offset) of a plain file from its end on."""
    end, reach = size, FIRST_BYTES
    while end > 0:
        start = max(0, end - reach)
        raw.seek(start)
        yield _read(raw, end - start), start
        end, reach = start, CHUNK_BYTES


def backwards(pieces: Iterable[tuple[bytes, int]]) -> Iterator[Chunk]:
    """Yield whole lines, the last ones first, out of pieces that come in that order."""
    behind: list[bytes] | None = None
    for piece, start in pieces:
        data = piece
        if behind is None:
            cut = data.rfind(b"\n") + 1  # behind it stands a line that is still being written
            if not cut:
                continue
            data, behind = data[:cut], []
        first = data.find(b"\n") + 1 if start else 0
        if start and not first:
            behind.append(data)
            continue
        lines = bytearray(b"".join([data[first:], *reversed(behind)]))
        if lines:
            yield Chunk(lines, len(lines), start + first)
        behind = [data[:first]]


def _read(raw: io.FileIO, size: int) -> bytes:
    found = bytearray()
    while len(found) < size and (piece := raw.read(size - len(found))):
        found += piece
    return bytes(found)
