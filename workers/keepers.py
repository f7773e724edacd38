"""
The supervisor's care for the keeper: started when it is wanted, ended with the pipeline.

The wish stands in the runtime directory until a keeper has seen to it, so it outlives a supervisor that is
killed. A keeper that hangs (its disk does) hinders nobody and is left alone; it is another thing that the
supervisor does not wait for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.health.snapshot import WorkerView
from pipeline.host import clock, failpoint, files, processes
from workers.policy import EXIT_DONE, EXIT_REPLACE, History, cause_of

if TYPE_CHECKING:
    from pipeline.paths import Places
    from workers.journal import Journal

_AGAIN_SEC: Final = 1.0
"""Between a keeper that was kept from its work, and the next."""
_STOP_SEC: Final = 2.0
"""A keeper that is told to end does so within a step."""

Wish = tuple[int, int]
"""Inode and time of the file that says so: another one is another wish."""


class Keepers:
    """One keeper at a time; `mind` is called in every pass of the supervisor's loop."""

    def __init__(self, places: Places, journal: Journal) -> None:
        self.error = ""
        """How the last keeper ended, when that was no way to end."""
        self._places = places
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self._history = History()
        self._wish: Wish | None = None
        self._started_at = self._start_at = 0.0
        self._stop_by = 0.0

    def mind(self) -> None:
        """Take note of a keeper that has ended; start one when it is wanted."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._note_end(code)
        if self._process is None and not self._stop_by and clock.monotonic() >= self._start_at:
            wish = self._wished()
            if wish is not None and not self._history.has_given_up:
                self._start(wish)

    def stop(self) -> None:
        """Have the keeper end, and start none any more."""
        self._stop_by = self._stop_by or clock.monotonic() + _STOP_SEC
        self._signal(signal.SIGTERM)

    def is_gone(self) -> bool:
        """Whether no keeper works; one that was told to end is waited for so long and not longer."""
        if self._process is None or self._process.poll() is not None:
            return True
        if not self._stop_by or clock.monotonic() < self._stop_by:
            return False
        self._signal(signal.SIGKILL)
        return True

    def views(self) -> list[WorkerView]:
        """Return the keeper as health shows it, while there is one."""
        process = self._process
        if process is None:
            return []
        return [
            WorkerView(
                role="keeper",
                pid=process.pid,
                state="running",
                restarts=self._history.failures,
                rss_bytes=processes.resident_bytes(process.pid),
                kernel_state=processes.state_letter(process.pid),
                waits_in=processes.waits_in(process.pid),
            )
        ]

    def _start(self, wish: Wish) -> None:
        self._wish = wish
        self._started_at = clock.monotonic()
        # A session of its own: niceness counts within one, where the kernel shares by session.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers", "keeper", *launch.place_arguments(self._places)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        failpoint.reach("supervisor.keeper_started")

    def _note_end(self, code: int) -> None:
        self._process = None
        ran = clock.monotonic() - self._started_at
        if code in (EXIT_REPLACE, -signal.SIGTERM):  # there is work left
            self._start_at = clock.monotonic() + _AGAIN_SEC
            return
        if code == EXIT_DONE:
            self._history, self.error = History(), ""
            if self._wished() == self._wish:
                files.remove(self._places.runtime(launch.KEEPER_WANTED))
            return
        self._history = self._history.after(code, ran)
        self._start_at = clock.monotonic() + max(self._history.delay_sec, _AGAIN_SEC)
        self.error = f"ended after {ran:.1f} s: {cause_of(code)}"
        self._journal.note(f"the keeper {self.error}")

    def _wished(self) -> Wish | None:
        try:
            found = os.stat(self._places.runtime(launch.KEEPER_WANTED))
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
