"""The life of a writer process: boot, work, exit code."""

from __future__ import annotations

import os
import signal
import traceback
from typing import TYPE_CHECKING

from pipeline import launch
from pipeline.errors import PipelineError
from pipeline.host.locks import RecordLock
from pipeline.paths import create_runtime
from pipeline.settings import Settings
from workers.journal import Journal
from workers.policy import EXIT_BOOT_FAILED, EXIT_DONE, WRITER_SIGNALS
from workers.writer import Writer

if TYPE_CHECKING:
    from pipeline.paths import Places


def main(places: Places, *, is_service: bool, cause: str, restarts: int) -> int:
    """
    Run a writer until it is done.

    Whatever goes wrong before it works is a boot failure, and not a crash.
    """
    os.chdir("/")
    journal = Journal(places.workers_log, "writer")
    journal.take_over()
    try:
        lock = _open_lock(places)
        if lock is None:
            return EXIT_DONE  # another supervisor's writer runs; ours is not needed
        settings = _settings(places)
        writer = Writer(places, settings, journal, is_service=is_service)
        _install_signals(writer)
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
    return found.settings if found else Settings()


def _open_lock(places: Places) -> RecordLock | None:
    """Take the lock that says a writer runs here; None when another one has it."""
    create_runtime(places)
    lock = RecordLock(places.runtime("writer.lock"))
    return lock if lock.try_acquire() else None


def _install_signals(writer: Writer) -> None:
    """Signals only leave a note; the loop acts."""

    def stop(number: int, _frame: object) -> None:
        writer.stop_signal = number

    def sync(_number: int, _frame: object) -> None:
        writer.wants_sync = True

    def reopen(_number: int, _frame: object) -> None:
        writer.wants_reopen = writer.wants_sync = True

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, sync)
    signal.signal(signal.SIGHUP, reopen)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WRITER_SIGNALS)
