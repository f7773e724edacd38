"""
A plan carried out, one bounded step at a time.

Each step looks anew what there is, asks for a plan, and does the first of it: packs one file, or lets a few
leave, oldest first. So it can be ended between two steps, killed in one, and begun again by somebody else.
Whoever does this holds the keeper lock.

Invariants
    C1  A file that somebody appends to, or whose entry cannot be written, stays; and is not tried again in
        this run.
    C2  What is told with a file is its last sight: a step either tells of a file or leaves it there.
The tests are integration/test_cleaning.py and crash/test_leaving_killed.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.errors import PipelineError
from pipeline.host import clock, files
from pipeline.keeping import inventory
from pipeline.keeping.goodbyes import Goodbyes
from pipeline.keeping.leaving import Way, leave
from pipeline.keeping.plan import Leave, Limits, Pack, foreseen, plan
from pipeline.keeping.seals import Seals
from pipeline.storage import holding
from pipeline.storage.directories import PRIVATE
from pipeline.storage.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.keeping.inventory import Kept
    from pipeline.keeping.plan import Step
    from pipeline.paths import Places
    from pipeline.storage.directories import Access

_AT_ONCE: Final = 16
"""Files that leave in one step: their entries are asked for together."""
PACKED: Final = "packed"
_OPEN: Final = "somebody has it open to append"


class Done(NamedTuple):
    """What became of a file."""

    file: str
    action: str
    """`packed`, or what the way of leaving calls it: `deleted`, `moved`, `given to the command`."""
    reason: str
    bytes: int
    """What it took on the disk before."""
    bytes_after: int = 0
    trouble: str = ""
    """Why it stayed as it was, if it did."""

    @property
    def freed(self) -> int:
        """How many bytes of the volume this gave back."""
        return 0 if self.trouble else self.bytes - self.bytes_after

    def document(self) -> dict[str, Any]:
        """Return it for JSON, without a trouble where there is none."""
        return {key: value for key, value in self._asdict().items() if key != "trouble" or value}


class Cleaner:
    """One run over one log directory."""

    def __init__(
        self,
        places: Places,
        limits: Limits,
        *,
        way: Way | None = None,
        pack: Callable[[str], int] | None = None,
        timezone: str = "UTC",
        access: Access = PRIVATE,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`pack` packs the file of a name and returns how long it is then; without it nothing is packed."""
        self._places = places
        self._limits = limits if pack else replace(limits, pack_after_sec=None)
        self._way = way or Way()
        self._pack = pack
        self._timezone = timezone
        self._beat = beat
        self._goodbyes = Goodbyes(places, access, beat)
        self._volume = Volume(places)
        self._unpackable: set[str] = set()
        self._busy: set[str] = set()

    def foresee(self) -> list[Step]:
        """Return all that would be done, if packing makes a file a fifth of what it was. Changes nothing."""
        now_sec, files_there = self._look()
        return foreseen(files_there, self._limits, now_sec=now_sec, free_bytes=self._free())

    def run(self) -> Iterator[Done]:
        """Yield what becomes of file after file, until nothing is due. OSError when nobody can look."""
        while done := self.step():
            yield from done

    def step(self) -> list[Done]:
        """Do the next step, and return what became of its files; nothing when nothing is due."""
        now_sec, files_there = self._look()
        steps = plan(
            files_there,
            self._limits,
            now_sec=now_sec,
            free_bytes=self._free(),
            unpackable=self._unpackable,
        )
        if not steps:
            return []
        first = steps[0]
        return [self._packed(first)] if isinstance(first, Pack) else self._let_leave(_together(steps))

    def _look(self) -> tuple[float, list[Kept]]:
        self._volume.check()
        now_sec = clock.wall_ns() / clock.NANO
        seals = Seals(self._places, now_sec)
        found = inventory.take(
            self._places.log_dir,
            is_sealed=lambda day, end_sec: str(day) not in self._busy and seals.is_sealed(day, end_sec),
            told=self._goodbyes.told,
            timezone=self._timezone,
        )
        return now_sec, found

    def _free(self) -> int | None:
        return files.free_bytes(self._places.log_dir)

    def _packed(self, step: Pack) -> Done:
        kept = step.file
        done = Done(kept.name, PACKED, step.reason, kept.size)
        try:
            return done._replace(bytes_after=self._pack(kept.name) if self._pack else kept.size)
        except (OSError, PipelineError) as error:
            self._unpackable.add(kept.name)
            return done._replace(bytes_after=kept.size, trouble=str(error))

    def _let_leave(self, steps: Sequence[Leave]) -> list[Done]:
        """Have them told, and let those go that are; nobody may append to one meanwhile."""
        with ExitStack() as stack:
            held = {step.file.name: step for step in steps if self._is_held(step.file, stack)}
            told, trouble = self._said({name: step.reason for name, step in held.items()}, steps[0])
            return [
                self._left(step)
                if step.file.name in told
                else self._stayed(step, trouble if step.file.name in held else _OPEN)
                for step in steps
            ]

    def _said(self, leaving: Mapping[str, str], first: Leave) -> tuple[set[str], str]:
        """Have entries written; return the names that have one, and why the others have none."""
        try:
            told = self._goodbyes.say(leaving, first.file.day.instance) if leaving else set()
        except OSError as error:
            return set(), str(error)
        return told, "its writer has not said yet that it may go"

    def _is_held(self, kept: Kept, stack: ExitStack) -> bool:
        try:
            held = holding.hold(self._places.log_dir / kept.files[0])
        except OSError:
            return False
        if held is not None:
            stack.enter_context(held)
        return held is not None

    def _left(self, step: Leave) -> Done:
        kept = step.file
        try:
            leave([self._places.log_dir / name for name in kept.files], self._way, self._beat)
        except (OSError, PipelineError) as error:
            return self._stayed(step, str(error))
        return Done(kept.name, self._way.verb, step.reason, kept.size)

    def _stayed(self, step: Leave, trouble: str) -> Done:
        self._busy.add(step.file.name)
        return Done(step.file.name, self._way.verb, step.reason, step.file.size, step.file.size, trouble)


def _together(steps: Sequence[Step]) -> list[Leave]:
    """Return the first steps that can be told at once: files of one instance that leave."""
    found: list[Leave] = []
    for step in steps[:_AT_ONCE]:
        if isinstance(step, Pack) or (found and step.file.day.instance != found[0].file.day.instance):
            break
        found.append(step)
    return found
