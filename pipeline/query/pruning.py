"""Which parts of a file can have what is asked for: by the blocks of its manifest and their index."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pipeline.query.blocks import blocks_of
from pipeline.query.frames import frames_of, unpacked
from pipeline.query.index import ID_FIELDS, Index, Summary, id_of
from pipeline.query.reading import opened

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.query.blocks import Block
    from pipeline.query.frames import Frame
    from pipeline.query.passage import Range
    from pipeline.query.question import Question
    from pipeline.query.sources import Source
    from pipeline.storage.directories import Access

INDEX_BYTES: Final = 32 << 20
"""
A question makes so much of a missing index, which takes about 0.1 s; the next one goes on.

Of a day of 165 MB seven calls for its last hour took 0.4 to 0.5 s until one took 0.16. With 4 MiB each, 0.4 s
went down to 0.3 in fourteen, since what has no index is searched each time.
"""
SMALL_BYTES: Final = 1 << 20
"""A file that is not longer is read whole."""
ALL_BYTES: Final = 1 << 62


class Pruner:
    """Names the parts of files that a question has to be asked of."""

    def __init__(self, log_dir: Path, question: Question) -> None:
        self._log_dir = log_dir
        self._question = question
        self._ids: list[frozenset[int]] = []
        self._types: list[frozenset[str]] = []
        for condition in question.conditions:
            fields = {field for field, _ in condition.keys}
            if condition.keys and fields <= set(ID_FIELDS):
                self._ids.append(frozenset(id_of(field, text) for field, text in condition.keys))
            elif fields == {"action_type"}:
                self._types.append(frozenset(text for _, text in condition.keys))
        self._is_of_use = bool(self._ids or self._types or question.has_span)

    def ranges(self, source: Source, *, is_backwards: bool = False) -> list[Range] | None:
        """Return the parts, of whole lines, in unpacked bytes; None for all of it. OSError as reading."""
        if not self._is_of_use or not _is_indexed(source):
            return None
        # The last records of a time are found sooner than an index is made.
        makes = not is_backwards or self._ids or self._types
        index, blocks = indexed(self._log_dir, source, INDEX_BYTES if makes else 0)
        if not blocks:
            return None
        rest = (blocks[-1].end, ALL_BYTES if source.packing else source.size)
        parts = [(block.offset, block.end) for block in blocks if self._may_hold(index.of(block))]
        return [part for part in (*parts, rest) if part[0] < rest[1]]

    def _may_hold(self, summary: Summary | None) -> bool:
        if summary is None:
            return True
        first, last = self._question.first, self._question.last
        return (
            first <= summary.last
            and (not last or summary.first <= last)
            and all(types & summary.types for types in self._types)
            and all(any(map(summary.may_hold, ids)) for ids in self._ids)
        )


def refresh(
    log_dir: Path, source: Source, access: Access | None = None, beat: Callable[[], None] = lambda: None
) -> None:
    """
    Make the whole index of a file, as far as it is missing. OSError when the file cannot be read.

    With an `access` it is made where all readers share it, for these. `beat` is called at each block.
    """
    if _is_indexed(source):
        _made(Index(log_dir, source, access), blocks_of(log_dir, source.stem), source, ALL_BYTES, beat)


def indexed(log_dir: Path, source: Source, bytes_max: int) -> tuple[Index, Sequence[Block]]:
    """Return the index of a file, with up to so many bytes of it made now, and its blocks."""
    index, blocks = Index(log_dir, source), blocks_of(log_dir, source.stem)
    _made(index, blocks, source, bytes_max, lambda: None)
    return index, blocks


def _is_indexed(source: Source) -> bool:
    """Whether parts of a file can be read by themselves, and it is not read whole anyhow."""
    return source.packing != "gz" and source.size > SMALL_BYTES


def _made(
    index: Index, blocks: Sequence[Block], source: Source, bytes_max: int, beat: Callable[[], None]
) -> None:
    if not bytes_max or all(index.of(block) is not None for block in blocks):
        return
    with opened(source) as (file, raw):
        frames = frames_of(raw) if file.packing == "zst" else None
        if frames is None and file.packing:
            return
        read = _reader(raw, frames)

        def next_block(block: Block) -> bytes:
            beat()
            return read(block)

        # The newest are asked for most.
        index.add(reversed(blocks), next_block, bytes_max)


def _reader(raw: io.FileIO, frames: Sequence[Frame] | None) -> Callable[[Block], bytes]:
    if frames is None:
        return lambda block: os.pread(raw.fileno(), block.length, block.offset)
    kept: dict[int, bytes] = {}

    def read(block: Block) -> bytes:
        held = [frame for frame in frames if frame.offset < block.end and block.offset < frame.end]
        for frame in held:
            if frame.place not in kept:
                kept[frame.place] = unpacked(raw, frame)
        for place in list(kept):
            if place not in {frame.place for frame in held}:
                del kept[place]
        data = b"".join(kept[frame.place] for frame in held)
        start = block.offset - held[0].offset if held else 0
        return data[start : start + block.length]

    return read
