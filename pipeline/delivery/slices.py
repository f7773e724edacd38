"""Arithmetic with slices of lanes: parts of them, and the positions behind them."""

from __future__ import annotations

from pipeline.queue.layout import position
from pipeline.queue.tailer import Slice
from pipeline.storage import stored


def without_stored(piece: Slice, data: bytes, known: set[int]) -> list[Slice]:
    """Return the parts of a slice whose records are not among the known numbers, in order."""
    kept: list[Slice] = []
    offset = piece.start
    for line in data.splitlines(keepends=True):
        end = offset + len(line)
        if stored.number_of(line) not in known:
            if kept and kept[-1].end == offset:
                kept[-1] = kept[-1]._replace(end=end)
            else:
                kept.append(Slice(piece.producer, piece.serial, offset, end))
        offset = end
    return kept


def first_bytes(slices: list[Slice], length: int) -> list[Slice]:
    """Return what of some slices makes up their first `length` bytes."""
    kept = []
    for piece in slices:
        if length <= 0:
            break
        kept.append(piece._replace(end=min(piece.end, piece.start + length)))
        length -= piece.length
    return kept


def have_lane_in_common(some: list[Slice], others: list[Slice]) -> bool:
    """Whether one producer has slices in both."""
    producers = {piece.producer for piece in some}
    return any(piece.producer in producers for piece in others)


def ends(slices: list[Slice]) -> dict[str, int]:
    """Return the position behind the last slice of each lane."""
    found: dict[str, int] = {}
    for piece in slices:
        end = position(piece.serial, piece.end)
        found[piece.producer] = max(end, found.get(piece.producer, 0))
    return found
