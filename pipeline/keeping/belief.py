"""
What the clock is believed: no file leaves for an age that only a leap of the clock has given it.

A clock that is set a year ahead makes all files a year older at once, and is perhaps set back a minute later.
So the writer notes now and then what the clock said and how long the machine was up, in
`.pipeline/clock.json`. By that a leap is known within one boot; over a restart of the machine nobody can
tell, and two days are believed. A clock that is doubted is believed when it has gone on like that for a day,
and at once when it is back where it should be. What it is ahead until then makes no file older.

Invariants                                                                  integration/test_clock_leaps.py
    T1  While the clock is doubted, files leave for their age as if it had gone on as it did before.
    T2  A leap is believed after a day, whether somebody was there to see it or not, and no sooner.
    T3  It keeps no file from leaving by number, size or for room, nor from being packed: these need no clock,
        or harm nobody.
    T4  A note that is lost, or damaged, doubts nothing; one that cannot be written is what it was.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.host import clock, files, processes
from pipeline.storage.directories import PRIVATE

if TYPE_CHECKING:
    from typing import Self

    from pipeline.paths import Places
    from pipeline.storage.directories import Access

WAIT_SEC: Final = 86_400.0
_DRIFT_SEC: Final = 3600.0
"""By how much the clock may differ within one boot, between two notes."""
_OFF_SEC: Final = 2 * 86_400.0
"""How long a machine may be off without doubt: a weekend."""
_NOTE: Final = "clock.json"
_STORE_SEC: Final = 600.0
"""How old a note may become."""


class Look(NamedTuple):
    """What the clocks said at one moment: epoch seconds, seconds since the boot, and which boot that is."""

    wall_sec: float
    up_sec: float
    boot: str

    @classmethod
    def now(cls) -> Self:
        """Look at the clocks."""
        boot = f"{processes.boot_id()} {processes.time_namespace()}"
        return cls(clock.wall_ns() / clock.NANO, clock.uptime(), boot)

    def follows(self, earlier: Look) -> bool:
        """Whether no clock has leapt since then, as far as that can be told."""
        gone = self.wall_sec - earlier.wall_sec
        if self.boot != earlier.boot:
            return abs(gone) <= _OFF_SEC
        return abs(gone - (self.up_sec - earlier.up_sec)) <= _DRIFT_SEC

    def confirms(self, doubted: Look) -> bool:
        """Whether a clock that was doubted then has gone on like that for long enough."""
        is_long = self.wall_sec - doubted.wall_sec >= WAIT_SEC
        return is_long and (self.boot != doubted.boot or self.follows(doubted))


class Belief(NamedTuple):
    """The last look that was believed, and the first one since that is not."""

    believed: Look | None = None
    doubted: Look | None = None

    def ahead_sec(self, look: Look) -> float:
        """Return how far the clock is ahead of what is believed, 0 while it is believed or behind."""
        if self.believed is None or self._trusts(look):
            return 0.0
        is_known = look.boot == self.believed.boot
        gone = look.up_sec - self.believed.up_sec if is_known else 0.0
        return max(0.0, look.wall_sec - self.believed.wall_sec - gone)

    def after(self, look: Look) -> Belief:
        """Return what is believed behind this look."""
        if self.believed is None or self._trusts(look):
            return Belief(look)
        doubted = self.doubted
        if doubted is None or look.wall_sec < doubted.wall_sec:
            return self._replace(doubted=look)
        is_another = look.boot == doubted.boot and not look.follows(doubted)
        return self._replace(doubted=look) if is_another else self

    def is_worth_a_note(self, known: Belief) -> bool:
        """Whether the note should be written anew, where this one stands."""
        if self.believed is None or known.believed is None or self.doubted != known.doubted:
            return True
        is_same = self.believed.boot == known.believed.boot
        return not is_same or self.believed.up_sec - known.believed.up_sec >= _STORE_SEC

    def _trusts(self, look: Look) -> bool:
        is_confirmed = self.doubted is not None and look.confirms(self.doubted)
        return is_confirmed or self.believed is None or look.follows(self.believed)


def load(places: Places) -> Belief:
    """Return what is noted; nothing where that cannot be read."""
    found = files.read_json(places.belongings_dir / _NOTE) or {}
    return Belief(_look_of(found.get("believed")), _look_of(found.get("doubted")))


def store(places: Places, belief: Belief, access: Access = PRIVATE) -> None:
    """Write it down for who may read the files, if the disk takes it."""
    note = {name: look and look._asdict() for name, look in belief._asdict().items()}
    with suppress(OSError):
        files.write_json(places.belongings_dir / _NOTE, note, give=access.give_file)


def ahead_sec(places: Places) -> float:
    """Return by how much files would be too old now, in seconds; nearly always 0."""
    return load(places).ahead_sec(Look.now())


def _look_of(found: Any) -> Look | None:
    try:
        return Look(float(found["wall_sec"]), float(found["up_sec"]), str(found["boot"]))
    except (TypeError, KeyError, ValueError):
        return None
