"""
What only a file that leaves knows, and what goes into its entry `expired` for that.

Its numbers, as far as no block has them: bytes that were there before the manifest began, or whose manifest
could not be written. And what records of the pipeline in it say of producers: how one ended, what was dropped
or quarantined. Without that, `verify` and `account` miss numbers once the file has left, and cannot tell
whether those that are there are all.

A file that cannot be read has no last words; it leaves all the same.
The tests are integration/test_leaving.py and property/test_simulation.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.storage import departed, stored
from pipeline.verification.files import describe
from pipeline.verification.opener import READ_ERRORS, read_chunks
from pipeline.verification.ranges import joined, minus
from pipeline.verification.testimony import TELLING, said_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.storage.manifest import Entry

_TELLING: Final = re.compile(
    rb'^\{"timestamp":"[^"\n]{1,40}","action_type":"(?:%s)",.*$' % "|".join(sorted(TELLING)).encode(),
    re.MULTILINE,
)


def of(path: Path, manifest: Path, beat: Callable[[], None]) -> Entry:
    """Return what the entry of a file, packed or not, has to say besides: `producers` and `told`, if any."""
    try:
        return _read(path, joined(departed.covered(manifest)), beat)
    except (OSError, *READ_ERRORS):
        return {}


def _read(path: Path, covered: list[tuple[int, int]], beat: Callable[[], None]) -> dict[str, Any]:
    numbers: dict[str, list[tuple[int, int]]] = {}
    told: list[dict[str, Any]] = []
    for start, lines in _pieces(path, beat):
        told += [orjson.loads(match[0]) for match in _TELLING.finditer(lines)]
        for first, last in minus([(start, start + len(lines) - 1)], covered):
            for producer, number in stored.keys_in(lines, first - start, last + 1 - start):
                numbers.setdefault(producer, []).append((number, number))
    words = {"producers": {name: joined(pairs) for name, pairs in numbers.items()}, "told": said_of(told)}
    return {name: said for name, said in words.items() if said}


def _pieces(path: Path, beat: Callable[[], None]) -> Iterator[tuple[int, bytes]]:
    """Yield a file, unpacked, in whole lines, each piece with its place."""
    file, place, carry = describe(path), 0, b""
    for chunk in read_chunks(file) if file is not None else ():
        beat()
        data = carry + chunk.data
        end = data.rfind(b"\n") + 1
        if end:
            yield place, data[:end]
        place, carry = place + end, data[end:]
