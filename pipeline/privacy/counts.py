"""How often each rule has masked something in this process."""

from __future__ import annotations

from itertools import count


class Counts:
    """
    Counters by rule, without a lock.

    emit() runs in any thread, in signal handlers, and in the child of a fork while another thread counts: a
    lock could be held for ever, and `+= 1` loses counts between threads. One step of `itertools.count` is one
    instruction of the interpreter.
    """

    def __init__(self) -> None:
        self._counters: dict[str, count[int]] = {}

    def add(self, rule: str) -> None:
        """Count one."""
        next(self._counters.get(rule) or self._counters.setdefault(rule, count()))

    def totals(self) -> dict[str, int]:
        """Return the counts by rule, the most frequent first."""
        totals = {rule: _value(counter) for rule, counter in list(self._counters.items())}
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

    def clear(self) -> None:
        """Begin anew: this is the child of a fork."""
        self._counters = {}


def _value(counter: count[int]) -> int:
    return int(repr(counter)[len("count(") : -1])
