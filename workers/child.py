"""
The life of a writer process: boot, work, exit code.

The seat comes first, before anything that the log directory's volume could hold up: a writer that gets stuck
there is then seen by its successor, which is a stand-in (workers/writer.py) until it is gone.
"""

from __future__ import annotations

import os
import signal
import traceback
from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.errors import PipelineError
from pipeline.host import clock
from pipeline.host.seats import Seat
from pipeline.paths import create_runtime
from pipeline.settings import Settings
from workers.journal import Journal
from workers.policy import EXIT_BOOT_FAILED, EXIT_DONE, WRITER_SIGNALS
from workers.stand_in import StandIn
from workers.writer import Writer

if TYPE_CHECKING:
    from pipeline.paths import Places

_DYING_SEC: Final = 0.5
_POLL_SEC: Final = 0.02
_KEPT_LOG: Final = "workers.log"


def main(places: Places, *, is_service: bool, cause: str, restarts: int, hangs: int) -> int:
    """
    Run a writer until it is done.

    Whatever goes wrong before it works is a boot failure, and not a crash.
    """
    os.chdir("/")
    try:
        create_runtime(places)
        seat = Seat(places.runtime("writer.lock"))
        if not seat.try_acquire():
            return EXIT_DONE  # another supervisor's writer runs; ours is not needed
    except (OSError, PipelineError):
        _journal(places).note("cannot start:\n" + traceback.format_exc().rstrip())
        return EXIT_BOOT_FAILED
    is_stand_in = not _is_alone(seat)
    journal = _journal(places, is_stand_in=is_stand_in)
    try:
        writer = Writer(
            places,
            _settings(places),
            journal,
            is_service=is_service,
            stand_in=StandIn(seat.is_alone, hangs) if is_stand_in else None,
        )
        _install_signals(writer)
        if not writer.acquire_append_lock():
            return EXIT_DONE  # as above, but that its seat was removed
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


def _is_alone(seat: Seat) -> bool:
    """Whether no killed writer is left; one that is only about to end is waited for."""
    patience = clock.Deadline(_DYING_SEC)
    while not seat.is_alone():
        if patience.has_passed:
            return False
        clock.sleep(_POLL_SEC)
    return True


def _journal(places: Places, *, is_stand_in: bool = False) -> Journal:
    """Return the journal; a stand-in's is in memory until somebody can reach the other one."""
    kept = places.runtime(_KEPT_LOG)
    journal = Journal(places, "writer", kept if is_stand_in else None)
    journal.take_over()
    if not is_stand_in:
        journal.note_file(kept)
    return journal


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
