"""
What to do with the files of a log directory, step by step: pure, from what there is and the limits.

Whoever carries a plan out does its first step, looks again, and asks for the next plan: a packed file's size
is known only then. So a plan is never stale, a kill between two steps leaves nothing to clean up, and there
is no state to keep.

Invariants
    K1  Only sealed files are in a plan, whatever the limits are.
    K2  What leaves is older than what stays: of the sealed files, those that leave are the oldest ones.
    K3  Limits are met when the sealed files that could leave are enough for that; and no file leaves for size
        or room once they are met.
    K4  Under pressure of size or room every file that can be packed is packed before one leaves for it; of
        size from 90 % of the limit on, so that it is not reached while that goes on.
    K5  A file whose entry says that it has left leaves, whatever the limits say by now.
The tests are property/test_keeping_plans.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pipeline.keeping.inventory import Kept
    from pipeline.storage.naming import DayName

AGE: Final = "age"
SIZE: Final = "size"
MAX_FILES: Final = "max_files"
MIN_FREE: Final = "min_free"
NEARLY: Final = 0.9
"""Share of the limit of size from which files of any age are packed."""
REASONS: Final = (AGE, MAX_FILES, SIZE, MIN_FREE)
"""Why a file leaves, as its entry and every report say it."""


class Pack(NamedTuple):
    """Pack this file; `reason` is AGE, SIZE or MIN_FREE."""

    file: Kept
    reason: str


class Leave(NamedTuple):
    """Let this file take its leave, for one of REASONS."""

    file: Kept
    reason: str


Step = Pack | Leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is kept. A zero is no limit."""

    retention_sec: float = 0.0
    """How long after the end of its period a file stays."""
    max_total_bytes: int = 0
    """What all day files may take together."""
    max_files: int = 0
    """How many files are kept, the one being written among them."""
    min_free_bytes: int = 0
    """What stays free on the volume."""
    pack_after_sec: float | None = None
    """How long after the end of its period a file is packed; None: never, for no reason."""

    def stretched(self, sec: float) -> Limits:
        """Return the same with so much more time until files are too old; where none is, there stays none."""
        return replace(self, retention_sec=self.retention_sec + sec) if self.retention_sec else self


def plan(
    files: Sequence[Kept],
    limits: Limits,
    *,
    now_sec: float,
    free_bytes: int | None = None,
    unpackable: Collection[str] = (),
) -> list[Step]:
    """
    Return the steps that are due, in order.

    `files` are an inventory; `free_bytes` is what is free on the volume, None when nobody can tell.
    `unpackable` are names whose packing has failed: they are not packed again, and may leave in their turn.
    Where files are packed for size or room, nothing leaves for it in the same plan: how much that brings is
    seen in the next inventory.
    """
    # What is told and somebody has just in hand is as good as gone: no newer file leaves in its place.
    files = [kept for kept in files if kept.is_sealed or not kept.told]
    leaving = _unconditional(files, limits, now_sec)
    gone = {step.file.day for step in leaving}
    staying = [kept for kept in files if kept.is_sealed and kept.day not in gone]
    freed = sum(step.file.size for step in leaving)
    total = sum(kept.size for kept in files) - freed
    free = None if free_bytes is None else free_bytes + freed
    room = _Room(
        excess=max(0, total - limits.max_total_bytes) if limits.max_total_bytes else 0,
        is_nearly_full=0 < limits.max_total_bytes * NEARLY < total,
        lack=max(0, limits.min_free_bytes - free) if free is not None else 0,
        free=free,
    )
    packing = list(_packed(staying, limits, now_sec, room, unpackable))
    return [*leaving, *(packing or _pressed_out(staying, room))]


def foreseen(
    files: Sequence[Kept],
    limits: Limits,
    *,
    now_sec: float,
    free_bytes: int | None = None,
    ratio: float = 0.2,
) -> list[Step]:
    """
    Return all steps that will be taken from here on, if packing leaves `ratio` of a file's size.

    For `--dry-run`, and to say a day ahead what is going to be cut.
    """
    taken: list[Step] = []
    there = {kept.day: kept for kept in files}
    while steps := plan(list(there.values()), limits, now_sec=now_sec, free_bytes=free_bytes):
        total = sum(kept.size for kept in there.values())
        missing = max(0, limits.min_free_bytes - free_bytes) if free_bytes is not None else 0
        needed = max(missing, total - limits.max_total_bytes * NEARLY if limits.max_total_bytes else 0)
        saved = 0
        for step in steps:
            if isinstance(step, Pack) and step.reason != AGE and saved >= needed:
                break
            saved += _take(there, step, ratio)
            taken.append(step)
        free_bytes = None if free_bytes is None else free_bytes + saved
    return taken


def _take(there: dict[DayName, Kept], step: Step, ratio: float) -> int:
    """Carry a step out on an inventory; return how many bytes it saves."""
    kept = step.file
    if isinstance(step, Leave):
        del there[kept.day]
        return kept.size
    packed = kept._replace(sizes=(("zst", int(kept.size * ratio)),))
    there[kept.day] = packed
    return kept.size - packed.size


class _Room(NamedTuple):
    """How many bytes are too many, how many are missing on the volume, and what is free there."""

    excess: int
    is_nearly_full: bool
    lack: int
    free: int | None

    @property
    def pressure(self) -> str:
        """Why room has to be made, empty when it need not."""
        return SIZE if self.is_nearly_full else MIN_FREE if self.lack else ""


def _unconditional(files: Sequence[Kept], limits: Limits, now_sec: float) -> list[Leave]:
    """Return what leaves whatever it takes on the disk: told already, too old, too many."""
    found, staying = [], []
    for kept in files:
        is_old = bool(limits.retention_sec) and now_sec - kept.end_sec > limits.retention_sec
        if kept.is_sealed and (kept.told or is_old):
            found.append(Leave(kept, kept.told or AGE))
        else:
            staying.append(kept)
    surplus = max(0, len(staying) - limits.max_files) if limits.max_files else 0
    oldest = [kept for kept in staying if kept.is_sealed][:surplus]
    return [*found, *(Leave(kept, MAX_FILES) for kept in oldest)]


def _packed(
    staying: Sequence[Kept], limits: Limits, now_sec: float, room: _Room, unpackable: Collection[str]
) -> Iterator[Pack]:
    """Yield what is packed, by age or because of pressure; what is half done is finished in any case."""
    for kept in staying:
        if not kept.is_plain or not kept.size or kept.name in unpackable:
            continue  # there is nothing in a part that was made and never written to
        if len(kept.sizes) > 1:
            yield Pack(kept, AGE)
            continue
        if limits.pack_after_sec is None:
            continue
        is_due = now_sec - kept.end_sec > limits.pack_after_sec
        fits = room.free is None or kept.size <= room.free  # the copy is made before the original goes
        if fits and (is_due or room.pressure):
            yield Pack(kept, AGE if is_due else room.pressure)


def _pressed_out(staying: Sequence[Kept], room: _Room) -> Iterator[Leave]:
    """Yield what leaves to make room, oldest first, until there is enough."""
    excess, lack = room.excess, room.lack
    for kept in staying:
        if excess <= 0 and lack <= 0:
            return
        yield Leave(kept, SIZE if excess > 0 else MIN_FREE)
        excess -= kept.size
        lack -= kept.size
