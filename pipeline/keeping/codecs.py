"""
How a file is packed: piece by piece, each readable without those before it.

A zstd file is a row of frames, and behind them a table of their sizes in a skippable frame, as the seekable
format has it (github.com/facebook/zstd, contrib/seekable_format): who knows of it can begin anywhere, and all
others pass over it. A gzip file is a row of members (RFC 1952); who unpacks it gets the pieces joined.
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ZSTD_LEVEL: Final = 3
GZIP_LEVEL: Final = 6
NONE: Final = "none"

_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_HEAD: Final = struct.Struct("<II")
"""Of a skippable frame: its magic number, the bytes that follow."""
_ROW: Final = struct.Struct("<II")
"""Of the table, one for each frame: its bytes packed, and unpacked."""
_FOOT: Final = struct.Struct("<IBI")
"""Number of frames, what the rows have beside the two sizes (0: nothing), magic number of the format."""

Size = tuple[int, int]
"""Of a piece: packed, unpacked."""


class Codec(NamedTuple):
    """One way to pack."""

    suffix: str
    piece: Callable[[bytes], bytes]
    """Packs one piece by itself."""
    end: Callable[[Sequence[Size]], bytes]
    """What follows the last piece."""


def codec_of(compression: str) -> Codec:
    """Return the codec of a value of the setting `compression` other than `none`."""
    if compression == "gzip":
        return Codec("gz", lambda data: gzip.compress(data, GZIP_LEVEL, mtime=0), lambda _sizes: b"")
    compressor = zstandard.ZstdCompressor(ZSTD_LEVEL, write_checksum=True, write_content_size=True)
    return Codec("zst", compressor.compress, seek_table)


def seek_table(sizes: Sequence[Size]) -> bytes:
    """Return the skippable frame that says where each frame begins."""
    rows = b"".join(_ROW.pack(*size) for size in sizes)
    return _HEAD.pack(_SKIPPABLE, len(rows) + _FOOT.size) + rows + _FOOT.pack(len(sizes), 0, _SEEKABLE)
