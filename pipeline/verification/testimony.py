"""What the records of the pipeline itself say of producers: how one ended, what was dropped or set aside."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.verification.ranges import joined, minus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.verification.chain import Chain
    from pipeline.verification.lines import Place
    from pipeline.verification.ranges import Range

CLOSED: Final = "producer_closed"
DIED: Final = "producer_died"
DROPPED: Final = "records_dropped"
STOPPED: Final = "pipeline_stopped"
QUARANTINED: Final = "quarantined"

TELLING: Final = frozenset({CLOSED, DIED, DROPPED, STOPPED, QUARANTINED})
"""The action types that say something about a producer."""
_NUMBERS: Final = {CLOSED: "last_action_number", DIED: "last_action_number", STOPPED: "action_number"}
"""What of such a record counts, beside the producer that it is about."""
_GONE: Final = ("reason", "first_action_number", "last_action_number", "kept")


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
        self.drops: dict[str, dict[str, list[Range]]] = {}
        """By producer and reason."""
        self.refused: Counter[str] = Counter()
        """By reason: how many records got no number. A writer that is killed may have told some twice."""
        self.quarantined: dict[str, list[Range]] = {}
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
        if action_type in (DROPPED, QUARANTINED):
            return self._hear_gone(subject, record)
        return self._hear_end(subject, record, place, is_settled=is_settled)

    def dropped(self, producer: str) -> list[Range]:
        """Return what was dropped of a producer, for whatever reason."""
        return [one for ranges in self.drops.get(producer, {}).values() for one in ranges]

    def accept(self, chains: Iterable[Chain]) -> None:
        """Take down what was accepted in these chains."""
        for chain in chains:
            for producer, ranges in chain.missing.items():
                self.accepted.setdefault(producer, []).extend(ranges)

    def _hear_gone(self, subject: str, record: dict[str, Any]) -> str:
        first, last = record.get("first_action_number"), record.get("last_action_number")
        reason = record.get("reason")
        reason = reason if isinstance(reason, str) and reason else "unknown"
        if first is None and last is None:
            self._hear_refused(reason, record.get("count"))
            return ""
        if type(first) is not int or type(last) is not int or not 0 < first <= last:
            return '"first_action_number" and "last_action_number" name no range'
        kept = record.get("kept", [])
        if not isinstance(kept, list) or not all(type(number) is int for number in kept):
            return '"kept" is no list of numbers'
        gone = minus([(first, last)], joined((number, number) for number in kept))
        if record["action_type"] == QUARANTINED:
            self.quarantined.setdefault(subject, []).extend(gone)
        else:
            self.drops.setdefault(subject, {}).setdefault(reason, []).extend(gone)
        return ""

    def _hear_refused(self, reason: str, count: object) -> None:
        if isinstance(count, int) and count > 0:
            self.refused[reason] += count

    def _hear_end(self, subject: str, record: dict[str, Any], place: Place, *, is_settled: bool) -> str:
        last = record.get("last_action_number")
        if type(last) is not int or last < 0:
            return '"last_action_number" is not a whole number'
        known = self.ends.get(subject)
        # A writer that is killed after this record writes it again; the highest number binds.
        if known is None or last > known.last:
            self.ends[subject] = End(record["action_type"], last, place, is_settled)
        return ""


def said_of(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """
    Return what telling records say, short, for an entry that outlives them.

    `{action_type: {producer: number}}` of ends, `{action_type: [[producer, reason, first, last, kept], …]}`
    of what had numbers and is gone.
    """
    found: dict[str, Any] = {}
    for record in records:
        kind = record["action_type"]
        producer = record.get("producer" if kind == STOPPED else "subject")
        if kind in _NUMBERS:
            found.setdefault(kind, {})[producer] = record.get(_NUMBERS[kind])
        elif "first_action_number" in record:
            found.setdefault(kind, []).append([producer, *(record.get(name) for name in _GONE)])
    return found


def heard(said: object) -> Iterator[dict[str, Any]]:
    """Yield records that say what `said_of` has returned; nothing for what is something else."""
    for kind, about in said.items() if isinstance(said, dict) else ():
        if kind in _NUMBERS and isinstance(about, dict):
            for producer, number in ((one, last) for one, last in about.items() if type(last) is int):
                record = {"action_type": kind, "producer": producer, "subject": producer, "action_number": 0}
                yield record | {_NUMBERS[kind]: number}
        elif kind in TELLING and isinstance(about, list):
            for row in about:
                if isinstance(row, list) and len(row) == 1 + len(_GONE):
                    values = {
                        name: value for name, value in zip(_GONE, row[1:], strict=True) if value is not None
                    }
                    yield {
                        "action_type": kind,
                        "producer": "",
                        "action_number": 0,
                        "subject": row[0],
                        **values,
                    }
