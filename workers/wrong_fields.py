"""What producers say of fields that are not as their types say, gathered for health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import clock

if TYPE_CHECKING:
    from pipeline.queue.lanes import WatchedLane


class WrongFields:
    """The counts of all producers since this writer started: of those that live, and of those that ended."""

    def __init__(self) -> None:
        self._by_producer: dict[str, dict[str, int]] = {}
        self._of_ended: dict[str, int] = {}
        self._changed_at: float | None = None

    def look(self, lane: WatchedLane) -> dict[str, int]:
        """Take note of what a producer says, and return it."""
        said = lane.about.process.get("wrong_fields") or {}
        if said and said != self._by_producer.get(lane.producer):
            self._by_producer[lane.producer] = said
            self._changed_at = clock.monotonic()
        return dict(said)

    def forget(self, lane: WatchedLane) -> None:
        """Keep the counts of a producer that has ended, without its name."""
        _add(self._of_ended, self._by_producer.pop(lane.producer, {}))

    def totals(self) -> dict[str, int]:
        """Return how many there are of each."""
        totals = dict(self._of_ended)
        for said in self._by_producer.values():
            _add(totals, said)
        return totals

    def age_sec(self) -> float | None:
        """Return how long ago the last one was counted, None when there is none."""
        return None if self._changed_at is None else clock.monotonic() - self._changed_at


def _add(totals: dict[str, int], more: dict[str, int]) -> None:
    for fault, count in more.items():
        totals[fault] = totals.get(fault, 0) + count
