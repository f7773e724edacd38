"""The writer's heartbeat, and the bell that wakes it: its two files in the runtime directory."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from pipeline.host import clock
from pipeline.queue import bell

if TYPE_CHECKING:
    from pipeline.paths import Places


class Pulse:
    """Stamped by the writer's own loop, never by another thread."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._open()
        self.beat()

    def beat(self) -> None:
        """Stamp the heartbeat."""
        os.pwrite(self._beat_fd, clock.monotonic_ns().to_bytes(8, "little"), 0)

    def wait(self, timeout_sec: float) -> bytes:
        """Wait for the bell; what was rung, or nothing."""
        try:
            ready = self._poll.poll(timeout_sec * 1000)
        except InterruptedError:
            return b""
        return bell.heard(self._bell) if ready else b""

    def renew(self) -> None:
        """Make both files again, after somebody removed the runtime directory."""
        os.close(self._beat_fd)
        os.close(self._bell)
        self._open()

    def _open(self) -> None:
        path = self._places.runtime("writer.beat")
        self._beat_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._bell = bell.hang_up(self._places)
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
