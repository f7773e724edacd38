"""What producers count by name, gathered for health: values masked, records left out, wrong fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.host import clock
from pipeline.queue.layout import COUNTED, LEFT_OUT_REASONS, NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.queue.lanes import WatchedLane

LEFT_OUT: Final = "left_out"
"""Records that sampling or a limit has left out, by which of them."""
_KINDS: Final = (*NAMED, LEFT_OUT)
By = dict[str, dict[str, int]]
"""Counts by what is counted, and by name."""


class Counted:
    """
    The counts of all producers of this pipeline: of those that live, and of those that have ended.

    `before` is what the last writer said of itself: a counter that goes down when a writer is replaced is one
    that nobody can use. What it had not yet said of lanes that it removed, half a second at most, is lost.
    """

    def __init__(self, before: Mapping[str, Any]) -> None:
        self._by_producer: dict[str, By] = {}
        self.of_ended: By = {}
        self._changed_at: dict[str, float] = {}
        _add(self.of_ended, before.get("counted_of_ended") or {})

    def look(self, lane: WatchedLane) -> By:
        """Take note of what a producer says, and return it."""
        said = _said(lane)
        had = self._by_producer.get(lane.producer, {})
        for what in said:
            if said[what] != had.get(what):
                self._changed_at[what] = clock.monotonic()
        if said:
            self._by_producer[lane.producer] = said
        return said

    def forget(self, lane: WatchedLane) -> None:
        """Keep the counts of a producer whose lane goes, without its name."""
        _add(self.of_ended, self._by_producer.pop(lane.producer, {}))

    def totals(self) -> By:
        """Return how many there are of each."""
        totals: By = {what: {} for what in _KINDS}
        for said in (self.of_ended, *self._by_producer.values()):
            _add(totals, said)
        return totals

    def age_sec(self, what: str) -> float | None:
        """Return how long ago the last one of a kind was counted, None when there is none."""
        changed_at = self._changed_at.get(what)
        return None if changed_at is None else clock.monotonic() - changed_at


def _said(lane: WatchedLane) -> By:
    about = lane.about
    left_out = {reason: about.dropped[COUNTED.index(reason)] for reason in LEFT_OUT_REASONS}
    said = {what: about.process.get(what) or {} for what in NAMED}
    said[LEFT_OUT] = {reason: count for reason, count in left_out.items() if count}
    return {what: counts for what, counts in said.items() if counts}


def _add(totals: By, more: By) -> None:
    for what, counts in more.items():
        sums = totals.setdefault(what, {})
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count
