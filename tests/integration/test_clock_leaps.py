"""A clock that leaps forward makes no file old enough to leave, until it has stayed there for a day."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.commands import ask, call
from support.days import DAY_SEC, DAYS, history, site_over, write_days
from support.rig import Rig
from support.waiting import HANG_SEC

from pipeline import LogLifecycleManager
from pipeline.host import clock, files, processes
from pipeline.keeping import at_once, belief
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Leave
from pipeline.settings import Settings

YEAR_SEC = 365 * DAY_SEC
HOUR_SEC = 3600.0
NAMES = [f"{day}.jsonl" for day in DAYS[:5]]
NOTE = "clock.json"


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give five days of which the first is too old, and a writer that has just looked at the clock."""
    made = Rig(retention_days=3.0, compression="none", max_total_size_mb=0.0, min_free_mb=0.0)
    try:
        write_days(made, 5)
        passes(made, 61)
        yield made
    finally:
        made.close()


def passes(rig: Rig, seconds: float) -> None:
    """Let time pass, and the writer look at the end of it."""
    rig.pass_time(seconds)
    rig.step(2)
    rig.drain()


def leaps(rig: Rig, seconds: float) -> None:
    """Set the clock, a minute before the writer looks."""
    rig.clock.wall_ns += round(seconds * clock.NANO)
    passes(rig, 61)


def leaving(rig: Rig) -> list[str]:
    """Return which of the five days a keeper would let go now."""
    due = [step.file.name for step in Cleaner(rig.places, rig.settings).due() if isinstance(step, Leave)]
    return [name for name in due if name in NAMES]


def told(rig: Rig) -> list[int]:
    """Return what the stream tells of the clock."""
    return [one["ahead_sec"] for one in rig.records() if one["action_type"] == "clock_doubted"]


def test_a_clock_that_is_a_year_ahead_for_a_while_makes_no_file_old_enough(rig: Rig) -> None:
    """T1: those leave that would have left without it; the stream tells it once, health as long as it is."""
    assert leaving(rig) == NAMES[:1]
    leaps(rig, YEAR_SEC)
    passes(rig, HOUR_SEC)
    assert leaving(rig) == NAMES[:1]
    assert told(rig) == pytest.approx([YEAR_SEC], abs=120)
    assert rig.writer.upkeep.wish.outlook["clock_ahead_sec"] == pytest.approx(YEAR_SEC, abs=120)
    leaps(rig, -YEAR_SEC)
    assert leaving(rig) == NAMES[:1]
    assert rig.writer.upkeep.wish.outlook["clock_ahead_sec"] == 0
    assert len(told(rig)) == 1


def test_before_the_writer_has_looked_a_keeper_knows_it_too(rig: Rig) -> None:
    """It runs just when the clock leaps."""
    cleaner = Cleaner(rig.places, rig.settings)
    rig.clock.wall_ns += round(YEAR_SEC * clock.NANO)
    assert [step.file.name for step in cleaner.due()] == NAMES[:1]


def test_a_clock_that_stays_ahead_is_believed_after_a_day(rig: Rig) -> None:
    """T2: until then files grow older as they did before; a successor of the writer waits no longer."""
    leaps(rig, YEAR_SEC)
    rig.kill_writer()
    rig.start_writer()
    passes(rig, 23 * HOUR_SEC)
    assert leaving(rig) == NAMES[:2]
    passes(rig, 1.1 * HOUR_SEC)
    assert leaving(rig) == NAMES
    passes(rig, HOUR_SEC)
    assert len(told(rig)) == 1


def test_each_leap_waits_for_a_day_of_its_own(rig: Rig) -> None:
    """T2: a clock that goes from year to year, a bit sooner than it is believed."""
    for number in range(3):
        leaps(rig, YEAR_SEC)
        passes(rig, 23 * HOUR_SEC)
        assert leaving(rig) == NAMES[: number + 2]
    assert len(told(rig)) == 3


def test_over_a_restart_of_the_machine_two_days_are_believed(rig: Rig) -> None:
    """How long it was off nobody can tell: longer, and it is doubted until the day after."""
    note = rig.places.belongings_dir / NOTE
    for number, (days_off, expected) in enumerate([(1.9, NAMES[:3]), (2.1, NAMES[:3])]):
        rig.kill_writer()
        rig.patch.setattr(processes, "boot_id", lambda number=number: f"boot {number}")
        rig.clock.monotonic = 20.0
        rig.clock.wall_ns += round(days_off * DAY_SEC * clock.NANO)
        rig.start_writer()
        passes(rig, 61)
        assert leaving(rig) == expected
        assert bool(json.loads(note.read_bytes())["doubted"]) is bool(number)
    rig.kill_writer()
    rig.patch.setattr(processes, "boot_id", lambda: "boot 2")
    rig.clock.monotonic = 20.0
    rig.clock.wall_ns += round(30 * DAY_SEC * clock.NANO)  # it was off: nobody was there to see it
    assert leaving(rig) == NAMES


def test_a_machine_without_a_clock_of_its_own_is_not_doubted(rig: Rig) -> None:
    """It begins in 1970 and is set right when there is a network: that is where it should be."""
    for number in range(3):
        rig.kill_writer()
        rig.patch.setattr(processes, "boot_id", lambda number=number: f"boot {number}")
        rig.clock.monotonic, wall_ns = 20.0, rig.clock.wall_ns
        rig.clock.wall_ns = 20 * clock.NANO
        rig.start_writer()
        passes(rig, 61)
        assert leaving(rig) == []
        rig.clock.wall_ns = wall_ns
        passes(rig, 61)
        assert leaving(rig) == NAMES[:1]
    assert told(rig) == []


def test_what_needs_no_clock_waits_for_none(rig: Rig) -> None:
    """T3: by number, by size, for room."""
    leaps(rig, YEAR_SEC)
    for limit in ({"max_files": 3}, {"max_total_size_mb": 0.001}):
        steps = Cleaner(rig.places, Settings(retention_days=3.0, compression="none", **limit)).due()
        assert len(steps) >= 2
    steps = Cleaner(rig.places, Settings(retention_days=0, compress_after_days=30)).due()
    assert [step.file.name for step in steps] == NAMES


@pytest.mark.parametrize("harm", ["lost", "damaged", "strange"])
def test_a_note_that_is_lost_doubts_nothing(rig: Rig, harm: str) -> None:
    """T4: there is a new one then."""
    note = rig.places.belongings_dir / NOTE
    rig.clock.wall_ns += round(YEAR_SEC * clock.NANO)
    if harm == "lost":
        note.unlink()
    else:
        note.write_text("{half" if harm == "damaged" else '{"believed": {"wall_sec": null}, "doubted": 3}')
    passes(rig, 61)
    assert set(leaving(rig)) == set(NAMES)
    assert json.loads(note.read_bytes())["doubted"] is None


def test_a_note_that_cannot_be_written_is_what_it_was(rig: Rig) -> None:
    """T4: a full disk; what is doubted stays so."""
    replace = files.replace

    def refuse(path: Path, *data: object, **more: object) -> None:
        if path.name == NOTE:
            raise OSError(28, "No space left on device")
        replace(path, *data, **more)

    rig.patch.setattr(files, "replace", refuse)
    leaps(rig, YEAR_SEC)
    passes(rig, 2 * DAY_SEC)
    assert leaving(rig) == NAMES[:3]


def test_who_asks_by_hand_does_not_wait_and_a_schedule_does(rig: Rig) -> None:
    """A person sees what day it is, and is warned."""
    rig.clock.wall_ns += round(YEAR_SEC * clock.NANO)
    daily = LogLifecycleManager(rig.places.log_dir, retention_days=3.0)
    rig.patch.setattr(Cleaner, "run", lambda self: iter(self.due() and ()))
    assert daily.daily_rotation()["clock_ahead_sec"] == pytest.approx(YEAR_SEC, abs=120)
    by_hand = at_once.clean(rig.places, rig.settings, dry_run=True)
    assert [step.file.name for step in by_hand.foreseen] == NAMES
    waiting = at_once.clean(rig.places, rig.settings, dry_run=True, trusts_clock=False)
    assert [step.file.name for step in waiting.foreseen] == NAMES[:1]


APP = """
    import json, os
    from stage import emit, hear, say, start
    start(retention_days=30, compression="none", max_total_size_mb=0, min_free_mb=0)
    emit("first")
    say("ready")
    hear()
"""


def note_of(site: Site, **ago_sec: float) -> None:
    """Write what a writer would have noted that looked so many seconds ago by the clock, a minute ago."""
    now = belief.Look.now()
    looks = {
        name: now._replace(wall_sec=now.wall_sec - sec, up_sec=now.up_sec - 60)
        for name, sec in ago_sec.items()
    }
    belief.store(site.places, belief.Belief(**looks))


def test_health_tells_of_a_clock_that_is_doubted_and_files_stay(tmp_path: Path) -> None:
    """By a real pipeline; what is asked for by hand warns and goes."""
    made = history(tmp_path / "made")
    with site_over(made, tmp_path / "site") as site:
        note_of(site, believed=100 * DAY_SEC + 60)
        app = site.app(APP)
        app.expect("ready")
        health = site.until_reason("clock_doubted")
        assert health["status"] == "ok"
        assert health["retention"]["clock_ahead_sec"] == pytest.approx(100 * DAY_SEC, abs=900)
        said = call(site, "cleanup", "--dry-run", "--retention", "36500d").stderr
        assert "warning: the clock is 100.0 days ahead" in said
        assert ask(site, "cleanup", "--dry-run")["clock_ahead_sec"] > 99 * DAY_SEC
        belief.store(site.places, belief.Belief(belief.Look.now()))
        os.kill(site.writer(), signal.SIGKILL)  # its successor looks at once and not in a minute
        site.until_reason("clock_doubted", holds=False)
        app.tell("end")
        assert app.wait() == 0
        site.until_ended(HANG_SEC)
        assert [one["ahead_sec"] > 99 * DAY_SEC for one in site.of_type("clock_doubted")] == [True]
