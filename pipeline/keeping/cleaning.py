"""
A plan carried out, one bounded step at a time.

Each step looks anew what there is, asks for a plan, and does the first of it: packs one file, or lets a few
leave, oldest first. So it can be ended between two steps, killed in one, and begun again by somebody else.
Whoever does this holds the keeper lock.

Invariants
    C1  A file that somebody appends to, or whose entry cannot be written, stays; and is not tried again in
        this run.
    C2  What is told with a file is its last sight: a step either tells of a file or leaves it there.
    C3  For the rest of the run a file that had to stay counts as gone: no newer one leaves in its place, but
        for room on the volume, which it does not give. It may be one of an instance that lives, and lets it
        go itself.                                          integration/test_two_instances_retention.py, too
The tests are integration/test_cleaning.py and crash/test_leaving_killed.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.errors import PipelineError
from pipeline.host import clock, files
from pipeline.keeping import belief, from_settings, inventory, last_words, notes, packing
from pipeline.keeping.forecast import outlook
from pipeline.keeping.goodbyes import Goodbyes
from pipeline.keeping.leaving import leave
from pipeline.keeping.plan import Leave, Pack, foreseen, plan
from pipeline.keeping.seals import Seals
from pipeline.limits import MIB
from pipeline.storage import holding
from pipeline.storage.directories import Access
from pipeline.storage.grip import Grip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.keeping.forecast import Outlook
    from pipeline.keeping.inventory import Kept
    from pipeline.keeping.plan import Limits, Step
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.manifest import Entry

_AT_ONCE: Final = 16
"""Files that leave in one step: their entries are asked for together."""
_BYTES_AT_ONCE: Final = 64 * MIB
"""What is read for their last words before the first of them gives its room back."""
PACKED: Final = "packed"
UNPACKED_COPY: Final = "unpacked copy removed"
_OPEN: Final = "somebody has it open to append"
_UNSAID: Final = "its writer, perhaps on another host, has not said that it goes"


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
    is_fault: bool = False
    """Whether that is the fault of a disk, a command or a writer, and no finding about the file."""

    @property
    def freed(self) -> int:
        """How many bytes of the volume this gave back."""
        return 0 if self.trouble else self.bytes - self.bytes_after

    def document(self) -> dict[str, Any]:
        """Return it for JSON, without a trouble where there is none."""
        found = self._asdict()
        return found if self.trouble else {key: found[key] for key in found.keys() - {"trouble", "is_fault"}}


class Sight(NamedTuple):
    """What there is at one moment, and how much of it is kept."""

    kept: list[Kept]
    limits: Limits


class Cleaner:
    """
    One run over one log directory, by the limits of its settings or others.

    All of it goes through one held directory (`storage/grip`), which is looked for anew at each step.

    `beat` is called many times a second; whatever it raises ends the run, and the file at work is as it was.
    """

    def __init__(
        self,
        places: Places,
        settings: Settings,
        *,
        limits: Limits | None = None,
        grip: Grip | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`grip` is through which the directory is reached, where its holder does nothing else meanwhile."""
        self._grip = grip or Grip(places)
        self._places = self._grip.places
        self._settings = settings
        self._given = limits
        self._way = from_settings.way_of(settings)
        self._beat = beat
        self._access = Access.of(settings)
        self._goodbyes = Goodbyes(self._places, self._access, beat)
        self._unpackable: set[str] = set()
        self._staying: set[str] = set()
        self._explained: dict[str, int] = {}

    @property
    def _limits(self) -> Limits:
        """The limits now: some are shares of the volume, which may have come just now."""
        return self._given or from_settings.limits_of(self._settings, self._places.log_dir)

    @property
    def _believed_limits(self) -> Limits:
        """The limits now; a clock that is doubted makes no file older, unless limits were given."""
        return self._given or self._limits.stretched(belief.ahead_sec(self._places))

    def sight(self) -> Sight:
        """Look what there is and how much of it is kept, for several questions at once. OSError as `run`."""
        return Sight(self._look(), self._believed_limits)

    def foresee(self) -> list[Step]:
        """Return all that would be done, if packing makes a file a fifth of what it was. Changes nothing."""
        return foreseen(*self.sight(), now_sec=_now_sec(), free_bytes=self._free())

    def outlook(self, sight: Sight) -> Outlook:
        """Return what files take, and what will have to leave for want of room within a day."""
        return outlook(*sight, now_sec=_now_sec(), free_bytes=self._free())

    def is_scarce(self) -> bool:
        """Whether less is free on the volume than should be. Costs one statfs(2)."""
        free = self._free()
        return free is not None and free < self._limits.min_free_bytes

    def due(self, sight: Sight | None = None) -> list[Step]:
        """Return what is due now. OSError when nobody can look."""
        return plan(
            *(sight or self.sight()),
            now_sec=_now_sec(),
            free_bytes=self._free(),
            unpackable=self._unpackable,
        )

    def run(self) -> Iterator[Done]:
        """Yield what becomes of file after file, until nothing is due. OSError when nobody can look."""
        self._grip.check()
        packing.remove_drafts(self._places)
        while done := self.step():
            yield from done
        notes.sweep(self._places)

    def unfinished(self, sight: Sight | None = None) -> list[Kept]:
        """Return the sealed files that nobody has indexed and counted yet."""
        there = sight.kept if sight else self._look()
        return [kept for kept in there if kept.is_sealed and not notes.is_finished(self._places, kept.name)]

    def finish(self) -> Iterator[str]:
        """Index and count them, and yield their names, but of what cannot be read. OSError as `run`."""
        for kept in self.unfinished():
            try:
                notes.finish(self._places, kept, self._access, self._beat)
            except OSError:
                continue  # damaged, gone meanwhile, or no room: verify has to say which, not the catalog
            yield kept.name

    def step(self) -> list[Done]:
        """Do the next step, and return what became of its files; nothing when nothing is due."""
        self._beat()
        steps = self.due()
        if not steps:
            return []
        first = steps[0]
        return [self._packed(first)] if isinstance(first, Pack) else self._let_leave(_together(steps))

    def _look(self) -> list[Kept]:
        self._grip.check()
        seals = Seals(self._places, _now_sec(), self._explained)
        found = inventory.take(
            self._places.log_dir,
            is_sealed=seals.is_sealed,
            told=self._goodbyes.told,
            timezone=self._settings.timezone,
        )
        return [kept for kept in found if kept.name not in self._staying]

    def _free(self) -> int | None:
        return files.free_bytes(self._places.log_dir)

    def _packed(self, step: Pack) -> Done:
        """Pack a file, or take away what is left of it beside the packed one."""
        name, size = step.file.name, step.file.size
        try:
            if len(step.file.sizes) > 1:
                for _ in packing.mend(self._places, name):
                    self._beat()
                return Done(name, UNPACKED_COPY, step.reason, size, size - step.file.sizes[0][1])
            run = packing.Packing(self._places, name, self._settings.compression)
            for _ in run.steps():
                self._beat()
            return Done(name, PACKED, step.reason, run.before, run.after)
        except (OSError, PipelineError) as error:
            self._unpackable.add(name)
            why = self._grip.named(str(error))
            return Done(name, PACKED, step.reason, size, size, why, isinstance(error, OSError))

    def _let_leave(self, steps: Sequence[Leave]) -> list[Done]:
        """Have them told, and let those go that are; nobody may append to one meanwhile."""
        with ExitStack() as stack:
            held = {step.file.name: step for step in steps if self._is_held(step.file, stack)}
            told, trouble = self._said(held, steps[0])
            return [
                self._left(step)
                if step.file.name in told
                else self._stayed(step, trouble if step.file.name in held else _OPEN)
                for step in steps
            ]

    def _said(self, leaving: Mapping[str, Leave], first: Leave) -> tuple[set[str], str]:
        """Have entries written; return the names that have one, and why the others have none."""

        def words_of(name: str, manifest: Path) -> Entry:
            return last_words.of(self._places.log_dir / leaving[name].file.files[0], manifest, self._beat)

        reasons = {name: step.reason for name, step in leaving.items()}
        try:
            told = self._goodbyes.say(reasons, first.file.day.instance, words_of) if leaving else set()
        except OSError as error:
            return set(), str(error)
        return told, _UNSAID

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
        notes.forget(self._places, kept.name)
        return Done(kept.name, self._way.verb, step.reason, kept.size)

    def _stayed(self, step: Leave, trouble: str) -> Done:
        self._staying.add(step.file.name)
        size, why = step.file.size, self._grip.named(trouble)
        return Done(
            step.file.name, self._way.verb, step.reason, size, size, why, trouble not in (_OPEN, _UNSAID)
        )


def _now_sec() -> float:
    return clock.wall_ns() / clock.NANO


def _together(steps: Sequence[Step]) -> list[Leave]:
    """Return the first steps that can be told at once: files of one instance that leave."""
    found: list[Leave] = []
    size = 0
    for step in steps[:_AT_ONCE]:
        if isinstance(step, Pack) or (found and step.file.day.instance != found[0].file.day.instance):
            break
        size += step.file.size
        if found and size > _BYTES_AT_ONCE:
            break
        found.append(step)
    return found
