"""
The last numbers of producers whose lane is gone, as the register says them.

Read without the code that writes it, by its documented format: `PRODUCER LAST_NUMBER CRC32` on a line, the
sum as 8 hex digits. What is no such line says nothing; the highest number of a producer counts.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME: Final = re.compile(r"ended_producers(?:\.i[0-9a-f]{8})?", re.ASCII)
_LINE: Final = re.compile(rb"(([0-9A-Za-z_-]{1,64}) (\d{1,15})) ([0-9a-f]{8})")


def read_registers(state_dirs: Iterable[Path]) -> dict[str, int]:
    """Return the last numbers by producer, of all instances that keep their state in these directories."""
    found: dict[str, int] = {}
    for path in (path for place in state_dirs for path in _in(place)):
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            continue  # its producers are not proven then, and that is said
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is not None and zlib.crc32(match[1]) == int(match[4], 16):
                producer = match[2].decode()
                found[producer] = max(int(match[3]), found.get(producer, 0))
    return found


def _in(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if NAME.fullmatch(path.name))
    except OSError:
        return []
