"""
Which records a file holds, by the fixed beginning of each line.

For recovery; readers and verify have their own.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import orjson

from pipeline.storage import naming, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

_RECORD: Final = re.compile(
    rb'^\{"timestamp":"[^"\n]{1,40}","action_type":"[^"\\\n]*(?:\\.[^"\\\n]*)*","action_number":(\d+),"producer":"([0-9a-z]{12})"',
    re.MULTILINE,
)
_BEGINNING: Final = b'{"timestamp":"'
_CHUNK_BYTES: Final = 4 << 20


def stored_numbers(
    path: Path,
    producers: Collection[str],
    beat: Callable[[], None],
    start: int = 0,
    end: int | None = None,
) -> dict[str, set[int]]:
    """
    Return the numbers of whole lines in the bytes [start, end) of a file, for the producers asked for.

    A packed file is read whole, up to where it is damaged.
    """
    found: dict[str, set[int]] = {producer: set() for producer in producers}
    for lines in _whole_lines(path, start, end):
        beat()
        for match in _RECORD.finditer(lines):
            numbers = found.get(match[2].decode())
            if numbers is not None and _is_whole(lines[match.start() : lines.index(b"\n", match.end())]):
                numbers.add(int(match[1]))
    return found


def _is_whole(line: bytes) -> bool:
    """Whether a line is one JSON value; a half record with foreign bytes behind it only begins like one."""
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def number_of(line: bytes) -> int | None:
    """Return the action_number of a line, None when it is no record of ours."""
    match = _RECORD.match(line)
    return int(match[1]) if match else None


def key_of(lines: bytes, start: int = 0) -> tuple[str, int] | None:
    """Return the producer and the action_number of the line at `start`, None when it is no record of ours."""
    match = _RECORD.match(lines, start)
    return (match[2].decode(), int(match[1])) if match else None


def keys_in(lines: bytes, start: int, end: int) -> Iterator[tuple[str, int]]:
    """Yield producer and action_number of each line in the bytes [start, end) that is a record of ours."""
    for match in _RECORD.finditer(lines, start, end):
        yield match[2].decode(), int(match[1])


def is_ours(lines: bytes) -> bool:
    """Whether every line is a record as the pipeline writes it."""
    return bool(lines) and lines.endswith(b"\n") and len(_RECORD.findall(lines)) == lines.count(b"\n")


def is_half(tail: bytes) -> bool:
    """Whether bytes are the beginning of a line as the pipeline writes it."""
    return bool(tail) and tail.startswith(_BEGINNING[: len(tail)])


def torn_tail(path: Path) -> tuple[int, bytes]:
    """Return (offset, bytes) of what stands behind the last newline of a file."""
    size = path.stat().st_size
    reach = 1 << 16
    with path.open("rb") as file:
        while True:
            start = max(0, size - reach)
            file.seek(start)
            piece = file.read(size - start)
            newline = piece.rfind(b"\n")
            if newline >= 0 or start == 0:
                return start + newline + 1, piece[newline + 1 :]
            reach *= 4


def _whole_lines(path: Path, start: int, stop: int | None) -> Iterator[bytes]:
    carry = b""
    for piece in _packed_pieces(path) if naming.unpacked(path.name)[1] else _pieces(path, start, stop):
        end = piece.rfind(b"\n") + 1
        if end:
            yield carry + piece[:end]
            carry = piece[end:]
        else:
            carry += piece


def _pieces(path: Path, start: int, stop: int | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        position = file.seek(start)
        limit = file.seek(0, os.SEEK_END) if stop is None else stop
        file.seek(position)
        while piece := file.read(min(_CHUNK_BYTES, limit - file.tell())):
            yield piece


def _packed_pieces(path: Path) -> Iterator[bytes]:
    with packed.opened(path) as file:
        while piece := packed.read(file, _CHUNK_BYTES):
            yield piece
