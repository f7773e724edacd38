"""What the supervisor sees, made into health, from processes and memory only: the disk has its own thread."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from pipeline.health import snapshot
from pipeline.health.snapshot import Facts, WorkerView
from pipeline.host import clock, files, processes
from pipeline.queue import depth, usage
from workers.policy import EXIT_BOOT_FAILED

if TYPE_CHECKING:
    from workers.supervisor import Supervisor

_DISK_DEPTH_SEC: Final = 1.0


class Viewpoint:
    """Composes the health document on demand, in the threads that serve it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._places = supervisor.places
        self._disk_depth = depth.Depth()
        self._noting = threading.Lock()
        self._is_closed = False
        threading.Thread(target=self._measure_disk, name="disk-depth", daemon=True).start()

    def health(self) -> dict[str, Any]:
        """Return a fresh document."""
        mine = self._supervisor
        place_reason = usage.preferred_place(mine.settings.lanes, is_memory=self._places.is_memory)[1]
        return snapshot.compose(
            Facts(
                settings=mine.settings,
                writer=self._writer(),
                stuck=mine.stuck.views(),
                keepers=mine.keepers.views(),
                keeper_error=mine.keepers.error,
                supervisor=WorkerView(
                    "supervisor", os.getpid(), "running", rss_bytes=processes.resident_bytes()
                ),
                depth=depth.measure(self._places.lanes_dir).plus(self._disk_depth),
                said=files.read_json(self._places.runtime("writer.json")) or {},
                complaints=mine.rereading.complaints,
                needs_restart=mine.rereading.needs_restart,
                address=mine.endpoints.address,
                is_port_taken=mine.endpoints.is_port_taken,
                is_service=mine.is_service,
                place_reason=place_reason,
            )
        )

    def close(self) -> None:
        """Note nothing in the runtime directory any more: it is going to be removed."""
        with self._noting:
            self._is_closed = True

    def _writer(self) -> WorkerView:
        mine = self._supervisor
        pid = mine.writer_pid()
        return WorkerView(
            role="writer",
            pid=pid,
            state=self._writer_state(pid),
            heartbeat_age_sec=round(mine.heartbeat_age(), 3) if pid else 0.0,
            restarts=mine.history.restarts,
            rss_bytes=processes.resident_bytes(pid) if pid else 0,
            kernel_state=processes.state_letter(pid) if pid else "",
            waits_in=processes.waits_in(pid) if pid else "",
            crashed_age_sec=None if mine.crashed_at is None else clock.monotonic() - mine.crashed_at,
        )

    def _writer_state(self, pid: int) -> str:
        if pid:
            return "stopped" if processes.state_letter(pid) in ("T", "t") else "running"
        return "boot_failed" if self._supervisor.last_exit == EXIT_BOOT_FAILED else "down"

    def _measure_disk(self) -> None:
        """Measure for ever: the disk may hang, and what was measured last is then the best there is."""
        noted = -1
        while True:
            self._disk_depth = depth.measure(self._places.disk_lanes_dir)
            used = usage.used_bytes(self._places.disk_lanes_dir)
            with self._noting:
                if used != noted and not self._is_closed:
                    usage.note_disk_bytes(self._places, used)
            noted = used
            clock.sleep(_DISK_DEPTH_SEC)
