"""
Where the frames of a zstd file begin, so that one can be unpacked without those before it.

Found by the headers of frames and blocks (RFC 8878, section 3.1.1), which name the length of what follows;
nothing is unpacked for it. A file is of use in this way when each frame says how long it is unpacked, as
those do that this library packs: a few MiB of whole lines each.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.query.reading import DamagedFile

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

FRAME_BYTES_MAX: Final = 32 << 20
"""A frame that is longer, unpacked, is read as a stream: it would be held in memory whole."""
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_HEADER_BYTES_MAX: Final = 18
_SKIPPABLE_HEADER: Final = 8
_BLOCK_HEADER: Final = 3
_RLE: Final = 1
_CHECKSUM_BYTES: Final = 4


class Frame(NamedTuple):
    """A frame: where it is in the file, and which bytes of the unpacked file it holds."""

    place: int
    packed: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        """Where it ends in the unpacked file."""
        return self.offset + self.length


def frames_of(raw: io.FileIO) -> list[Frame] | None:
    """Return the frames of a zstd file, None when they are too long or do not say how long they are."""
    import zstandard

    descriptor, size = raw.fileno(), os.fstat(raw.fileno()).st_size
    found: list[Frame] = []
    place = offset = 0
    while place < size:
        head = os.pread(descriptor, _HEADER_BYTES_MAX, place)
        if int.from_bytes(head[:4], "little") in _SKIPPABLE:
            place += _SKIPPABLE_HEADER + int.from_bytes(head[4:8], "little")
            continue
        try:
            about = zstandard.get_frame_parameters(head)
            header = zstandard.frame_header_size(head)
        except zstandard.ZstdError:
            return None
        if about.content_size > FRAME_BYTES_MAX:  # also where it is not said
            return None
        end = _end_of_blocks(descriptor, place + header, size)
        if end is None:
            return None
        end += _CHECKSUM_BYTES * about.has_checksum
        found.append(Frame(place, end - place, offset, about.content_size))
        place, offset = end, offset + about.content_size
    return found if place == size else None


def unpacked(raw: io.FileIO, frame: Frame) -> bytes:
    """Return the bytes of a frame. DamagedFile when it is not what its header says."""
    import zstandard

    packed = os.pread(raw.fileno(), frame.packed, frame.place)
    try:
        data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=FRAME_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise DamagedFile(str(error)) from error
    if len(data) != frame.length:
        raise DamagedFile("a zstd frame is not as long as it says")
    return data


class Frames:
    """Some frames that follow each other, as one stream of the unpacked bytes [start, end)."""

    def __init__(self, raw: io.FileIO, frames: Sequence[Frame], start: int, end: int) -> None:
        self._raw = raw
        self._frames = iter(frames)
        self._start = start
        self._end = end
        self._data = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as there is something; 0 at the end."""
        while not self._data:
            frame = next(self._frames, None)
            if frame is None:
                return 0
            data = memoryview(unpacked(self._raw, frame))
            self._data = data[max(0, self._start - frame.offset) : max(0, self._end - frame.offset)]
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def tell(self) -> int:
        """Return how far the file on the disk is read."""
        return self._raw.tell()


def _end_of_blocks(descriptor: int, start: int, size: int) -> int | None:
    """Return where the blocks of a frame end, None when the file ends before."""
    place = start
    while place + _BLOCK_HEADER <= size:
        header = int.from_bytes(os.pread(descriptor, _BLOCK_HEADER, place), "little")
        is_rle = header >> 1 & 3 == _RLE
        place += _BLOCK_HEADER + (1 if is_rle else header >> 3)
        if header & 1:
            return place
    return None
