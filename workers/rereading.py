"""
The settings read again, on SIGUSR2, without the supervisor waiting for a file that may hang.

Invariants
    T1  A file that hangs stops nothing: it is read on a thread, and its settings come when it does.
                                            integration/test_reloading.py
    T2  Settings are published before the writer is asked to make way, so that whoever dies in between, the
        next writer has the old ones or the new, whole.
                                            crash/points.py, supervisor.settings_published
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipeline import launch
from pipeline.host import clock, failpoint, files
from pipeline.settings import Reading, Settings
from pipeline.settings.reloading import Reloaded, reload

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.paths import Places


class Rereading:
    """Reads when asked, one at a time; who asks meanwhile gets a reading of their own afterwards."""

    def __init__(self, places: Places, wake: Callable[[], object]) -> None:
        self.in_force = launch.published_settings(places) or Reading(Settings())
        self.needs_restart: list[str] = []
        """Settings that have another value since, and need a new start of the pipeline."""
        self._refused: list[str] = []
        self._places = places
        self._wake = wake
        self._lock = threading.Lock()
        self._is_asked = False
        self._is_reading = False
        self._found: Reloaded | None = None

    @property
    def complaints(self) -> list[str]:
        """What could not be used of the settings, now and when they were read again."""
        return self.in_force.complaints + self._refused

    def begin(self) -> None:
        """Have the settings read again, soon."""
        with self._lock:
            self._is_asked = True
            if self._is_reading:
                return
            self._is_reading = True
        threading.Thread(target=self._work, name="settings", daemon=True).start()

    def take(self) -> Reloaded | None:
        """Put in force what was read since the last call, and return it; None when nothing was."""
        with self._lock:
            found, self._found = self._found, None
        if found is not None:
            self._refused = found.refused
            self.in_force = found.reading
            if not found.refused:
                self.needs_restart = found.for_pipeline
        return found

    def _work(self) -> None:
        while True:
            with self._lock:
                self._is_reading, self._is_asked = self._is_asked, False
                if not self._is_reading:
                    return
            # `pipeline reload` may have said, where they are published, to read another file from now on.
            found = reload(launch.published_settings(self._places) or self.in_force)
            if not found.refused:
                launch.publish_settings(self._places, found.reading)
                failpoint.reach("supervisor.settings_published")
            with self._lock:
                self._found = found
            self._wake()


def sentence(found: Reloaded) -> str:
    """Return what reading again came to, for the workers' log."""
    if found.refused:
        return "settings read again and refused, nothing is changed: " + "; ".join(found.refused)
    changed = ", ".join(found.changed) or "nothing"
    waiting = ", ".join(found.for_pipeline)
    return f"settings read again; changed: {changed}" + (f"; needs restart: {waiting}" if waiting else "")


def tell(places: Places, found: Reloaded) -> None:
    """Tell whoever asked, in the runtime directory, what it came to."""
    about = {
        "monotonic_ns": clock.monotonic_ns(),
        "changed": found.changed,
        "refused": found.refused,
        "needs_restart": found.for_pipeline,
        "needs_restart_of_applications": found.for_applications,
    }
    try:
        files.write_json(places.runtime(launch.RELOADED), about, is_only_writer=True)
    except OSError:
        return  # a full memory: who waits for it is told by the clock
