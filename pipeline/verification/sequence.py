"""
The numbers of each producer: which are stored, and which are stored twice or in the wrong order.

Numbers are kept as stretches, never one by one: a producer whose records are all there takes one stretch,
however many files they are in. A `Run` is the part of a producer's numbers that is being read: it goes on for
as long as each number is the one after the last and nothing is known of it yet, and that is all that the scan
has to ask for nearly every line.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pipeline.verification.findings import Finding, Findings, Kind, numbers, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        """Where the first of them stands."""
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


class Run:
    """The numbers of one producer that are being read, in one file."""

    __slots__ = ("barrier", "first", "highest", "next", "numbers", "repeats", "start")

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.first = 0
        self.next = 0
        """The number that continues the run; 0 while there is none."""
        self.barrier = 0
        """The number with which the run ends, since more, or no longer anything, is known of it."""
        self.highest = 0
        """The highest number of the producer in this file before the run."""
        self.start: Place
        self.repeats: Stretch | None = None
        """Where these numbers are stored already."""

    def begin(self, number: int, start: Place) -> None:
        """Start with this number, which does not continue what was there before."""
        self.repeats, self.barrier = self.numbers.at(number)
        self.first, self.next, self.start = number, number + 1, start

    def end(self, names: Sequence[str], findings: Findings, *, is_settled: bool) -> None:
        """Enter what was read and report it if it was there before or stands behind higher numbers."""
        if not self.next:
            return
        last, self.next = self.next - 1, 0
        if self.repeats is not None:
            findings.add(self._finding(Kind.REPEATED, last, names, self._repeated(last, self.repeats, names)))
        else:
            if self.first < self.highest:
                findings.add(self._finding(Kind.OUT_OF_ORDER, last, names, self._disorder(last)))
            self.numbers.insert(Stretch(self.first, last, self.start, self.start.file))
        self.highest = max(self.highest, last)
        if is_settled:
            self.numbers.settled_last = max(self.numbers.settled_last, last)

    def _repeated(self, last: int, known: Stretch, names: Sequence[str]) -> str:
        where, until = names[known.start.file], names[known.end_file]
        places = where if where == until else f"{where} to {until}"
        producer = visible(self.numbers.producer)
        return f"{numbers(self.first, last)} of {producer} stored again; also in {places}"

    def _disorder(self, last: int) -> str:
        producer = visible(self.numbers.producer)
        return f"{numbers(self.first, last)} of {producer} behind its number {self.highest} in the same file"

    def _finding(self, kind: Kind, last: int, names: Sequence[str], sentence: str) -> Finding:
        _, line, offset, length = self.start
        file, producer = names[self.start.file], self.numbers.producer
        return Finding(kind, sentence, file, line, offset, length, producer, self.first, last)
