"""The life of a writer process: boot, work, exit code."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from pipeline import launch
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from workers import writer as writing
from workers.policy import EXIT_BOOT_FAILED, EXIT_DONE

if TYPE_CHECKING:
    from pipeline.paths import Places


def main(places: Places, *, is_service: bool, cause: str, restarts: int) -> int:
    """
    Run a writer until it is done.

    Whatever goes wrong before it works is a boot failure, and not a crash.
    """
    os.chdir("/")
    journal = writing.journal_for(places)
    journal.take_over()
    try:
        lock = writing.open_lock(places)
        if lock is None:
            return EXIT_DONE  # another supervisor's writer runs; ours is not needed
        settings = _settings(places)
        writer = writing.Writer(places, settings, journal, is_service=is_service)
        writing.install_signals(writer)
        writer.acquire_append_lock()
        writer.recover(cause, restarts)
    except (OSError, PipelineError, ValueError):
        journal.note("cannot start:\n" + traceback.format_exc().rstrip())
        return EXIT_BOOT_FAILED
    code = writer.run()
    journal.note(f"ends with exit code {code}")
    return code


def _settings(places: Places) -> Settings:
    found = launch.published_settings(places)
    return found[0] if found else Settings()
