"""
The fallback stores of pipelines that are gone: an ended container, an earlier boot, another fallback_dir.

They are replayed by whoever appends here, into parts of its own, once its own store is empty. A store whose
pipeline lives after all loses nothing by that: rows leave it by a transaction, and its lock keeps a second
replay out. An emptied store stays: it holds positions of lanes that may still be found.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.delivery.replay import Replay
from pipeline.errors import FallbackBusy
from pipeline.host import clock
from pipeline.storage import fallback_places, fallback_rows
from pipeline.storage.fallback import Fallback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.manifests import Manifests

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
        """Return the other stores that hold records."""
        found = fallback_places.stores(self._places, self._settings.fallback_dir)
        others = [path for path in found if path != self._own.resolve()]
        if not others:
            return []
        from pipeline.storage import fallback_reader  # only who has other stores pays for a look into them

        summaries = {path: fallback_reader.summary(path) for path in others}
        return [path for path, summary in summaries.items() if summary is not None and summary.rows]

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

    def step(self, bytes_max: int, instance: str, manifests: Manifests) -> int:
        """Replay one piece of one of them; how many records it had. OSError, FallbackError."""
        self._open = self._open or self._next(instance, manifests)
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

    def _next(self, instance: str, manifests: Manifests) -> tuple[Fallback, Replay] | None:
        if clock.monotonic() >= self._look_at:
            self._look_at = clock.monotonic() + _LOOK_SEC
            self._waiting = self.paths()
        if not self._waiting:
            return None
        store = self._store(self._waiting.pop())
        run = Replay(store, self._places, instance, self._settings, beat=self._beat, manifests=manifests)
        return store, run

    def _store(self, path: Path) -> Fallback:
        instance = fallback_places.instance_of(path)
        return Fallback.of(self._places, self._settings, path, instance, beat=self._beat)
