"""
How `pipeline replay-fallback` empties one store: itself, or by way of the writer whose store it is.

Whoever appends to the files of an instance holds its append lock. The store of a writer that runs is left to
it: it is asked, and watched through what is still in the store. Every other store is replayed here, into
parts of its own instance, or of ours where that one's lock is taken. A writer that starts in the middle finds
the lock taken and waits; it is noticed between two pieces, and gets lock and store.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import launch
from pipeline.delivery.replay import Replay
from pipeline.errors import FallbackBusy, FallbackError, PipelineError
from pipeline.host import clock, files
from pipeline.limits import BATCH_BYTES_MAX
from pipeline.queue import bell
from pipeline.storage import fallback_places, fallback_reader, fence
from pipeline.storage.fallback import Fallback
from pipeline.storage.grip import Grip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.host.locks import RecordLock
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.fallback_reader import Extent, Scope

_POLL_SEC: Final = 0.1
_RING_SEC: Final = 5.0
"""Each ring has an open breaker probed, which doubles the time to the next probe."""
_STANDSTILL_SEC: Final = 30.0
"""A writer that replays nothing for so long is not waited for."""


class Outcome(NamedTuple):
    """What became of a store: records and rows that left it, what is left, and why it ended early."""

    records: int
    rows: int
    quarantined: int
    left: int
    trouble: str


class StoreRun:
    """One store, until it is empty, the limit is reached, or it does not go on."""

    def __init__(
        self,
        store: Path,
        places: Places,
        settings: Settings,
        scope: Scope,
        limit: int,
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._places = places
        self._settings = settings
        self._scope = scope
        self._limit = limit
        self._progress = progress
        self._before = fallback_reader.extent(store, scope)
        self._grip = Grip(places)
        self._moved_at = clock.monotonic()
        self._ring_at = 0.0
        self._left = self._before.records

    def run(self) -> Outcome:
        """Work or wait; OSError of the log directory ends it, and is what the outcome tells."""
        trouble = ""
        try:
            while not self._is_done() and not trouble:
                if self._is_writers():
                    self._ask_writer()
                    trouble = self._wait()
                elif not self._replay_here():
                    trouble = self._wait()
        except (OSError, FallbackError) as error:
            trouble = self._grip.named(str(error))
        finally:
            self._grip.close()
        now = self._extent()
        quarantined = now.quarantined - self._before.quarantined
        return Outcome(
            self._before.records - now.records,
            self._before.rows - now.rows,
            quarantined,
            now.records,
            trouble,
        )

    def _is_writers(self) -> bool:
        """Whether a writer runs, and the store is the one that it writes to."""
        if launch.writer_pid(self._places) is None:
            return False
        in_use = fallback_places.store_in_use(self._places)
        return in_use is None or in_use == self._store

    def _ask_writer(self) -> None:
        if clock.monotonic() >= self._ring_at:
            bell.ring(self._places, bell.REPLAY)
            self._ring_at = clock.monotonic() + _RING_SEC

    def _wait(self) -> str:
        """Give others a moment; says what is wrong once nothing has moved for long."""
        clock.sleep(_POLL_SEC)
        if clock.monotonic() - self._moved_at < _STANDSTILL_SEC:
            return ""
        said = files.read_json(self._places.runtime("writer.json")) or {}
        return str(said.get("append_error") or "nobody replays it, and its files are locked")

    def _is_done(self) -> bool:
        now = self._extent()
        if now.records != self._left:
            self._moved_at = clock.monotonic()
            self._progress(self._left - now.records)
            self._left = now.records
        done = self._before.records - now.records
        return now.rows == 0 or bool(self._limit and done >= self._limit)

    def _extent(self) -> Extent:
        try:
            return fallback_reader.extent(self._store, self._scope)
        except sqlite3.Error as error:
            raise FallbackError(
                "the fallback store cannot be read", where=str(self._store), cause=error
            ) from error

    def _replay_here(self) -> bool:
        """Replay until it is done or a writer wants the store; False when somebody else holds the locks."""
        lock, instance = self._append_lock()
        if lock is None:
            return False
        fallback = Fallback.of(
            self._places, self._settings, self._store, fallback_places.instance_of(self._store)
        )
        run = Replay(
            fallback,
            self._places,
            instance,
            self._settings,
            grip=self._grip,
            since=self._scope.since,
            limit=max(0, self._limit - (self._before.records - self._left)),
        )
        try:
            while not self._is_writers() and run.step(BATCH_BYTES_MAX) and not self._is_done():
                pass
        except FallbackBusy:
            return False
        finally:
            run.close()
            fallback.close()
            lock.close()
        return True

    def _append_lock(self) -> tuple[RecordLock | None, str]:
        """Take the lock of the store's instance, else of ours; which one it is."""
        self._grip.check()
        places = self._grip.places
        if not places.log_dir.is_dir():
            raise PipelineError("there is no log directory", where=str(self._places.log_dir))
        places.belongings_dir.mkdir(mode=0o700, exist_ok=True)
        for instance in (fallback_places.instance_of(self._store), self._places.instance):
            lock = fence.lock_of(places, instance)
            if lock.try_acquire():
                return lock, instance
            lock.close()
        return None, ""


def scope_of(store: Path, since: str) -> Scope | None:
    """Return what is to be replayed of a store, None when there is nothing or it cannot be read."""
    with suppress(sqlite3.Error):
        scope = fallback_reader.everything(store, since)
        if fallback_reader.extent(store, scope).rows:
            return scope
    return None
