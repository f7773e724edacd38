"""Workers that are started again by those who emit, when nobody is left who would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.errors import PipelineError
from pipeline.host import clock, handlers
from pipeline.paths import create_runtime
from pipeline.settings import Reading

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings

_PROMPT_LAUNCHES: Final = 10
_LAUNCH_BACKOFF_MAX_SEC: Final = 60.0


class Relauncher:
    """Looks, when asked, whether anybody writes, and starts the workers when both are dead."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self._places = places
        self._settings = settings
        self._misses = 0
        self._not_before = 0.0

    def look(self) -> None:
        """Look once; called at most once a second, out of emit(), and 20 µs while all is well."""
        if launch.supervisor_pid(self._places) is not None or launch.writer_pid(self._places) is not None:
            self._misses = 0
            return
        self._misses += 1
        is_removed = not self._places.runtime("supervisor.lock").exists()
        if is_removed and self._misses == 1 and self._places.log_dir.is_dir():
            return  # somebody removed the directory: the supervisor makes it again, if it lives
        if launch.is_held_back(self._places) or clock.monotonic() < self._not_before:
            return
        # At once for the first few: records are promised in the files within 2 s. What fails for longer is
        # not hurried.
        backoff = 2.0 ** (self._misses - _PROMPT_LAUNCHES) if self._misses > _PROMPT_LAUNCHES else 0.0
        self._not_before = clock.monotonic() + min(_LAUNCH_BACKOFF_MAX_SEC, backoff)
        try:
            create_runtime(self._places)
            if launch.published_settings(self._places) is None:
                launch.publish_settings(self._places, Reading(self._settings))
            launch.start_supervisor(self._places, self._settings)
        except (OSError, PipelineError) as error:
            handlers.let_through(error)
            return  # the queue holds; the next look tries again
