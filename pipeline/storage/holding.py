"""
Who may change a day file: everybody who appends to it, or one alone who packs it or lets it leave.

It is a flock on the file itself, so it ends with its holder, however that ends. Who appends has it shared as
long as the file is open, and looks behind that whether the file is still what its name leads to. Who gets it
alone knows that nobody has the file open to append, and that whoever comes meanwhile goes to another part.

Invariants                                                                  integration/test_packed_days.py
    B1  Nobody appends to a file that is being packed, or that a packed copy has taken the place of.
    B2  Nobody gets a file alone while somebody has it open to append.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from pipeline.host import files

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


def share(fd: int) -> bool:
    """Say that an open file is appended to; False where somebody has it alone."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks, where nobody gets a file alone either
    return True


class Held:
    """A file that nobody appends to while this is open."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    def is_at_its_name(self) -> bool:
        """Whether its name still leads to it."""
        return files.same_file(self.fd, self.path)

    def close(self) -> None:
        """Let others have it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path) -> Held | None:
    """Return a file that is ours alone, None while somebody appends to it. OSError when it does not open."""
    fd = _open(path)
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = Held(path, fd)
        if held.is_at_its_name():
            return held
    os.close(fd)
    return None


def _open(path: Path) -> int:
    """Open a file to write where that may be: over NFS, only such a one is had alone."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)
    except PermissionError:
        return os.open(path, os.O_RDONLY | flags)
