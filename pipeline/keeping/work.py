"""
What the keeper has to do in a log directory, and doing it file by file.

A file is due when its period has been over for `compress_after_days`; one of another instance, whose writer
may be on another host, a day after its period at the earliest. Whoever does this holds the keeper lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.errors import PipelineError
from pipeline.host import clock
from pipeline.keeping import inventory, packing
from pipeline.keeping.codecs import NONE
from pipeline.keeping.packing import Packing
from pipeline.keeping.plan import Limits, Pack, plan
from pipeline.limits import SEAL_AFTER_SEC
from pipeline.storage import naming
from pipeline.storage.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.naming import DayName

DAY_SEC: Final = 86_400.0
PACKED: Final = "packed"
UNPACKED_COPY: Final = "unpacked copy removed"


class Done(NamedTuple):
    """What became of a file."""

    file: str
    action: str
    bytes: int
    """What it took on the disk before."""
    bytes_after: int = 0
    trouble: str = ""
    """Why it stayed as it was, if it did."""
    is_fault: bool = False
    """Whether that is the disk's fault, and no finding."""

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return self._asdict()


def due(places: Places, settings: Settings, instance: str) -> list[str]:
    """Return the plain files that are to be packed, oldest first. OSError when nobody can look."""
    Volume(places).check()
    now = clock.wall_ns() / clock.NANO

    def is_sealed(day: DayName, end_sec: int) -> bool:
        return now - end_sec > (SEAL_AFTER_SEC if day.instance == instance else DAY_SEC)

    found = inventory.take(places.log_dir, is_sealed=is_sealed, timezone=settings.timezone)
    wait_sec = None if settings.compression == NONE else settings.compress_after_days * DAY_SEC
    steps = plan(found, Limits(pack_after_sec=wait_sec), now_sec=now)
    left = [kept.name for kept in found if kept.is_plain and len(kept.files) > 1 and kept.is_sealed]
    return list(dict.fromkeys(left + [step.file.name for step in steps if isinstance(step, Pack)]))


def do(places: Places, settings: Settings, instance: str, beat: Callable[[], None]) -> Iterator[Done]:
    """
    Do all that is due, and yield what becomes of file after file; `beat` is called many times a second.

    Whatever `beat` raises ends it: the file at work is then as it was. OSError when nobody can look.
    """
    packing.remove_drafts(places)
    tried: set[str] = set()
    while left := [name for name in due(places, settings, instance) if name not in tried]:
        tried.add(left[0])
        beat()
        yield _done(places, left[0], settings.compression, beat)


def _done(places: Places, name: str, compression: str, beat: Callable[[], None]) -> Done:
    path = places.log_dir / name
    size = 0
    try:
        size = path.stat().st_size
        if (copy := naming.packed_copy(path)) is not None:
            for _ in packing.mend(places, name):
                beat()
            return Done(name, UNPACKED_COPY, size, copy.stat().st_size)
        run = Packing(places, name, compression)
        for _ in run.steps():
            beat()
        return Done(name, PACKED, run.before, run.after)
    except (OSError, PipelineError) as error:
        return Done(name, PACKED, size, size, str(error), is_fault=isinstance(error, OSError))
