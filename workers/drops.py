"""How a `records_dropped` record names the numbers that are gone, and why they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator

DROP_OLDEST: Final = "drop_oldest"
"""To make room for newer ones."""
SEGMENT_REMOVED: Final = "segment_removed"
"""Somebody removed the segment before the writer found it."""
_KEPT_MAX: Final = 40
"""Numbers that one record lists: with the rest it stays below the smallest `max_record_bytes`."""


class Named(TypedDict, total=False):
    """The fields that name dropped numbers: all from first to last, but for those in `kept`."""

    first_action_number: int
    last_action_number: int
    count: int
    kept: list[int]


def named(first: int, last: int, kept: set[int]) -> Iterator[Named]:
    """Yield, one for each record, the fields that name what is gone of a range; nothing if nothing is."""
    spared = sorted(number for number in kept if first <= number <= last)
    for index in range(0, len(spared) + 1, _KEPT_MAX):
        part = spared[index : index + _KEPT_MAX]
        is_last = index + _KEPT_MAX > len(spared)
        end = last if is_last else part[-1]
        count = end - first + 1 - len(part)
        if count > 0:
            fields = Named(first_action_number=first, last_action_number=end, count=count)
            yield fields | {"kept": part} if part else fields
        first = end + 1
