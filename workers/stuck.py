"""
Writers that were killed and are still there: stuck in the kernel, where only what they wait for can end them.

Who they are is read from the writer's seat, so a supervisor that comes later knows them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.health.snapshot import WorkerView
from pipeline.host import clock, processes

if TYPE_CHECKING:
    import subprocess

    from pipeline.paths import Places

STUCK_MAX: Final = 3
"""Behind so many no writer is started: whatever they were stuck in, the next one would be too."""
STUCK_SEC: Final = 1.0
"""Who is still there so long after its SIGKILL is stuck; until then it is only ending."""


class StuckWriters:
    """What a supervisor knows of them."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._since: dict[int, float] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    def look(self) -> None:
        """Look who is there, and take leave of our own children among them that have ended."""
        found = launch.stuck_writers(self._places)
        self._since = {pid: self._since.get(pid, clock.monotonic()) for pid in found}
        self._children = [child for child in self._children if child.poll() is None]

    def add(self, pid: int, child: subprocess.Popen[bytes] | None, age_sec: float) -> None:
        """Count a writer among them that gave its last sign of life so long ago."""
        self._since[pid] = clock.monotonic() - age_sec
        if child is not None:
            self._children.append(child)

    def __len__(self) -> int:
        return len(self._known())

    def views(self) -> list[WorkerView]:
        """Return them as health shows them."""
        return [self._view(pid, since) for pid, since in self._known().items()]

    def _known(self) -> dict[int, float]:
        now = clock.monotonic()
        return {pid: since for pid, since in self._since.copy().items() if now - since >= STUCK_SEC}

    def _view(self, pid: int, since: float) -> WorkerView:
        return WorkerView(
            role="writer",
            pid=pid,
            state="stuck",
            heartbeat_age_sec=round(clock.monotonic() - since, 3),
            rss_bytes=processes.resident_bytes(pid),
            kernel_state=processes.state_letter(pid),
            waits_in=processes.waits_in(pid),
        )
