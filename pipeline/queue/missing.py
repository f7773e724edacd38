"""Numbers that a lane should have and has not: their segment was removed, by somebody or a power loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.queue.runs import runs

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.queue.opened import OpenSegment


def before(
    segment: OpenSegment, previous: OpenSegment | None, released_serial: int, stored: Collection[int]
) -> list[tuple[int, int]]:
    """
    Return (first, last) of each range before a segment that neither its predecessor has nor a known file.

    Nothing is missed before `released_serial`: what stood there was delivered and released.
    """
    known = segment.header.first_number - 1
    if previous is not None:
        known = previous.last_number
    elif segment.serial > max(1, released_serial):
        known = max((number for number in stored if number <= known), default=0)
    numbers = range(known + 1, segment.header.first_number)
    return runs(number for number in numbers if number not in stored)
