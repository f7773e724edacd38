"""
The records of large pieces of a file that are asked for.

Most lines are never looked at: what the question's needles are not in cannot be a record that is asked for.
Which condition is best to search by is seen in the first piece: the one whose needles are found least.

A file whose first line begins as ours do is ours, and what does not begin so in it is no record. In any other
file, which somebody has written by hand or with another program, each line is parsed, and an object with a
timestamp and an action_type is a record.
"""

from __future__ import annotations

from operator import itemgetter
from os.path import commonprefix
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from pipeline.query import moments
from pipeline.query.conditions import all_of
from pipeline.query.searching import common, dense_lines_with, hits, lines_of, lines_with
from pipeline.query.tool_names import ToolNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.query.facts import Record
    from pipeline.query.question import Question
    from pipeline.query.reading import Chunk
    from pipeline.query.report import Report
    from pipeline.query.searching import Line

START: Final = b'{"timestamp":"'
"""What a line of ours begins with."""
STAMP: Final = slice(len(START), len(START) + moments.STAMP_CHARS)
"""Where the timestamp of a line of ours stands."""
_STAMP_END: Final = b'Z",'
_MIDDLE: Final = slice(STAMP.stop - 1, STAMP.stop + 2)
_USES: Final = b'"tool_use_id":"'
"""Is in every line that a call or a result of a tool has."""
_DENSE: Final = 5
"""Where more than one of so many lines has a needle, looking into each line costs less than going by hits."""
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
        # Lines of the span are from `low` on and below `high`, compared as they are: a quote follows the
        # timestamp, and # is the next sign.
        self.low = START + question.first.encode()
        self.high = START + (question.last.encode() + b"#" if question.last else b"~")

    @property
    def looks_back(self) -> bool:
        """Whether a record can only be judged when those before it have been seen."""
        return self._names is not None

    def records(self, chunk: Chunk, name: str, *, is_ours: bool = True) -> Iterator[Found]:
        """Yield the records of a piece that are asked for."""
        if self._needles is None and is_ours:
            self._needles = self._best(chunk)
            self._is_dense = hits(chunk, self._needles) * _DENSE > hits(chunk, (b"\n",))
            if self._is_dense and self._needles == self._stamp:
                self._needles = ()  # each line's time is compared anyhow
        lines = self._lines(chunk, (self._needles or ()) if is_ours else ())
        if is_ours and self._names is None:
            return self._own(lines, name, chunk.offset)
        return self._any(lines, name, chunk.offset, own_record if is_ours else foreign_record)

    def _lines(self, chunk: Chunk, needles: tuple[bytes, ...]) -> Iterator[Line]:
        if not needles:
            return lines_of(chunk)
        return dense_lines_with(chunk, needles) if self._is_dense else lines_with(chunk, needles)

    def _own(self, lines: Iterator[Line], name: str, base: int) -> Iterator[Found]:
        """Yield the records of lines of a file of ours. One loop: each call in it costs every record."""
        low, high, has_span, holds = self.low, self.high, self._question.has_span, self._holds
        loads, new, middle, common_of = orjson.loads, tuple.__new__, _MIDDLE, _COMMON
        for line, start in lines:
            if not low <= line < high:  # not in the span, or none of ours
                self._report.foreign_lines += not has_span
                continue
            is_record = line[middle] == _STAMP_END
            if is_record:
                try:
                    record = loads(line)
                    action_type, number, producer = common_of(record)
                except (ValueError, KeyError):
                    is_record = False
                else:
                    is_record = type(action_type) is str and type(number) is int and type(producer) is str
            if not is_record:
                self._report.foreign_lines += 1
            elif holds is None or holds(record):
                yield new(Found, (line, record, name, base + start))

    def _any(
        self, lines: Iterator[Line], name: str, base: int, record_of: Callable[[bytes], Record | None]
    ) -> Iterator[Found]:
        """Yield the records of lines of any file, completed where that is asked for."""
        in_span = self._question.is_in_span if self._question.has_span else None
        holds, complete = self._holds, self._complete
        for line, start in lines:
            record = record_of(line)
            if record is None:
                self._report.foreign_lines += 1
                continue
            asked = record if complete is None else complete(record)
            if (in_span is None or in_span(record["timestamp"])) and (holds is None or holds(asked)):
                yield Found(line, asked if self._completes else record, name, base + start)

    def _best(self, chunk: Chunk) -> tuple[bytes, ...]:
        """Return the needles of the condition that fewest lines can fulfil."""
        if self._names is not None:
            # Calls have to be seen as well as what they complete.
            asking = [one.needles for one in self._question.conditions if one.asks_tool_name]
            return (*asking[0], _USES) if asking and all(asking) and not self._completes else ()
        choices = [one.needles for one in self._question.conditions if one.needles]
        if self._stamp:
            choices.append(self._stamp)
        best = min(choices, key=lambda needles: hits(chunk, needles), default=())
        return _joined(chunk, best) if len(best) > 1 else best


def own_record(line: bytes) -> Record | None:
    """Return the record that a line of a file of ours is, None when it is none."""
    if not line.startswith(START) or line[_MIDDLE] != _STAMP_END:
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


def _joined(chunk: Chunk, needles: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return what all needles have in common, where that finds no more: each is a search of its own."""
    shared = (common(needles),)
    return shared if 0 < hits(chunk, shared) <= hits(chunk, needles) else needles


def _stamp_needles(question: Question) -> tuple[bytes, ...]:
    """Return what the beginning of each line has whose time is within the span; empty for a long span."""
    same = commonprefix([question.first, question.last])  # noqa: RUF071 - of texts, not of paths
    return (START + same.encode(),) if len(same) >= _SAME_MIN else ()
