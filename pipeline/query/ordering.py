"""
The order of answers: the files of a period merged by time, and everything sorted by time.

Sorting keeps what fits `MEMORY_BYTES`; beyond that, sorted runs go to temporary files and are merged.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from pipeline.query import moments
from pipeline.query.scan import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import IO

MEMORY_BYTES: Final = 32 << 20
"""Of lines that are held for sorting; what Python needs for them is about twice that."""
RUNS_MAX: Final = 64
"""So many runs are merged into one: each has an open file."""

Key = tuple[str, str, int]


class Stream(NamedTuple):
    """Where records come from: a file, the rows of a store, a lane."""

    period: str
    first_stamp: Callable[[], str]
    """The timestamp of its first line, "" when that cannot be said."""
    forwards: Callable[[], Iterator[Found]]
    backwards: Callable[[int], Iterator[Found]]
    """The same from the end on; only so many are wanted."""


def key_of(found: Found) -> Key:
    """Return what records are sorted by: time, producer, number."""
    record = found.record
    at = moments.canonical(record["timestamp"]) or ""
    return at, str(record.get("producer", "")), _number(record.get("action_number"))


def merged(streams: Sequence[Stream]) -> Iterator[Found]:
    """Return what the streams of one period have, by time; what one has stays in its order."""
    return _merged(streams) if len(streams) > 1 else streams[0].forwards()


def _merged(streams: Sequence[Stream]) -> Iterator[Found]:
    # Opened when the time of its first line has come: of parts that follow each other, few are open at once.
    opened: dict[int, Iterator[Found]] = {}
    heap: list[tuple[str, int, Found | None]] = [
        (stream.first_stamp(), index, None) for index, stream in enumerate(streams)
    ]
    heapq.heapify(heap)
    while heap:
        _, index, found = heapq.heappop(heap)
        if found is not None:
            yield found
        else:
            opened[index] = streams[index].forwards()
        following = next(opened[index], None)
        if following is not None:
            heapq.heappush(heap, (key_of(following)[0], index, following))


def merged_backwards(streams: Sequence[Stream], count: int) -> Iterator[Found]:
    """Yield what the streams of one period have, the last ones first; no more than `count` are wanted."""
    parts = [stream.backwards(count) for stream in reversed(streams)]
    if len(parts) == 1:
        return parts[0]
    return heapq.merge(*parts, key=lambda found: key_of(found)[0], reverse=True)


def in_order(
    answer: Iterable[Found], *, descending: bool, limit: int | None, tail: int | None
) -> Iterator[Found]:
    """Yield records by time, the first or last of them only if that is asked for."""
    if tail is not None:
        last = heapq.nsmallest if descending else heapq.nlargest
        return reversed(last(tail, answer, key=key_of))
    if limit is not None:
        first = heapq.nlargest if descending else heapq.nsmallest
        return iter(first(limit, answer, key=key_of))
    return _sorted(answer, descending=descending)


_Held = tuple[Key, bytes]
"""A key, and what `_unpacked` makes a record of. Compared as it is."""


def _sorted(answer: Iterable[Found], *, descending: bool) -> Iterator[Found]:
    runs: list[IO[bytes]] = []
    held: list[_Held] = []
    size = 0
    try:
        for found in answer:
            key = key_of(found)
            packed = _packed(found, key)
            held.append((key, packed))
            size += len(packed)
            if size > MEMORY_BYTES:
                held.sort(reverse=descending)
                runs.append(_run(held))
                held, size = [], 0
            if len(runs) >= RUNS_MAX:
                runs.append(_run(heapq.merge(*map(_read, runs), reverse=descending)))
                for run in runs[:-1]:
                    run.close()
                del runs[:-1]
        held.sort(reverse=descending)
        everything = heapq.merge(*map(_read, runs), held, reverse=descending) if runs else held
        for _, packed in everything:
            yield _unpacked(packed)
    finally:
        for run in runs:
            run.close()


def _run(held: Iterable[_Held]) -> IO[bytes]:
    import tempfile

    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sorts closes it
    file.writelines(packed for _, packed in held)
    file.seek(0)
    return file


def _read(run: IO[bytes]) -> Iterator[_Held]:
    while head := run.readline():
        at, producer, number, *_ = orjson.loads(head)
        yield (at, producer, number), head + run.readline()


def _packed(found: Found, key: Key) -> bytes:
    # With its key, or a record would have to be parsed again each time it is read for merging.
    about = orjson.dumps((*key, found.name, found.offset, found.record.get("tool_name")))
    return b"%b\n%b\n" % (about, found.line)


def _unpacked(packed: bytes) -> Found:
    about, line, _ = packed.split(b"\n")
    _, _, _, name, offset, tool_name = orjson.loads(about)
    record = orjson.loads(line)
    if tool_name is not None and "tool_name" not in record:
        record["tool_name"] = tool_name  # completed on the way
    return Found(line, record, name, offset)


def _number(value: object) -> int:
    return value if type(value) is int else 0
