"""
The room of the queue as one lane sees it: whether there is some, where, and what is dropped to have some.

Nobody is asked and nothing is locked: what stands in the lane directories is added up at each segment.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from pipeline.limits import CRITICAL_RESERVE, PRESSURE_AT
from pipeline.queue import usage
from pipeline.queue.dropping import Dropper
from pipeline.queue.segment import DiskSegment, MemorySegment

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings

Kind = type[MemorySegment | DiskSegment]
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Room:
    """One lane's view of the quota. An exempt lane is not held to it, and drops nothing."""

    def __init__(self, places: Places, settings: Settings, producer: str, *, is_exempt: bool) -> None:
        self.quota = usage.quota_bytes(settings.queue_max_mb)
        self.is_exempt = is_exempt
        self.is_pressed = False
        """Whether the queue was above 80 % of its quota when it was last measured."""
        self.place, self.place_reason = usage.preferred_place(settings.lanes, is_memory=places.is_memory)
        self._places = places
        self._dropper: Dropper | None = None
        if settings.queue_full_strategy == "drop_oldest" and not is_exempt:
            self._dropper = Dropper(producer, settings.critical_action_types)
        self._is_memory_full = False

    def kinds(self, size: int, *, reserve: bool, prefers_memory: bool = False) -> tuple[Kind, ...]:
        """Return where a segment of this size may go, best place first; none where the quota forbids it."""
        lanes_dir = self._places.lanes_dir
        memory = usage.used_bytes(lanes_dir)
        is_in_share = memory + size <= usage.memory_share_bytes(lanes_dir, self.quota)
        # The disk may hang, so who needs no room there goes by what was last seen of it.
        is_look_needed = self.place == "disk" or not is_in_share
        disk = usage.disk_bytes(self._places, is_look_needed=is_look_needed)
        self.is_pressed = memory + disk + size > self.quota * PRESSURE_AT
        if memory + disk + size > self._allowed(reserve=reserve) and not self.is_exempt:
            return ()
        if not is_in_share:
            return (DiskSegment,)
        is_memory = self.place == "memory" or prefers_memory
        return (MemorySegment, DiskSegment) if is_memory else (DiskSegment, MemorySegment)

    def has(self, *, reserve: bool) -> bool:
        """Whether the quota is not used up."""
        return bool(self.kinds(0, reserve=reserve))

    def note_refusal(self, kind: Kind, number: int | None) -> None:
        """Note the errno with which a place refused a segment, None when it took one."""
        if kind is MemorySegment:
            self._is_memory_full = number in _FULL

    def drop_oldest(self, size: int, *, reserve: bool) -> bool:
        """Drop a segment, if that is the policy and helps one of this size in; whether that freed space."""
        if self._dropper is None:
            return False
        return self._dropper.drop_oldest(self._where_dropping_helps(size, reserve=reserve))

    def _where_dropping_helps(self, size: int, *, reserve: bool) -> list[Path]:
        """
        Return where something has to be dropped.

        Anywhere at the quota; in memory where a disk refuses, for whatever reason, and memory is used up.
        Nowhere else: nothing is dropped for a segment that would not get in all the same.
        """
        places = self._places
        allowed = self.kinds(size, reserve=reserve)
        if not allowed:
            is_possible = size <= self._allowed(reserve=reserve)
            return [places.lanes_dir, places.disk_lanes_dir] if is_possible else []
        is_used_up = MemorySegment not in allowed or self._is_memory_full
        has_share = size <= usage.memory_share_bytes(places.lanes_dir, self.quota)
        return [places.lanes_dir] if is_used_up and has_share else []

    def _allowed(self, *, reserve: bool) -> int:
        return self.quota if reserve else int(self.quota * (1 - CRITICAL_RESERVE))
