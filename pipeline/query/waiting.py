"""
What is on its way to a file: rows of fallback stores, and what lanes hold that is not written.

Looked at before the files are: whatever has left a lane by then is in a store or in a file, and whatever has
left a store is in a file. What is found in both places is given once (`Once`). Most directories have no
store, so what reads one is imported late: sqlite3 and the queue are 30 of 90 ms.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import PipelineError
from pipeline.paths import find_places
from pipeline.query.cuts import Cuts
from pipeline.storage import fallback_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report
    from pipeline.query.scan import Found
    from pipeline.query.stores_and_lanes import Store, Unwritten


class Once:
    """Passes a record that may be in two places once."""

    def __init__(self, extents: list[tuple[str, str, int, int]]) -> None:
        self._ranges: dict[str, tuple[int, int]] = {}
        for _, producer, first, last in extents:
            low, high = self._ranges.get(producer, (first, last))
            self._ranges[producer] = (min(low, first), max(high, last))
        self._seen: set[tuple[str, int]] = set()

    def __call__(self, answer: Iterator[Found]) -> Iterator[Found]:
        """Yield what comes for the first time."""
        if not self._ranges:
            return answer
        return (one for one in answer if self._is_first(one))

    def _is_first(self, one: Found) -> bool:
        producer, number = one.record.get("producer", ""), one.record.get("action_number", 0)
        low, high = self._ranges.get(producer, (1, 0))
        if not low <= number <= high:
            return True
        is_first = (producer, number) not in self._seen
        self._seen.add((producer, number))
        return is_first


class Look(NamedTuple):
    """What is known of stores and lanes at the beginning of a query."""

    stores: list[Store]
    cuts: Cuts
    unwritten: Unwritten | None
    extents: list[tuple[str, str, int, int]]
    """(period, producer, first, last) of what waits and was asked for."""

    def pieces(self, period: str, report: Report) -> Iterator[tuple[str, Callable[[], Iterator[Chunk]]]]:
        """Yield (name, what gives its lines) of each store and each producer that has some of a period."""
        for store in self.stores:
            yield str(store.path), partial(store.chunks, period, report)
        if self.unwritten is not None:
            for producer in self.unwritten.producers(period):
                yield f"lane {producer}", partial(self.unwritten.chunks, period, producer)

    def close(self) -> None:
        """Let go of everything."""
        for store in self.stores:
            store.close()
        if self.unwritten is not None:
            self.unwritten.close()


def look(log_dir: Path, report: Report, *, fallback: bool, queue: bool) -> Look:
    """Look at lanes if they are asked for, then at stores: always for cut marks, at rows if asked for."""
    unwritten = _unwritten(log_dir) if queue else None
    found = Look([], Cuts(log_dir), unwritten, list(unwritten.extents) if unwritten else [])
    for path in _stores(log_dir):
        _add(found, path, report, wants_rows=fallback)
    return found


def _unwritten(log_dir: Path) -> Unwritten:
    from pipeline.query.stores_and_lanes import Unwritten

    return Unwritten(log_dir)


def _add(found: Look, path: Path, report: Report, *, wants_rows: bool) -> None:
    import sqlite3

    from pipeline.query.stores_and_lanes import Store

    try:
        store = Store(path)
    except sqlite3.Error as error:
        report.unreadable.append((str(path), str(error)))
        return
    found.stores.append(store)
    try:
        found.cuts.add(store.cut_marks())
        found.extents.extend(store.extents() if wants_rows else ())
    except sqlite3.Error as error:
        report.unreadable.append((str(path), str(error)))
    if not wants_rows:
        found.stores.remove(store)
        store.close()


def _stores(log_dir: Path) -> list[Path]:
    try:
        return fallback_places.stores(find_places(log_dir))
    except (OSError, PipelineError):
        return []  # no place for a runtime directory: nothing of ours ever ran here
