"""
The keeper: packs files once their period is long over, lets the oldest leave, as the lowest of all, and ends.

It is started by the supervisor when somebody wants it. What it does is done in steps of some megabytes, and
ended between two of them: by SIGTERM, or because its supervisor is gone. It may be killed anywhere
(pipeline/keeping/packing.py). What came of it stands in `.pipeline/keeper.json`.

Invariants                                                                  integration/test_keeper.py
    E1  One keeper works in a log directory, whatever instances there are: who has the keeper lock.
    E2  It never outlives its supervisor by more than a step, nor hinders its end.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from pipeline import launch
from pipeline.keeping import report
from pipeline.keeping.cleaning import Cleaner
from pipeline.settings import Settings
from pipeline.storage.fence import keeper_lock_of
from pipeline.storage.grip import Grip
from workers.journal import Journal
from workers.policy import EXIT_CRASH, EXIT_DONE, EXIT_REPLACE

if TYPE_CHECKING:
    from pipeline.keeping.cleaning import Done
    from pipeline.paths import Places

_LOWEST: Final = 19
_FIRST_TO_GO: Final = 500
"""For the kernel out of memory: rather us than anybody who emits; 1000 is the highest."""


class Ended(BaseException):
    """Somebody wants the keeper to end: caught by nobody on the way, so that each undoes what it began."""


class Keeper:
    """One run."""

    def __init__(self, grip: Grip, settings: Settings, journal: Journal) -> None:
        self.grip = grip
        self.settings = settings
        self.journal = journal
        self.stop_signal = 0
        self._supervisor = os.getppid()
        self._report = report.Report(grip.places)

    def run(self) -> int:
        """Do what is due, and return the exit code."""
        try:
            cleaner = Cleaner(self.grip.places, self.settings, grip=self.grip, beat=self.beat)
            for done in cleaner.run():
                self._report.take(done)
                self.journal.note(self.grip.named(_sentence(done)))
            for _ in cleaner.finish():
                self.beat()
        except Ended:
            self._report.end("stopped")
            return EXIT_REPLACE
        except OSError as error:
            self.journal.note(self.grip.named(f"cannot work: {error}"))
            self._report.end("failed", self.grip.named(str(error)))
            return EXIT_DONE
        self._report.end("done")
        return EXIT_DONE

    def beat(self) -> None:
        """Go on, unless somebody wants us to end."""
        if self.stop_signal or os.getppid() != self._supervisor:
            raise Ended


def main(places: Places) -> int:
    """Keep the files of a log directory, unless somebody does."""
    os.chdir("/")
    journal = Journal(places, "keeper")
    journal.take_over()
    step_back()
    grip = Grip(places)
    try:
        grip.check()
        lock = keeper_lock_of(grip.places)
    except OSError as error:
        journal.note(f"cannot work: {error}")
        return EXIT_CRASH
    if not lock.try_acquire():
        return EXIT_REPLACE  # whoever has it may not know what we are wanted for
    found = launch.published_settings(places)
    keeper = Keeper(grip, found.settings if found else Settings(), journal)

    def stop(number: int, _frame: object) -> None:
        keeper.stop_signal = number

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return keeper.run()


def step_back() -> None:
    """Give way to everybody else: processor, disk, and memory."""
    with suppress(OSError):
        os.nice(_LOWEST)
    with suppress(OSError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
    # Where the kernel shares by session (sched(7), autogroup), niceness counts within a session only.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_LOWEST))


def _sentence(done: Done) -> str:
    if done.trouble:
        return f"{done.file} stays as it is: {done.trouble}"
    return f"{done.file} {done.action} ({done.reason}): {done.bytes:,} bytes, then {done.bytes_after:,}"
