"""
The fallback stores of pipelines that are gone: an ended container, an earlier boot, another fallback_dir.

They are replayed by whoever appends here, into parts of its own, once its own store is empty. A store whose
pipeline lives after all loses nothing by that: rows leave it by a transaction, and its lock keeps a second
replay out. An emptied store stays: it holds positions of lanes that may still be found.

What stands behind a cut mark of theirs is in their rows or still in their lanes. So the files are cut before
the lanes are adopted, and before anybody appends; not by us where another process holds their append lock.

Invariant
    G1  Nobody asks or continues a file, or replays a row, before the marks of stores that nobody owns are
        worked off.                                         integration/test_stores_of_gone_pipelines.py
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.delivery.replay import Replay
from pipeline.errors import FallbackBusy, FallbackError
from pipeline.host import clock, failpoint
from pipeline.storage import fallback_places, fallback_rows, fence
from pipeline.storage.fallback import Fallback
from pipeline.storage.manifest import Chain, instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.days import Days

_LOOK_SEC: Final = 60.0


class Leftovers:
    """Every store of a log directory but `own`."""

    def __init__(
        self,
        places: Places,
        settings: Settings,
        own: Path,
        *,
        beat: Callable[[], None],
        emit: Callable[..., int],
    ) -> None:
        self._places = places
        self._settings = settings
        self._own = own
        self._beat = beat
        self._emit = emit
        self._look_at = 0.0
        self._waiting: list[Path] = []
        self._open: tuple[Fallback, Replay] | None = None
        self._ended: Counter[str] = Counter()

    @property
    def done(self) -> Counter[str]:
        """What was replayed of them, as `Replay.done`."""
        return self._ended + (self._open[1].done if self._open else Counter())

    def paths(self) -> list[Path]:
        """Return the other stores that hold records or cut marks."""
        found = fallback_places.stores(self._places, self._settings.fallback_dir)
        others = [path for path in found if path != self._own.resolve()]
        if not others:
            return []
        from pipeline.storage import fallback_reader  # only who has other stores pays for a look into them

        return [path for path in others if fallback_reader.is_needed(path)]

    def held(self, producers: Iterable[str]) -> dict[str, set[int]]:
        """Return the numbers that they hold of these producers. FallbackError."""
        wanted = set(producers)
        found: dict[str, set[int]] = {producer: set() for producer in wanted}
        for path in self.paths():
            store = self._store(path)
            try:
                for producer, numbers in store.held(wanted).items():
                    found[producer] |= numbers
            finally:
                store.close()
        return found

    def cut_marked(self, days: Days) -> None:
        """Shorten the files that they have marks of. OSError when one of them, or a store, refuses."""
        for path in self.paths():
            store = self._store(path)
            try:
                self._cut(store, days)
            except FallbackError as error:
                raise OSError(errno.EIO, str(error), str(path)) from error
            finally:
                store.close()

    def step(self, bytes_max: int, days: Days) -> int:
        """Replay one piece of one of them; how many records it had. OSError, FallbackError."""
        if self._open is not None and not self._open[1].is_of(days.manifests):
            self.close()
        self._open = self._open or self._next(days)
        if self._open is None:
            return 0
        store, run = self._open
        try:
            count = run.step(bytes_max)
        except FallbackBusy:
            count = 0
        except BaseException:
            self.close()
            raise
        if not count:
            fallback_rows.tell(store, self._emit)
            self.close()
        return count

    def close(self) -> None:
        """Close the store that is being replayed."""
        if self._open is not None:
            store, run = self._open
            self._open = None
            self._ended += run.done
            run.close()
            store.close()

    def _next(self, days: Days) -> tuple[Fallback, Replay] | None:
        if clock.monotonic() >= self._look_at:
            self._look_at = clock.monotonic() + _LOOK_SEC
            self._waiting = self.paths()
        if not self._waiting:
            return None
        store = self._store(self._waiting.pop())
        try:
            self._cut(store, days)
        except BaseException:
            store.close()
            raise
        run = Replay(
            store,
            self._places,
            days.instance,
            self._settings,
            beat=self._beat,
            grip=days.grip,
            manifests=days.manifests,
        )
        return store, run

    def _cut(self, store: Fallback, days: Days) -> None:
        """
        Work off the marks of a store, but for files that are somebody's now.

        A manifest that reaches further says that somebody went on there, and synced it, before the store
        could be seen: then the mark has come too late.
        """
        days.grip.check()
        places = days.grip.places
        for mark in store.cut_marks():
            if days.grip.is_elsewhere(mark.volume):
                continue
            owner = instance_of(mark.file)
            lock = None if owner == days.instance else fence.lock_of(places, owner)
            try:
                if lock is not None and not lock.try_acquire():
                    continue  # whoever appends to that file has its own way with it
                if Chain(places.belongings_dir, owner).covered(mark.file) <= mark.size:
                    days.cut(*mark, keeps=True)
                failpoint.reach("writer.leftover.cut")
                store.remove_cut_mark(mark)
            finally:
                if lock is not None:
                    lock.close()

    def _store(self, path: Path) -> Fallback:
        instance = fallback_places.instance_of(path)
        return Fallback.of(self._places, self._settings, path, instance, beat=self._beat)
