"""
The names of a lane's segments: which file is the nth, and whose it is.

A segment that nobody has begun to read is `N.seg`. The writer renames it to `N.taken` before it reads it;
only what is not taken can be dropped. Both may stand there: then a dropper was late, its stub `N.seg` is
nothing, and `N.taken` is the segment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import failpoint, files
from pipeline.queue.layout import segment_name, serial_of, taken_name

if TYPE_CHECKING:
    from pathlib import Path


def names_of(serial: int) -> tuple[str, str]:
    """Return the names that the nth segment may have, the one that counts first."""
    return taken_name(serial), segment_name(serial)


def segments_in(directory: Path) -> dict[int, Path]:
    """Return the segments of a lane's directory by their serial, in order."""
    names = set(files.names_in(directory))
    serials = sorted({serial for name in names if (serial := serial_of(name)) is not None})
    found = {}
    for serial in serials:
        taken, free = names_of(serial)
        found[serial] = directory / (taken if taken in names else free)
    return found


def take(directory: Path, serial: int) -> Path | None:
    """
    Make a segment the writer's; its path, None when it is not there or its file system refuses.

    For the one writer of the instance only: what is taken already must not be written over.
    """
    taken, free = (directory / name for name in names_of(serial))
    if taken.exists():
        return taken
    try:
        failpoint.reach("writer.take.before")
        free.rename(taken)
        failpoint.reach("writer.take.after")
    except OSError:
        return None
    return taken


def remove(directory: Path, serial: int) -> None:
    """Unlink a segment: a late stub first, which would else be all there is of it."""
    taken, free = names_of(serial)
    files.remove(directory / free)
    files.remove(directory / taken)
