"""
The whole lines of a file in large pieces, plain or packed, forwards.

One buffer is filled again and again, and a piece is good only until the next one is asked for: a new buffer
for each MiB costs as much as finding something in it. What stands behind the last newline is a line that is
still being written, and is left alone.
"""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pipeline.query.sources import twin

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from pipeline.query.sources import Source

CHUNK_BYTES: Final = 1 << 20
"""Of 256 KiB to 4 MiB the fastest, by a little: it stays in the processor's cache."""
RECORD_START: Final = b'{"timestamp":"'
_PACKED_BYTES: Final = 64 << 10


class Chunk(NamedTuple):
    """Whole lines: `data[:end]`, which stand at `offset` of the unpacked file."""

    data: bytearray
    end: int
    offset: int


class Raw(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer as far as there is something; 0 at the end."""

    def tell(self) -> int:
        """Return how far the file on the disk is read."""


class DamagedFile(OSError):
    """A packed file that cannot be unpacked to its end."""


@contextmanager
def opened(source: Source, start: int = 0) -> Iterator[Raw]:
    """
    Open a file, or what has taken its place meanwhile. OSError when neither can be.

    Only a plain file can be read from anywhere but its beginning.
    """
    try:
        raw = open(source.path, "rb", buffering=0)  # noqa: SIM115 - closed below, with what unpacks it
    except FileNotFoundError:
        other = twin(source)
        if other is None:
            raise
        source, raw = other, open(other.path, "rb", buffering=0)  # noqa: SIM115
    with raw:
        if source.packing == "zst":
            yield _Zstd(raw)
        elif source.packing == "gz":
            yield _Gzip(raw)
        else:
            yield _Plain(raw, start, source.size)


def chunks(raw: Raw, offset: int = 0) -> Iterator[Chunk]:
    """Yield the whole lines from here on. OSError when the file cannot be read or unpacked."""
    buffer, filled, is_skipping = bytearray(CHUNK_BYTES), 0, False
    while True:
        if filled == len(buffer):
            if not buffer.startswith(RECORD_START):
                # No record: not kept, or a file of NULs would be held in memory whole.
                offset, filled, is_skipping = offset + filled, 0, True
            else:
                buffer.extend(bytes(len(buffer)))
        with memoryview(buffer) as view, view[filled:] as room:
            count = raw.readinto(room) or 0
        if not count:
            return
        end = buffer.rfind(b"\n", filled, filled + count) + 1
        filled += count
        if is_skipping and end:
            # The end of a line that is no record is left in place, where it is counted as foreign.
            is_skipping = False
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
    def __init__(self, raw: io.FileIO, start: int, size: int) -> None:
        super().__init__(raw)
        raw.seek(start)
        self._left = max(0, size - start)

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._raw.readinto(buffer[: self._left] if self._left < len(buffer) else buffer) or 0
        self._left -= count
        return count


class _Gzip(_File):
    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        if not os.fstat(raw.fileno()).st_size:
            raise DamagedFile("a packed file is never empty")
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
        if not os.fstat(raw.fileno()).st_size:
            raise DamagedFile("a packed file is never empty")

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
