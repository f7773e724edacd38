"""The last resort for a record: one line on stderr, never waiting for whoever should read it."""

from __future__ import annotations

import os
import select
from typing import Final

_PIPE_ATOMIC_BYTES: Final = 4096


def write_line(line: bytes) -> bool:
    """Write a line if stderr takes it at once, of a long one the beginning; whether it did."""
    if len(line) > _PIPE_ATOMIC_BYTES:
        line = line[: _PIPE_ATOMIC_BYTES - 1] + b"\n"
    try:
        _, ready, _ = select.select([], [2], [], 0)
        return bool(ready) and os.write(2, line) > 0
    except (OSError, ValueError):
        return False
