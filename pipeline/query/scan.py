"""
The records of large pieces of a file that are asked for.

Most lines are never looked at: what the question's needles are not in cannot be a record that is asked for.
Which condition is best to search by is seen in the first piece: the one whose needles are found least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from pipeline.query.reading import RECORD_START
from pipeline.query.tool_names import ToolNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.query.facts import Record
    from pipeline.query.question import Question
    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report

_USES: Final = b'"tool_use_id":"'
"""Is in every line that a call or a result of a tool has."""


class Found(NamedTuple):
    """A record that is asked for."""

    line: bytes
    """As it stands in the file, without its newline."""
    record: Record
    name: str
    """Which file it is in, or what else."""
    offset: int
    """Where its line begins there, in unpacked bytes."""


class Scan:
    """One pass over all pieces, in the order in which they are to be read."""

    def __init__(self, question: Question, report: Report, *, completes: bool = False) -> None:
        self._question = question
        self._report = report
        self._completes = completes
        self._names = ToolNames() if completes or question.asks_tool_name else None
        self._needles: tuple[bytes, ...] | None = () if completes else None
        """What to search by; empty: nothing; None: not known yet."""

    def records(self, chunk: Chunk, name: str) -> Iterator[Found]:
        """Yield the records of a piece that are asked for."""
        if self._needles is None:
            self._needles = self._best(chunk)
        for line, start in candidates(chunk, self._needles):
            record = self.examine(line)
            if record is not None:
                yield Found(line, record, name, chunk.offset + start)

    def examine(self, line: bytes) -> Record | None:
        """Return the record in a line if it is asked for."""
        question = self._question
        record = record_of(line)
        if record is None:
            self._report.foreign_lines += 1
            return None
        asked = record if self._names is None else self._names.complete(record)
        if question.has_span and not question.is_in_span(record["timestamp"]):
            return None
        if not question.holds(asked):
            return None
        return asked if self._completes else record

    def _best(self, chunk: Chunk) -> tuple[bytes, ...]:
        """Return the needles of the condition that fewest lines can fulfil."""
        conditions = self._question.conditions
        if self._names is not None:
            # Calls have to be seen as well as what they complete.
            asking = [one.needles for one in conditions if one.asks_tool_name]
            return (*asking[0], _USES) if all(asking) else ()
        choices = [one.needles for one in conditions if one.needles]
        return min(choices, key=lambda needles: _hits(chunk, needles), default=())


def record_of(line: bytes) -> Record | None:
    """Return the record that a line is, None when it is none: it begins with the four common fields."""
    if not line.startswith(RECORD_START):
        return None
    try:
        record = orjson.loads(line)
    except ValueError:
        return None
    is_record = (
        type(record) is dict
        and isinstance(record.get("timestamp"), str)
        and isinstance(record.get("action_type"), str)
        and type(record.get("action_number")) is int
        and isinstance(record.get("producer"), str)
    )
    return record if is_record else None


def candidates(chunk: Chunk, needles: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a piece that contain a needle, all without needles: (line, where it begins)."""
    if not needles:
        return _all_lines(chunk)
    return _lines_with(chunk, needles[0]) if len(needles) == 1 else _lines_with_any(chunk, needles)


def _all_lines(chunk: Chunk) -> Iterator[tuple[bytes, int]]:
    start = 0
    with memoryview(chunk.data) as view:
        lines = bytes(view[: chunk.end - 1]).split(b"\n")
    for line in lines:
        yield line, start
        start += len(line) + 1


def _lines_with(chunk: Chunk, needle: bytes) -> Iterator[tuple[bytes, int]]:
    data, end, _ = chunk
    place = data.find(needle, 0, end)
    while place >= 0:
        start = data.rfind(b"\n", 0, place) + 1
        stop = data.index(b"\n", place)
        yield bytes(data[start:stop]), start
        place = data.find(needle, stop, end)


def _lines_with_any(chunk: Chunk, needles: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    data, end, _ = chunk
    places = {needle: data.find(needle, 0, end) for needle in needles}
    places = {needle: place for needle, place in places.items() if place >= 0}
    while places:
        place = min(places.values())
        start = data.rfind(b"\n", 0, place) + 1
        stop = data.index(b"\n", place)
        yield bytes(data[start:stop]), start
        for needle, known in list(places.items()):
            if known < stop:
                places[needle] = data.find(needle, stop, end)
                if places[needle] < 0:
                    del places[needle]


def _hits(chunk: Chunk, needles: Sequence[bytes]) -> int:
    return sum(chunk.data.count(needle, 0, chunk.end) for needle in needles)
