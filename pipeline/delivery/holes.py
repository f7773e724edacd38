"""
What a power loss leaves in day files beside whole records: holes of zeros, and half lines.

Bytes that no fsync had covered may be there in any choice: a file then holds zeros where a write did not
arrive and a later one did, and its end may be anywhere in a line. All behind the first hole was never durable
either, as one fsync covers a whole file; it is kept in quarantine, and what lanes hold of it is delivered
again. No record contains a zero byte, so a hole cannot be mistaken.

Invariant
    H1  After a recovery no file of ours that is not sealed has a hole, or a half line of ours at its end.
        property/test_power_model.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint
from pipeline.storage import stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.storage.days import Days

_CHUNK_BYTES: Final = 4 << 20


def mend(days: Days, beat: Callable[[], None]) -> None:
    """Cut each file that is not sealed at its first hole behind what the checkpoint knows to be synced."""
    for name, synced in days.unsealed().items():
        if name in days.marked:
            continue  # it is cut further up
        try:
            offset = _first_hole(days.directory / name, synced, beat)
        except FileNotFoundError:
            continue  # packed just now: a file with a hole never is
        if offset is None:
            continue
        failpoint.reach("writer.recover.hole")
        file = days.open_by_name(name)
        days.quarantine(name, offset, file.read(offset, file.actual_size()))
        file.cut_to(offset)
        file.sync()
        days.let_go(file)


def torn(days: Days) -> set[str]:
    """Return the files that are not sealed and end in a half line of ours."""
    return {name for name in days.unsealed() if _is_torn(days.directory / name)}


def _is_torn(path: Path) -> bool:
    try:
        return stored.is_half(stored.torn_tail(path)[1])
    except FileNotFoundError:
        return False  # packed just now: a half line never is


def _first_hole(path: Path, start: int, beat: Callable[[], None]) -> int | None:
    """Return where the line begins that has the first zero byte from `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        line_start = start
        while piece := file.read(_CHUNK_BYTES):
            beat()
            place = file.tell() - len(piece)
            zero = piece.find(b"\0")
            newline = piece.rfind(b"\n", 0, zero if zero >= 0 else len(piece))
            if newline >= 0:
                line_start = place + newline + 1
            if zero >= 0:
                return line_start
    return None
