"""One file from its beginning to its end, or from its end to its beginning, piece by piece."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline.query.frames import Frames, frames_of, unpacked
from pipeline.query.reading import CHUNK_BYTES, Chunk, chunks, opened, unpacking

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.query.frames import Frame
    from pipeline.query.reading import Raw
    from pipeline.query.sources import Source

FIRST_BYTES: Final = 64 << 10
"""The first piece from the end is small: most who ask for the last lines ask for few."""
HEAD_BYTES: Final = 64
Range = tuple[int, int]


def forwards(
    source: Source,
    start: int = 0,
    ranges: Sequence[Range] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Iterator[Chunk]:
    """
    Yield the whole lines of a file from a line's beginning on, or of some ranges of whole lines.

    Both are in unpacked bytes. `progress` is told how many bytes of the file are done. OSError when it cannot
    be read.
    """
    with opened(source) as (file, raw):
        frames = frames_of(raw) if ranges is not None and file.packing == "zst" else None
        if ranges is not None and (frames is not None or not file.packing):
            for bytes_in, offset in _parts(raw, frames, file.size, ranges):
                for chunk in chunks(bytes_in, offset):
                    progress(raw.tell())
                    yield chunk
            return
        bytes_in = unpacking(raw, file.packing, start, file.size)
        for chunk in chunks(bytes_in, 0 if file.packing else start):
            progress(bytes_in.tell())
            if chunk.offset + chunk.end > start:
                yield chunk if chunk.offset >= start else _without_head(chunk, start)


def head(source: Source) -> bytes:
    """Return the beginning of a file, as long as a timestamp needs. OSError when it cannot be read."""
    found, room = b"", bytearray(HEAD_BYTES)
    with opened(source) as (file, raw):
        bytes_in = unpacking(raw, file.packing, 0, file.size)
        while len(found) < HEAD_BYTES and (count := bytes_in.readinto(memoryview(room))):
            found += room[:count]
    return found


def end_of_lines(source: Source) -> int:
    """Return where the last whole line of a plain file ends; 0 when it cannot be read."""
    with suppress(OSError), opened(source) as (file, raw):
        for piece, start in _pieces(raw, None, 0, file.size):
            cut = piece.rfind(b"\n") + 1
            if cut:
                return start + cut
    return 0


def backwards(source: Source, ranges: Sequence[Range] | None = None) -> Iterator[Chunk] | None:
    """Yield the whole lines of a file, or of ranges, the last first; None when it is read forwards only."""
    with opened(source) as (file, raw):
        if file.packing == "gz" or (file.packing and frames_of(raw) is None):
            return None
    return _backwards(source, ranges)


def _backwards(source: Source, ranges: Sequence[Range] | None) -> Iterator[Chunk]:
    with opened(source) as (file, raw):
        frames = (frames_of(raw) or []) if file.packing == "zst" else None
        size = file.size if frames is None else frames[-1].end if frames else 0
        for start, end in reversed(ranges if ranges is not None else [(0, size)]):
            yield from whole_lines(_pieces(raw, frames, start, min(end, size)), start)


def whole_lines(pieces: Iterable[tuple[bytes, int]], begin: int = 0) -> Iterator[Chunk]:
    """Yield whole lines, the last ones first, out of pieces that come in that order, down to `begin`."""
    behind: list[bytes] | None = None
    for piece, start in pieces:
        data = piece
        if behind is None:
            cut = data.rfind(b"\n") + 1  # behind it stands a line that is still being written
            if not cut:
                continue
            data, behind = data[:cut], []
        first = data.find(b"\n") + 1 if start > begin else 0
        if start > begin and not first:
            # No record has a NUL in it; a block of them, of a power loss, need not be kept to be judged.
            behind = [b"\0\n"] if b"\0" in data else [*behind, data]
            continue
        lines = bytearray(b"".join([data[first:], *reversed(behind)]))
        if lines:
            yield Chunk(lines, len(lines), start + first)
        behind = [data[:first]]


def _pieces(
    raw: io.FileIO, frames: Sequence[Frame] | None, begin: int, end: int
) -> Iterator[tuple[bytes, int]]:
    """Yield (bytes, offset) of a range from its end on."""
    if frames is not None:
        for frame in reversed([frame for frame in frames if frame.offset < end and begin < frame.end]):
            start = max(begin, frame.offset)
            yield unpacked(raw, frame)[start - frame.offset : end - frame.offset], start
        return
    reach = FIRST_BYTES
    while end > begin:
        start = max(begin, end - reach)
        raw.seek(start)
        data = bytearray()
        while len(data) < end - start and (more := raw.read(end - start - len(data))):
            data += more
        yield bytes(data), start
        end, reach = start, CHUNK_BYTES


def _parts(
    raw: io.FileIO, frames: Sequence[Frame] | None, size: int, ranges: Sequence[Range]
) -> Iterator[tuple[Raw, int]]:
    """Yield (bytes, offset) of each range, those that follow each other as one."""
    joined: list[Range] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    for start, end in joined:
        if frames is None:
            yield unpacking(raw, "", start, min(end, size)), start
        else:
            held = [frame for frame in frames if frame.offset < end and start < frame.end]
            yield Frames(raw, held, start, end), start


def _without_head(chunk: Chunk, start: int) -> Chunk:
    data = bytearray(chunk.data[start - chunk.offset : chunk.end])
    return Chunk(data, len(data), start)
