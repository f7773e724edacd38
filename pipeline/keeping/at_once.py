"""
Cleaning up now, by a command or a call: what the keeper does daily, by its limits or by tighter ones.

One at a time works in a log directory, whoever that is: a keeper that is at work is waited for. A running
writer is asked for what only it may do; where none runs, that is done with the append lock.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import AlreadyRunningError, PipelineError, SettingsError
from pipeline.host import clock
from pipeline.keeping import belief, from_settings
from pipeline.keeping.cleaning import PACKED, UNPACKED_COPY, Cleaner
from pipeline.keeping.plan import Leave
from pipeline.limits import MIB
from pipeline.settings.table import BY_NAME
from pipeline.storage.fence import keeper_lock_of
from pipeline.storage.grip import Grip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.keeping.cleaning import Done
    from pipeline.keeping.plan import Limits, Step
    from pipeline.paths import Places
    from pipeline.settings import Settings

PATIENCE_SEC: Final = 600.0
_POLL_SEC: Final = 0.1
_threads = threading.Lock()
"""A record lock keeps out other processes only."""


@dataclass
class Outcome:
    """
    What was done, or would be.

    `document()` is a stable contract: fields are added, never renamed or removed.

        dry_run      whether nothing was changed
        log_dir      the directory
        files        one object for each file: file, action (packed, deleted, moved, given to the command),
                     reason (age, max_files, size, min_free), bytes and bytes_after (on the disk; of a dry run
                     what packing may bring); and trouble, is_fault for one that stayed as it was
        packed, expired, stayed   how many
        freed_bytes  what they took less
        clock_ahead_sec   how far the clock is ahead of what the writer believes, 0 nearly always
    """

    log_dir: str
    dry_run: bool = False
    done: list[Done] = field(default_factory=list)
    foreseen: list[Step] = field(default_factory=list)
    verb: str = ""
    """What becomes of files that leave."""
    clock_ahead_sec: int = 0

    @property
    def troubles(self) -> list[Done]:
        """Those that stayed as they were."""
        return [one for one in self.done if one.trouble]

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        rows = [one.document() for one in self.done] + [_foreseen(step, self.verb) for step in self.foreseen]
        good = [row for row in rows if "trouble" not in row]
        packed = sum(row["action"] in (PACKED, UNPACKED_COPY) for row in good)
        return {
            "dry_run": self.dry_run,
            "log_dir": self.log_dir,
            "packed": packed,
            "expired": len(good) - packed,
            "stayed": len(rows) - len(good),
            "freed_bytes": sum(row["bytes"] - row["bytes_after"] for row in good),
            "clock_ahead_sec": self.clock_ahead_sec,
            "files": rows,
        }


def clean(
    places: Places,
    settings: Settings,
    retention: str | float | None = None,
    max_size_mb: str | float | None = None,
    *,
    dry_run: bool = False,
    trusts_clock: bool = True,
    on_done: Callable[[Done], None] = lambda _: None,
    beat: Callable[[], None] = lambda: None,
) -> Outcome:
    """
    Keep the limits of the settings, or these, now.

    `retention` is a time such as `7d` or a number of days, `max_size_mb` a size such as `1GB` or a number of
    MiB. `on_done` hears of each file, `beat` is called while it takes long. SettingsError for a limit that is
    none; OSError when nobody can look; AlreadyRunningError when a keeper is at work for too long. A clock
    that has leapt is believed, as who asks sees what day it is; not so without `trusts_clock`.
    """
    outcome = Outcome(str(places.log_dir), dry_run, verb=from_settings.way_of(settings).verb)
    limits, grip = _limits(places, settings, retention, max_size_mb), Grip(places)
    ahead_sec = belief.ahead_sec(places)
    outcome.clock_ahead_sec = round(ahead_sec)
    if not trusts_clock:
        limits = limits.stretched(ahead_sec)
    cleaner = Cleaner(places, settings, limits=limits, grip=grip, beat=beat)
    if not places.log_dir.is_dir():
        raise PipelineError("there is no log directory", where=str(places.log_dir))
    if dry_run:
        outcome.foreseen = cleaner.foresee()
        return outcome
    if not places.belongings_dir.is_dir():
        return outcome  # no pipeline has ever written here
    grip.check()
    with _alone(grip.places, beat):
        for done in cleaner.run():
            outcome.done.append(done)
            on_done(done)
    return outcome


def _limits(
    places: Places, settings: Settings, retention: str | float | None, max_size_mb: str | float | None
) -> Limits:
    limits = from_settings.limits_of(settings, places.log_dir)
    if retention is not None:
        days = _checked("retention_days", retention, "retention")
        limits = replace(limits, retention_sec=days * from_settings.DAY_SEC)
    if max_size_mb is not None:
        mebibytes = _checked("max_total_size_mb", max_size_mb, "max_size_mb")
        limits = replace(limits, max_total_bytes=int(mebibytes * MIB))
    return limits


def _checked(setting: str, value: str | float, name: str) -> float:
    try:
        return float(BY_NAME[setting].check(value))
    except ValueError as error:
        raise SettingsError(f"{value!r} is not {error}", where=name) from None


@contextmanager
def _alone(places: Places, beat: Callable[[], None]) -> Iterator[None]:
    """Hold the keeper lock; whoever has it is waited for."""
    give_up_at = clock.monotonic() + PATIENCE_SEC
    with _threads:
        lock = keeper_lock_of(places)
        try:
            while not lock.try_acquire():
                if clock.monotonic() >= give_up_at:
                    raise AlreadyRunningError(
                        "the keeper is at work",
                        where=str(places.log_dir),
                        remedy="Look at `keeper` in: pipeline status --json",
                    )
                beat()
                clock.sleep(_POLL_SEC)
            yield
        finally:
            lock.close()


def _foreseen(step: Step, verb: str) -> dict[str, Any]:
    kept = step.file
    action = verb if isinstance(step, Leave) else PACKED
    after = 0 if isinstance(step, Leave) else kept.size // 5
    return {
        "file": kept.name,
        "action": action,
        "reason": step.reason,
        "bytes": kept.size,
        "bytes_after": after,
    }
