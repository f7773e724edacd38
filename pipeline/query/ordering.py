"""The order of answers: the files of a period merged by time, and everything sorted by time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from pipeline.query import moments
from pipeline.query.reading import RECORD_START, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.query.scan import Found
    from pipeline.query.sources import Source

Key = tuple[str, str, int]
_STAMP = slice(len(RECORD_START), len(RECORD_START) + len("2025-11-21T14:32:15.123456Z"))


def key_of(found: Found) -> Key:
    """Return what records are sorted by: time, producer, number."""
    record = found.record
    return moments.canonical(record["timestamp"]) or "", record["producer"], record["action_number"]


def merged(streams: Sequence[tuple[Source, Iterator[Found]]]) -> Iterator[Found]:
    """
    Yield what several files have, by time; what one file has stays in its order.

    A file is opened when its first line's time has come: parts that follow each other are not all open at
    once.
    """
    heap: list[tuple[str, int, Found | None]] = []
    for index, (source, _) in enumerate(streams):
        heapq.heappush(heap, (first_stamp(source), index, None))
    while heap:
        _, index, found = heapq.heappop(heap)
        if found is not None:
            yield found
        following = next(streams[index][1], None)
        if following is not None:
            heapq.heappush(heap, (key_of(following)[0], index, following))


def first_stamp(source: Source) -> str:
    """Return the timestamp of a file's first line, "" when there is none."""
    head = bytearray()
    try:
        with opened(source) as raw:
            room = bytearray(4096)
            while len(head) < _STAMP.stop and (count := raw.readinto(memoryview(room))):
                head += room[:count]
    except OSError:
        return ""  # whoever reads it says so
    text = bytes(head[_STAMP]).decode("ascii", "replace")
    return text if head.startswith(RECORD_START) else ""


def in_order(
    answer: Iterator[Found], *, descending: bool, limit: int | None, tail: int | None
) -> Iterator[Found]:
    """Yield records by time, the first or last of them only if that is asked for."""
    if tail is not None:
        last = heapq.nsmallest if descending else heapq.nlargest
        return reversed(last(tail, answer, key=key_of))
    if limit is not None:
        first = heapq.nlargest if descending else heapq.nsmallest
        return iter(first(limit, answer, key=key_of))
    return iter(sorted(answer, key=key_of, reverse=descending))
