"""
The whole lines of a file in large pieces, plain or packed.

One buffer is filled again and again, and a piece is good only until the next one is asked for: a new buffer
for each MiB costs as much as finding something in it. What stands behind the last newline is a line that is
still being written, and is left alone.
"""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pipeline.query.sources import twin

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from pipeline.query.sources import Source

CHUNK_BYTES: Final = 256 << 10
"""From 256 KiB to 4 MiB all are as fast; new memory for a small one is there sooner."""
LINE_BYTES_MAX: Final = 640 << 20
"""Above what a record may take. What is longer is passed over."""
LINE_STARTS: Final = b"{ \t\r\n"
"""What the line of a JSON object can begin with; a block of NULs need not be kept to be judged."""
_PACKED_BYTES: Final = 64 << 10


class Chunk(NamedTuple):
    """Whole lines: `data[:end]`, which stand at `offset` of the unpacked file."""

    data: bytearray
    end: int
    offset: int


class Raw(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there is something; 0 at the end. OSError when it cannot be read."""

    def tell(self) -> int:
        """Return how far the file on the disk is read."""


class DamagedFile(OSError):
    """A packed file that cannot be unpacked to its end."""


@contextmanager
def opened(source: Source) -> Iterator[tuple[Source, io.FileIO]]:
    """Open a file, or what has taken its place meanwhile. OSError when neither can be."""
    try:
        raw = _open(source)
    except FileNotFoundError:
        other = twin(source)
        if other is None:
            raise
        source, raw = other, _open(other)
    with raw:
        yield source, raw


def _open(source: Source) -> io.FileIO:
    if source.trouble:
        raise OSError(source.trouble)
    return open(source.path, "rb", buffering=0)


def unpacking(raw: io.FileIO, packing: str, start: int, end: int) -> Raw:
    """Return the bytes of an open file, unpacked. `start` and `end` are of plain files only."""
    if packing and not os.fstat(raw.fileno()).st_size:
        raise DamagedFile("a packed file is never empty")
    if packing == "zst":
        return _Zstd(raw)
    return _Gzip(raw) if packing == "gz" else _Plain(raw, start, end)


def chunks(raw: Raw, offset: int = 0) -> Iterator[Chunk]:
    """Yield the whole lines from here on. OSError when the file cannot be read or unpacked."""
    buffer, filled = bytearray(CHUNK_BYTES), 0
    while True:
        if filled == len(buffer):
            if buffer[0] in LINE_STARTS and filled < LINE_BYTES_MAX:
                buffer.extend(bytes(len(buffer)))
            else:  # its first byte is kept, so that the line stays what it is: none of ours
                offset, filled = offset + filled - 1, 1
                buffer[0] = 0
        with memoryview(buffer) as view, view[filled:] as room:
            count = raw.readinto(room)
        if not count:
            return
        end = buffer.rfind(b"\n", filled, filled + count) + 1
        filled += count
        if end:
            yield Chunk(buffer, end, offset)
            buffer[: filled - end] = buffer[end:filled]
            offset, filled = offset + end, filled - end


class _File:
    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def tell(self) -> int:
        return self._raw.tell()


class _Plain(_File):
    def __init__(self, raw: io.FileIO, start: int, end: int) -> None:
        super().__init__(raw)
        raw.seek(start)
        self._left = max(0, end - start)

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._raw.readinto(buffer[: self._left] if self._left < len(buffer) else buffer) or 0
        self._left -= count
        return count


class _Gzip(_File):
    def __init__(self, raw: io.FileIO) -> None:
        import gzip

        super().__init__(raw)
        self._unpacked = gzip.GzipFile(fileobj=raw, mode="rb")

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return self._unpacked.readinto(buffer)
        except (EOFError, zlib.error) as error:
            raise DamagedFile(str(error)) from error


class _Zstd(_File):
    """
    Frames one behind the other.

    Not zstandard's `stream_reader`: it takes a frame that was cut off for a complete one.
    """

    def __init__(self, raw: io.FileIO) -> None:
        import zstandard

        super().__init__(raw)
        self._zstandard = zstandard
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._data = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._data:
            self._packed = self._packed or self._raw.read(_PACKED_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise DamagedFile("the last zstd frame is cut off")
                return 0
            self._unpack()
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def _unpack(self) -> None:
        frame = self._frame or self._zstandard.ZstdDecompressor().decompressobj()
        try:
            self._data = memoryview(frame.decompress(self._packed))
        except self._zstandard.ZstdError as error:
            raise DamagedFile(str(error)) from error
        self._packed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame
