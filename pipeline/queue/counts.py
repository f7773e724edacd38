"""What a process counts by name: values masked, records cut, fields that are not as their types say."""

from __future__ import annotations

from itertools import count
from typing import Final

import orjson

OTHERS: Final = "others"
"""Where names are counted together that no room was left for."""
_DIGITS_MAX: Final = 16


class Counts:
    """
    Counters by name, without a lock, of which all fit in `bytes_max` bytes of JSON.

    emit() runs in any thread, in signal handlers, and in the child of a fork while another thread counts: a
    lock could be held for ever, and `+= 1` loses counts between threads. One step of `itertools.count` is one
    instruction of the interpreter. A name keeps the room that it got: its count never goes down.
    """

    def __init__(self, bytes_max: int) -> None:
        self._counters: dict[str, count[int]] = {}
        self._room = bytes_max - _bytes_of(OTHERS)

    def add(self, name: str) -> int:
        """Count one, and return how many there are of this name, or of all the others."""
        return next(self._counters.get(name) or self._counters.setdefault(self._with_room(name), count(1)))

    def totals(self) -> dict[str, int]:
        """Return the counts by name, the most frequent first."""
        totals = {name: _value(counter) for name, counter in list(self._counters.items())}
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

    def _with_room(self, name: str) -> str:
        needed = _bytes_of(name)
        if needed > self._room:
            return OTHERS
        self._room -= needed
        return name


def _bytes_of(name: str) -> int:
    """Return what a name and its count take at most: with a colon, a comma and 16 digits."""
    return len(orjson.dumps(name)) + _DIGITS_MAX + 2


def _value(counter: count[int]) -> int:
    return int(repr(counter)[len("count(") : -1]) - 1
