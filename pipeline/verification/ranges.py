"""Sets of numbers as ranges: what a million records need is a handful of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""First and last number, both included."""


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return the numbers of all ranges, each once: in order, and apart from each other."""
    return layers(ranges)[0]


def layers(ranges: Iterable[Range]) -> tuple[list[Range], list[Range]]:
    """Return (the numbers of all ranges, each once; what is there again, as often as it is there again)."""
    once: list[Range] = []
    again: list[Range] = []
    for first, last in sorted(ranges):
        if not once or first > once[-1][1] + 1:
            once.append((first, last))
            continue
        known = once[-1][1]
        if first <= known:
            again.append((first, min(last, known)))
        once[-1] = (once[-1][0], max(known, last))
    return once, again


def minus(ranges: Iterable[Range], taken: Sequence[Range]) -> list[Range]:
    """Return what is left of ranges, in order, without those of `taken`, which is as `joined` returns it."""
    left: list[Range] = []
    index = 0
    for first, last in ranges:
        while index < len(taken) and taken[index][1] < first:
            index += 1
        at, begin = index, first
        while at < len(taken) and taken[at][0] <= last:
            if taken[at][0] > begin:
                left.append((begin, taken[at][0] - 1))
            begin = max(begin, taken[at][1] + 1)
            at += 1
        if begin <= last:
            left.append((begin, last))
    return left


def up_to(ranges: Iterable[Range], last: int) -> list[Range]:
    """Return the numbers that are not above `last`."""
    return [(first, min(end, last)) for first, end in ranges if first <= last]


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers they are."""
    return sum(last - first + 1 for first, last in ranges)
