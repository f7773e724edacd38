"""
The records of large pieces of a file that are asked for.

Most lines are never looked at: what the question's needles are not in cannot be a record that is asked for.
Which condition is best to search by is seen in the first piece: the one whose needles are found least.

A file whose first line begins as ours do is ours, and what does not begin so in it is no record. In any other
file, which somebody has written by hand or with another program, each line is parsed, and an object with a
timestamp and an action_type is a record.
"""

from __future__ import annotations

from itertools import accumulate, chain, count, repeat
from operator import add, itemgetter
from os.path import commonprefix
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from pipeline.query import moments
from pipeline.query.conditions import all_of
from pipeline.query.tool_names import ToolNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.query.facts import Record
    from pipeline.query.question import Question
    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report

START: Final = b'{"timestamp":"'
"""What a line of ours begins with."""
STAMP: Final = slice(len(START), len(START) + moments.STAMP_CHARS)
"""Where the timestamp of a line of ours stands."""
_STAMP_END: Final = b'Z",'
_BEGIN: Final = slice(len(START))
_MIDDLE: Final = slice(STAMP.stop - 1, STAMP.stop + 2)
_USES: Final = b'"tool_use_id":"'
"""Is in every line that a call or a result of a tool has."""
_DENSE: Final = 5
"""Where more than one of so many lines has a needle, looking into each line costs less than going by hits."""
_SAMPLE_BYTES: Final = 256 << 10
"""By so much of the first piece it is seen what to search by: all of it took as long as reading a MiB."""
_PART_BYTES: Final = 32 << 10
_COMMON: Final = itemgetter("action_type", "action_number", "producer")
_SAME_MIN: Final = len("2025-11-21T1")


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
        self._complete = None if self._names is None else self._names.complete
        conditions = question.conditions
        self._holds = all_of(conditions).holds if conditions else None
        self._needles: tuple[bytes, ...] | None = None
        """What to search by; empty: nothing; None: not known yet."""
        self._is_dense = False
        self._stamp = _stamp_needles(question)
        self._first, self._last = question.first.encode(), question.last.encode() or b"~"

    @property
    def looks_back(self) -> bool:
        """Whether a record can only be judged when those before it have been seen."""
        return self._names is not None

    def records(self, chunk: Chunk, name: str, *, is_ours: bool = True) -> Iterator[Found]:
        """Yield the records of a piece that are asked for."""
        if self._needles is None and is_ours:
            self._needles = self._best(chunk)
            self._is_dense = _hits(chunk, self._needles) * _DENSE > chunk.data.count(b"\n", 0, _sample(chunk))
            if self._is_dense and self._needles == self._stamp:
                self._needles = ()  # each line's time is compared anyhow
        needles = (self._needles or ()) if is_ours else ()
        lines = _by_line(chunk, needles) if self._is_dense and needles else candidates(chunk, needles)
        if is_ours and self._names is None:
            return self._own(lines, name, chunk.offset)
        return self._any(lines, name, chunk.offset, own_record if is_ours else foreign_record)

    def _own(self, lines: Iterable[tuple[bytes, int]], name: str, base: int) -> Iterator[Found]:
        """Yield the records of lines of a file of ours. One loop: each call in it costs every record."""
        first, last, has_span, holds = self._first, self._last, self._question.has_span, self._holds
        loads, new, begin, middle, stamp = orjson.loads, tuple.__new__, _BEGIN, _MIDDLE, STAMP
        for line, start in lines:
            if has_span and not first <= line[stamp] <= last:
                continue
            if line[begin] == START and line[middle] == _STAMP_END:
                try:
                    record = loads(line)
                    if (
                        type(record["action_type"]) is str
                        and type(record["action_number"]) is int
                        and type(record["producer"]) is str
                    ):
                        if holds is None or holds(record):
                            yield new(Found, (line, record, name, base + start))
                        continue
                except (ValueError, KeyError):
                    pass
            self._report.foreign_lines += 1

    def _best(self, chunk: Chunk) -> tuple[bytes, ...]:
        """Return the needles of the condition that fewest lines can fulfil."""
        if self._names is not None:
            # Calls have to be seen as well as what they complete.
            asking = [one.needles for one in self._question.conditions if one.asks_tool_name]
            return (*asking[0], _USES) if asking and all(asking) and not self._completes else ()
        choices = [one.needles for one in self._question.conditions if one.needles]
        if self._stamp:
            choices.append(self._stamp)
        return min(choices, key=lambda needles: _hits(chunk, needles), default=())


def own_record(line: bytes) -> Record | None:
    """Return the record that a line of a file of ours is, None when it is none."""
    if not line.startswith(START) or line[STAMP.stop - 1 : STAMP.stop + 2] != _STAMP_END:
        return None
    try:
        record = orjson.loads(line)
    except ValueError:
        return None
    try:
        action_type, number, producer = _COMMON(record)
    except KeyError:
        return None
    is_record = type(action_type) is str and type(number) is int and type(producer) is str
    return record if is_record else None


def foreign_record(line: bytes) -> Record | None:
    """Return the record that a line of any other file is, None when it is none."""
    try:
        record = orjson.loads(line)
    except ValueError:
        return None
    if type(record) is not dict or not isinstance(record.get("action_type"), str):
        return None
    at = record.get("timestamp")
    return record if isinstance(at, str) and moments.canonical(at) else None


def candidates(chunk: Chunk, needles: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a piece that contain a needle, all without needles: (line, where it begins)."""
    if not needles:
        return _all_lines(chunk)
    if len(needles) == 1:
        return _lines_with(chunk, needles[0])
    return _lines_with_any(chunk, needles)


def _all_lines(chunk: Chunk) -> Iterator[tuple[bytes, int]]:
    return chain.from_iterable(map(_lines_at, _parts(chunk), repeat(chunk.data)))


def _parts(chunk: Chunk) -> Iterator[tuple[int, int]]:
    """Yield where whole lines begin and end. A copy of the whole piece would be new memory each time."""
    start, (data, end, _) = 0, chunk
    while start < end:
        stop = data.rfind(b"\n", start, min(end, start + _PART_BYTES)) + 1 or data.index(b"\n", start) + 1
        yield start, stop
        start = stop


def _lines_at(part: tuple[int, int], data: bytearray) -> Iterator[tuple[bytes, int]]:
    start, stop = part
    with memoryview(data) as view:
        lines = bytes(view[start : stop - 1]).split(b"\n")
    return zip(lines, map(add, accumulate(map(len, lines), initial=start), count()))


def _by_line(chunk: Chunk, needles: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    for line, start in _all_lines(chunk):
        for needle in needles:
            if needle in line:
                yield line, start
                break


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


def _stamp_needles(question: Question) -> tuple[bytes, ...]:
    """Return what the beginning of each line has whose time is within the span; empty for a long span."""
    same = commonprefix([question.first, question.last])  # noqa: RUF071 - of texts, not of paths
    return (START + same.encode(),) if len(same) >= _SAME_MIN else ()


def _hits(chunk: Chunk, needles: Sequence[bytes]) -> int:
    end = _sample(chunk)
    return sum(chunk.data.count(needle, 0, end) for needle in needles)


def _sample(chunk: Chunk) -> int:
    return min(chunk.end, _SAMPLE_BYTES)
