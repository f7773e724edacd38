"""What the records of the pipeline itself say of producers: how one ended, and which numbers were dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.verification.chain import Chain
    from pipeline.verification.lines import Place

CLOSED: Final = "producer_closed"
DIED: Final = "producer_died"
DROPPED: Final = "records_dropped"
STOPPED: Final = "pipeline_stopped"

TELLING: Final = frozenset({CLOSED, DIED, DROPPED, STOPPED})
"""The action types that say something about a producer."""

Range = tuple[int, int]
"""First and last number, both included."""


class End(NamedTuple):
    """A statement that a producer has ended, and with which number."""

    action_type: str
    last: int
    place: Place
    is_settled: bool


class Testimony:
    """All such statements of a run."""

    def __init__(self) -> None:
        self.ends: dict[str, End] = {}
        self.dropped: dict[str, list[Range]] = {}
        self.accepted: dict[str, list[Range]] = {}
        """Losses that somebody has accepted, after a repair."""
        self.stopped: dict[str, int] = {}
        """The number of each `pipeline_stopped` record: it ends its own producer, if nothing follows."""

    def hear(self, record: dict[str, Any], place: Place, *, is_settled: bool) -> str:
        """Take down one record of a telling type; return what is wrong with it, or nothing."""
        action_type, producer, number = record["action_type"], record["producer"], record["action_number"]
        if action_type == STOPPED:
            self.stopped[producer] = max(number, self.stopped.get(producer, 0))
            return ""
        subject = record.get("subject")
        if not isinstance(subject, str) or not subject:
            return '"subject" is not the id of a producer'
        if action_type == DROPPED:
            return self._hear_dropped(subject, record)
        return self._hear_end(subject, record, place, is_settled=is_settled)

    def accept(self, chains: Iterable[Chain]) -> None:
        """Take down what was accepted in these chains."""
        for chain in chains:
            for producer, ranges in chain.missing.items():
                self.accepted.setdefault(producer, []).extend(ranges)

    def _hear_dropped(self, subject: str, record: dict[str, Any]) -> str:
        first, last = record.get("first_action_number"), record.get("last_action_number")
        if first is None and last is None:
            return ""
        if type(first) is not int or type(last) is not int or not 0 < first <= last:
            return '"first_action_number" and "last_action_number" name no range'
        kept = record.get("kept", [])
        if not isinstance(kept, list) or not all(type(number) is int for number in kept):
            return '"kept" is no list of numbers'
        ranges = self.dropped.setdefault(subject, [])
        for number in sorted(kept):
            if first < number:
                ranges.append((first, number - 1))
            first = max(first, number + 1)
        if first <= last:
            ranges.append((first, last))
        return ""

    def _hear_end(self, subject: str, record: dict[str, Any], place: Place, *, is_settled: bool) -> str:
        last = record.get("last_action_number")
        if type(last) is not int or last < 0:
            return '"last_action_number" is not a whole number'
        known = self.ends.get(subject)
        # A writer that is killed after this record writes it again; the highest number binds.
        if known is None or last > known.last:
            self.ends[subject] = End(record["action_type"], last, place, is_settled)
        return ""


def without(missing: Range, dropped: Iterable[Range]) -> Iterator[Range]:
    """Yield what is left of a missing range once the dropped ones are taken out."""
    first, last = missing
    for drop_first, drop_last in sorted(dropped):
        if drop_last < first:
            continue
        if drop_first > last:
            break
        if drop_first > first:
            yield first, drop_first - 1
        first = drop_last + 1
    if first <= last:
        yield first, last
