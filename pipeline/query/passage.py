"""One file from its beginning to its end, or from its end to its beginning, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.query.frames import Frames, frames_of, unpacked
from pipeline.query.reading import CHUNK_BYTES, Chunk, chunks, opened, unpacking

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.query.frames import Frame
    from pipeline.query.sources import Source

FIRST_BYTES: Final = 64 << 10
"""The first piece from the end is small: most who ask for the last lines ask for few."""
HEAD_BYTES: Final = 64
Range = tuple[int, int]


def forwards(
    source: Source,
    start: int = 0,
    ranges: Callable[[Source], Sequence[Range] | None] = lambda _: None,
    progress: Callable[[int], object] = lambda _: None,
) -> Iterator[Chunk]:
    """
    Yield the whole lines of a file.

    `ranges` may name the only parts (of whole lines, in unpacked bytes) that are wanted; `progress` is told
    how many bytes of the file are done. OSError when it cannot be read.
    """
    with opened(source) as (file, raw):
        wanted = ranges(file)
        if wanted is not None and (
            not file.packing or (file.packing == "zst" and frames_of(raw) is not None)
        ):
            for chunk in _pick(raw, file, wanted):
                yield chunk
                progress(raw.tell())
            return
        bytes_in = unpacking(raw, file.packing, start, file.size)
        for chunk in chunks(bytes_in, 0 if file.packing else start):
            if chunk.offset + chunk.end > start:
                yield chunk if chunk.offset >= start else _without_head(chunk, start)
            progress(bytes_in.tell())


def head(source: Source) -> bytes:
    """Return the beginning of a file, as long as a timestamp needs. OSError when it cannot be read."""
    found, room = b"", bytearray(HEAD_BYTES)
    with opened(source) as (file, raw):
        bytes_in = unpacking(raw, file.packing, 0, file.size)
        while len(found) < HEAD_BYTES and (count := bytes_in.readinto(memoryview(room))):
            found += room[:count]
    return found


def backwards(source: Source) -> Iterator[Chunk] | None:
    """Yield the whole lines of a file, the last ones first; None when it can only be read forwards."""
    with opened(source) as (file, raw):
        if file.packing == "gz" or (file.packing and frames_of(raw) is None):
            return None
    return _backwards(source)


def _backwards(source: Source) -> Iterator[Chunk]:
    with opened(source) as (file, raw):
        frames = (frames_of(raw) or []) if file.packing == "zst" else []
        packed = ((unpacked(raw, frame), frame.offset) for frame in reversed(frames))
        yield from whole_lines(packed if file.packing else _pieces(raw, file.size))


def whole_lines(pieces: Iterable[tuple[bytes, int]]) -> Iterator[Chunk]:
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


def _pieces(raw: io.FileIO, size: int) -> Iterator[tuple[bytes, int]]:
    end, reach = size, FIRST_BYTES
    while end > 0:
        start = max(0, end - reach)
        raw.seek(start)
        data = bytearray()
        while len(data) < end - start and (more := raw.read(end - start - len(data))):
            data += more
        yield bytes(data), start
        end, reach = start, CHUNK_BYTES


def _pick(raw: io.FileIO, source: Source, wanted: Sequence[Range]) -> Iterator[Chunk]:
    if not source.packing:
        for start, end in wanted:
            yield from chunks(unpacking(raw, "", start, min(end, source.size)), start)
        return
    for frames, start, end in _runs(frames_of(raw) or [], wanted):
        yield from chunks(Frames(raw, frames, start, end), start)


def _runs(frames: Sequence[Frame], wanted: Sequence[Range]) -> Iterator[tuple[list[Frame], int, int]]:
    """Yield frames that follow each other and hold wanted ranges, and the first and last wanted byte."""
    run: list[Frame] = []
    start = end = 0
    for first, last in wanted:
        held = [frame for frame in frames if frame.offset < last and first < frame.end]
        if run and held and held[0].offset > run[-1].end:
            yield run, start, end
            run = []
        start, end = (start if run else first), last
        run += [frame for frame in held if frame not in run]
    if run:
        yield run, start, end


def _without_head(chunk: Chunk, start: int) -> Chunk:
    data = bytearray(chunk.data[start - chunk.offset : chunk.end])
    return Chunk(data, len(data), start)
