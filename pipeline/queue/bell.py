"""
The bell: a FIFO in the runtime directory that wakes the writer.

The writer looks into the lanes on its own many times a second, so a lost ring costs milliseconds. It is
opened for each ring: a producer keeps no descriptor of the workers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.paths import Places

WAKE: Final = b"w"
SYNC: Final = b"s"
REPLAY: Final = b"r"


def ring(places: Places, what: bytes = WAKE) -> bool:
    """Wake the writer; whether there was one to hear it."""
    try:
        fd = os.open(places.runtime("bell"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        os.write(fd, what)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def hang_up(places: Places) -> int:
    """Create the bell and return the writer's descriptor of it, which is never at its end."""
    path = places.runtime("bell")
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def heard(fd: int) -> bytes:
    """Return and forget what was rung."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
