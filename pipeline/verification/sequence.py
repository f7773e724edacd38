"""
The numbers of each producer: which are stored, and which are stored twice or in the wrong order.

Numbers are kept as stretches, never one by one: a producer whose records are all there takes one stretch,
however many files they are in.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pipeline.verification.findings import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.verification.lines import Place

FIRST_NUMBER: Final = 1
"""What each producer must begin with. Whoever lets retention remove old days has to relax `Numbers.gaps`."""

UNBOUNDED: Final = 1 << 64

_first: Final = attrgetter("first")


class Stretch:
    """Numbers without a gap."""

    __slots__ = ("end_file", "first", "last", "start")

    def __init__(self, first: int, last: int, start: Place, end_file: int) -> None:
        self.first = first
        self.last = last
        self.start = start
        """Where the first of them stands, or the piece of a file that it is in (a `Place` of length 0)."""
        self.end_file = end_file
        """The file in which the last of them stands."""


class Gap:
    """Numbers that are nowhere, between two stretches or before the first (`before` is None)."""

    __slots__ = ("after", "before", "first", "last")

    def __init__(self, before: Stretch | None, after: Stretch) -> None:
        self.before = before
        self.after = after
        self.first = FIRST_NUMBER if before is None else before.last + 1
        self.last = after.first - 1


class Numbers:
    """All stored numbers of one producer."""

    __slots__ = ("producer", "settled_last", "stretches")

    def __init__(self, producer: str) -> None:
        self.producer = producer
        self.stretches: list[Stretch] = []
        self.settled_last = 0
        """The highest number in the settled part of any file."""

    @property
    def last(self) -> int:
        """The highest stored number, or 0."""
        return self.stretches[-1].last if self.stretches else 0

    def at(self, number: int) -> tuple[Stretch | None, int]:
        """Return the stretch that holds the number, if any, and the first number at which that changes."""
        index = bisect_right(self.stretches, number, key=_first)
        if index and self.stretches[index - 1].last >= number:
            return self.stretches[index - 1], self.stretches[index - 1].last + 1
        return None, self.stretches[index].first if index < len(self.stretches) else UNBOUNDED

    def insert(self, new: Stretch) -> None:
        """Add numbers that are not stored yet, and join them with their neighbours."""
        index = bisect_right(self.stretches, new.first, key=_first)
        if index < len(self.stretches) and self.stretches[index].first == new.last + 1:
            following = self.stretches.pop(index)
            new.last, new.end_file = following.last, following.end_file
        if index and self.stretches[index - 1].last == new.first - 1:
            before = self.stretches[index - 1]
            before.last, before.end_file = new.last, new.end_file
        else:
            self.stretches.insert(index, new)

    def gaps(self) -> Iterator[Gap]:
        """
        Yield what is missing before stored numbers.

        Up to the settled ones only: what comes before a later number may be on its way to a file.
        """
        before: Stretch | None = None
        for stretch in self.stretches:
            if stretch.first > self.settled_last:
                return
            if stretch.first > (FIRST_NUMBER if before is None else before.last + 1):
                yield Gap(before, stretch)
            before = stretch


def enter(
    known: Numbers, new: Stretch, highest: int, *, is_settled: bool
) -> Iterator[tuple[Kind | None, int, int, Stretch | None]]:
    """
    Enter numbers that stand one behind the other, and yield them in parts that are of one kind.

    (REPEATED with where they are stored already, OUT_OF_ORDER, or None; first; last). `highest` is the
    highest number of the producer before them in the same file.
    """
    first = new.first
    while first <= new.last:
        there, change = known.at(first)
        last = min(new.last, change - 1)
        if there is not None:
            # A copy: `there` grows when what is entered next joins it.
            yield Kind.REPEATED, first, last, Stretch(there.first, there.last, there.start, there.end_file)
        else:
            yield (Kind.OUT_OF_ORDER if first < highest else None), first, last, None
            known.insert(Stretch(first, last, new.start, new.end_file))
        first = last + 1
    if is_settled:
        known.settled_last = max(known.settled_last, new.last)
