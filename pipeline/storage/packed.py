"""
The bytes that packed files stand for, for recovery and replay; readers and verify have their own opener.

What is damaged ends there: of a plain file, too, what can be read counts.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a `.zst` or `.gz` file; OSError when it cannot be opened. Read it with `read`."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            yield cast("BinaryIO", gzip.GzipFile(fileobj=raw))
        else:
            import zstandard  # 3 ms and 2 MiB that only a writer pays for who finds a packed file

            yield cast("BinaryIO", zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))


def read(file: BinaryIO, size: int) -> bytes:
    """Return the next bytes, up to `size`; none at the end, or where the file is damaged. OSError."""
    import zstandard

    try:
        return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError):
        return b""
