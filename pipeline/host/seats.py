"""
A seat: the right to be the one process of a role, for as long as it lives.

A record lock would do, but for one case. A process that hangs in the kernel outlives its SIGKILL for as long
as the disk wants, and keeps its locks. It runs no instruction of its own any more (it is *condemned*,
`processes.is_condemned`), so another may have its role; only what it was in the middle of may yet happen, at
any moment. So the lock file has several places, byte 0, 1, 2 …, and who comes takes the first one such that
every other place is free or held by a condemned process. Whoever holds a place behind such a one knows that
from `is_alone`, and keeps off whatever the condemned one may be stuck in.

Invariants
    S1  At most one process that is not condemned has a seat. Who comes takes a place first, and looks at all
        others then: of two who come at once, the one that took later sees the other, and lets go. Both may.
        A place that becomes free is no exception: who takes it sees all who sit behind it.
                                                                        integration/test_seats.py
    S2  A condemned process counts until the kernel has closed its files, which is behind its last system
        call: that is when its lock goes.                               the same
    S3  A process in another pid namespace cannot be looked at and is never taken for condemned.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pipeline.host import locks, processes
from pipeline.host.locks import RecordLock

if TYPE_CHECKING:
    from pathlib import Path

_PLACES: Final = 16
"""More than there are ever condemned ones: the supervisor starts no writer behind three."""


class Seat:
    """One process's try to have the seat at `path`, which is opened once per process."""

    def __init__(self, path: Path) -> None:
        self._lock = RecordLock(path)
        self._place = -1

    def try_acquire(self) -> bool:
        """Take the seat unless another process has it that is not condemned."""
        for place in range(_PLACES):
            if self._lock.try_acquire(place):
                self._place = place
                if all(self._is_free(other) for other in range(_PLACES)):
                    return True
                break
            if not self._is_free(place):
                return False
        self._give_up()
        return False

    def is_alone(self) -> bool:
        """Whether no condemned process is left."""
        return all(locks.holder_of(self._lock.fd, place) is None for place in range(_PLACES))

    def is_current(self) -> bool:
        """Whether the path still leads to the file that the seat is in."""
        return self._lock.is_current()

    def close(self) -> None:
        """Give the seat up."""
        self._lock.close()

    def _is_free(self, place: int) -> bool:
        pid = locks.holder_of(self._lock.fd, place)  # never ourselves
        return pid is None or processes.is_condemned(pid)

    def _give_up(self) -> None:
        if self._place >= 0:
            self._lock.release(self._place)
            self._place = -1


def holder(path: Path) -> int | None:
    """
    Return the pid of who has the seat, None when nobody does; 0 or less in another pid namespace.

    Never to be asked by the process that may have it.
    """
    pid = locks.holder(path)  # of any place: one question, as emit() asks this
    if pid is None or not processes.is_condemned(pid):
        return pid
    return next((pid for pid in _holders(path) if not processes.is_condemned(pid)), None)


def condemned(path: Path) -> list[int]:
    """Return the processes that had the seat, were killed, and are still there; not for who may have it."""
    return [pid for pid in _holders(path) if processes.is_condemned(pid)]


def has_lost(pid: int, path: Path) -> bool:
    """Whether a process has a seat file open that was removed from this path: it had the seat there."""
    gone = f"{path} (deleted)"
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")] if pid else []
    except OSError:
        return False  # it ends, or is not ours
    return gone in links


def _holders(path: Path) -> list[int]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        found = (locks.holder_of(fd, place) for place in range(_PLACES))
        return list(dict.fromkeys(pid for pid in found if pid is not None))
    finally:
        os.close(fd)
