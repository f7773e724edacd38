"""
The bytes of a file, plain or packed, in chunks of bounded size.

To join another packing, write a reader and add it to `READERS` and its suffix to `files.PACKINGS`.
"""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, cast

import zstandard

from pipeline.verification.files import packed_twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.verification.files import LogFile

CHUNK_BYTES: Final = 256 * 1024
PACKED_CHUNK_BYTES: Final = 8 * 1024
"""Small, since a few bytes of a zstd frame can stand for megabytes."""

READ_ERRORS: Final = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""Whatever a reader may raise because of the file."""


class Chunk(NamedTuple):
    """A piece of a file."""

    data: bytes
    is_settled: bool
    disk_bytes: int
    """What was read from the disk for it, for progress."""


def read_chunks(file: LogFile) -> Iterator[Chunk]:
    """Yield the file up to its size. Raises one of `READ_ERRORS`."""
    if file.trouble:
        raise OSError(file.trouble)
    raw, file = _open(file)
    with raw:
        yield from READERS[file.packing](raw, file)


def _open(file: LogFile) -> tuple[BinaryIO, LogFile]:
    try:
        return open(file.path, "rb", buffering=0), file
    except FileNotFoundError:
        twin = None if file.packing else packed_twin(file)
        if twin is None:
            raise
        return open(twin.path, "rb", buffering=0), twin


def _read_plain(raw: BinaryIO, file: LogFile) -> Iterator[Chunk]:
    position = file.start
    if position:
        raw.seek(position)
    for end in (file.settled, file.size):
        while position < end:
            data = raw.read(min(CHUNK_BYTES, end - position))
            if not data:
                return
            position += len(data)
            yield Chunk(data, position <= file.settled, len(data))


def _require_content(file: LogFile) -> None:
    if not file.size:
        raise EOFError("a packed file is never empty")


def _read_gzip(raw: BinaryIO, file: LogFile) -> Iterator[Chunk]:
    position = 0
    _require_content(file)
    with gzip.open(raw, "rb") as unpacked:
        while data := unpacked.read(CHUNK_BYTES):
            before, position = position, raw.tell()
            yield Chunk(data, is_settled=True, disk_bytes=position - before)


def _read_zstd(raw: BinaryIO, file: LogFile) -> Iterator[Chunk]:
    # Not `stream_reader`: it takes a frame that was cut off for a complete one.
    _require_content(file)
    frame: zstandard.ZstdDecompressionObj | None = None
    while packed := raw.read(PACKED_CHUNK_BYTES):
        disk_bytes, rest = len(packed), packed
        while rest:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            data = frame.decompress(rest)
            rest = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
            yield Chunk(data, is_settled=True, disk_bytes=disk_bytes)
            disk_bytes = 0
    if frame is not None:
        raise EOFError("the last zstd frame is cut off")


READERS: Final = cast(
    "dict[str, Callable[[BinaryIO, LogFile], Iterator[Chunk]]]",
    {"": _read_plain, "gz": _read_gzip, "zst": _read_zstd},
)
