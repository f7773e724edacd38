"""What is in day files, packed or not, as others than the library unpack it; nothing of that is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PACKED = (".zst", ".gz")


def content(path: Path) -> bytes:
    """Return what a packed or plain file holds."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        import gzip

        return gzip.decompress(data)
    if path.suffix == ".zst":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            return stream.read()
    return data


def one_form_each(paths: Iterable[Path]) -> list[Path]:
    """Return the files that count: without packed copies whose plain file is there, too."""
    found = {str(path): path for path in paths}
    return [
        path
        for name, path in sorted(found.items())
        if path.suffix not in _PACKED or name.removesuffix(path.suffix) not in found
    ]
