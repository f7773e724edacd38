"""
Delivery, fallback, replay and recovery with everything that goes wrong at once: each record is stored once.

A world (tests/support/world.py) plays random scripts (tests/support/script.py): a volume that is full,
read-only, unmounted, or fails its syncs, a fallback store that refuses, files that are full, a clock that is
set, `pipeline replay-fallback` and a keeper beside the writer, and any process interrupted or killed at any
of its calls. Then all is made well, and every accepted record has to be once in the files, packed or not, or
in those that a keeper let leave and the chain tells of; `pipeline verify` has no finding, and `pipeline
account` balances.

What it has found stands below as a script of its own. A failure shows its seed and the shortest script.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import script
from support.script import Step
from support.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Who is killed in the middle of a call closes nothing."""

_LENGTHS = (8, 16, 30)
_SHORT_RUN_SEC = 15.0
_SHORTEN_SEC = 60.0
"""How long a script that fails is made shorter; the seed is told anyway."""


def play(steps: Sequence[Step], *, is_point: bool = False, **settings: Any) -> None:
    """Play a script in a world of its own, make all well, and judge."""
    world = World(is_point=is_point, **settings)
    try:
        world.play(steps)
        world.end()
    finally:
        world.close()


def simulate(first: int, seconds: float, places: Sequence[str]) -> None:
    """Play the scripts of one seed after the other; the first that fails is made shorter, and shown."""
    end = time.monotonic() + seconds
    number = first
    while time.monotonic() < end:
        number += 1
        dice = random.Random(number)
        about = {"is_point": bool(dice.randrange(2)), "lanes": dice.choice(places), **_rotation(dice)}
        steps = script.make(dice, dice.choice(_LENGTHS))
        trouble = _trouble(steps, about)
        if trouble:
            late = time.monotonic() + _SHORTEN_SEC
            short = script.shortest(
                steps,
                lambda some: time.monotonic() < late and _trouble(some, about) == trouble,  # noqa: B023
            )
            shown = "".join(f"    {step},\n" for step in short)
            pytest.fail(f"seed {number}, {about}: {trouble}\n{shown}")


def _rotation(dice: random.Random) -> dict[str, Any]:
    """Return how files are rotated and packed; half of the worlds have whole days."""
    every = dice.choice(["day", "day", "day", "hour", "minute", "second"])
    size = dice.choice([0, 0, 0.002, 0.01])
    return {"rotate_every": every, "rotate_max_mb": size, "compression": dice.choice(["zstd", "gzip"])}


def _trouble(steps: Sequence[Step], about: dict[str, Any]) -> str:
    """Return what kind of failure a script ends with, "" for none."""
    try:
        play(steps, **about)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the script has found
        return f"{type(error).__name__}: {str(error).partition(':')[0][:60]}"
    return ""


@pytest.mark.timeout(600)
def test_no_combination_of_troubles_loses_or_repeats_a_record(seed: int) -> None:
    """For a moment."""
    simulate(seed, _SHORT_RUN_SEC, ["memory", "memory", "disk"])


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_combination_of_troubles_loses_or_repeats_a_record_for_long(seed: int) -> None:
    """For half an hour, or as many seconds as PIPELINE_SIMULATION_SEC says."""
    simulate(seed, float(os.environ.get("PIPELINE_SIMULATION_SEC", "1800")), ["memory", "memory", "disk"])


# What it has found, each as short as it was after the steps that can be left out


_BEGUN = (Step("emit", (0, 3, 30)), Step("work", (3, 11)))
_ENDS = ("producer_closed", "producer_died")
_WRITTEN = (*_BEGUN, Step("emit", (0, 3, 30)), Step("work", (1, 1)))
"""And not synced."""
_IN_FALLBACK = (*_BEGUN, Step("full", (0,)), Step("emit", (0, 3, 30)), Step("work", (6, 11)))


def test_a_volume_that_is_away_is_not_a_log_directory_that_is_gone() -> None:
    """The writer that finds nobody and no directory keeps the lanes, its own too."""
    away = (Step("work", (1, 1)), Step("unmount"), Step("emit", (0, 0, 0)), Step("work", (1, 1)))
    play([*away, Step("end_producer", (0, 0)), Step("work", (1, 1))])


def test_a_writer_that_ends_after_a_sync_that_failed_leaves_word_of_it() -> None:
    """Its successor's sync reports success; the pages are gone once the volume is mounted again."""
    play([Step("work", (1, 1)), Step("sync_errors", (1, 1)), Step("work", (1, 7)), *_BEGUN, Step("unmount")])


@pytest.mark.parametrize("how", ["late", "killed"])
def test_a_writer_that_is_killed_in_a_sync_that_fails_leaves_word_of_it(how: str) -> None:
    """Nobody has seen the error; or it was seen, and nothing could be done any more."""
    dies = Step("work", (3, 11), "fsync /disk/logs/2025-11-21.jsonl", how)
    play([*_BEGUN, Step("sync_errors", (1, 1)), Step("emit", (0, 3, 30)), dies, *_BEGUN, Step("unmount")])


def test_a_recovery_whose_sync_fails_does_not_believe_the_next_one() -> None:
    """By the files: what it read there is written again."""
    dies = Step("work", (1, 1), "writer.commit.after", "killed")
    play([Step("emit", (0, 3, 30)), dies, Step("sync_errors", (1, 1)), *_BEGUN, Step("unmount")])


def test_the_last_entry_of_a_manifest_is_on_the_disk_before_its_head_is_told() -> None:
    """Its sync failed, and its writer was killed before it could cut the entry off."""
    dies = Step("work", (1, 95), 6, "killed")
    begun = (Step("emit", (0, 0, 0)), Step("work", (2, 5)), Step("sync_errors", (1, 1)))
    play([*begun, dies, Step("work", (1, 1)), Step("unmount")], is_point=True)


def test_a_commit_that_comes_late_is_seen_by_the_stand_in() -> None:
    """It has read how far the lanes are while the stuck one had not got there yet."""
    hangs = Step("work", (6, 11), "COMMIT", "late", (Step("work", (1, 3)),))
    play([*_IN_FALLBACK, Step("emit", (0, 3, 30)), hangs, Step("work", (2, 11))])


def test_a_lane_that_is_found_late_is_as_far_as_it_is_durable() -> None:
    """Its place on the disk could not be opened when all that is not durable was taken back."""
    dies = Step("work", (2, 11), "fallback.commit.after", "killed", (Step("read_only", (1,)),))
    broken = (Step("sync_errors", (1, 0)), Step("emit", (0, 3, 0)))
    play([Step("emit", (0, 0, 0)), Step("work", (2, 5)), *broken, dies, Step("work", (1, 1))], lanes="disk")


def test_a_place_that_nobody_can_open_is_not_a_place_that_is_read() -> None:
    """The next writer sees the lane's place in memory alone: its records are behind those on the disk."""
    unseen = (Step("kill"), Step("emit", (0, 1, 0)), Step("read_only", (1,)), Step("work", (1, 1)))
    play([*_BEGUN, *unseen, Step("emit", (0, 1, 0))], lanes="disk")


def test_a_lane_has_not_ended_before_its_place_on_the_disk_is_open() -> None:
    """Its end was told, and noted in the register, by what its place in memory held."""
    ended = (Step("emit", (0, 1, 0)), Step("end_producer", (0, 1)), Step("work", (2, 3)))
    play([Step("emit", (0, 1, 0)), Step("read_only", (1,)), *ended], lanes="disk")


def test_a_lane_is_on_the_disk_when_one_of_its_places_says_so() -> None:
    """The place on the disk itself does not; the volume is away with a segment that nobody has opened."""
    more = (Step("emit", (0, 5, 900)), Step("unmount"), Step("emit", (0, 5, 900)))
    play([*_BEGUN, *more, Step("end_producer", (0, 1)), Step("work", (2, 11))], is_point=True, lanes="disk")


@pytest.mark.parametrize("end", [Step("stop"), Step("end_producer", (0, 0))])
def test_who_ends_on_a_read_only_volume_gets_no_error(end: Step) -> None:
    """The writer with its own lane, and an application; a place that cannot be told is left out."""
    play([Step("emit", (0, 1, 0)), Step("work", (1, 1)), Step("read_only", (1,)), end], lanes="disk")


def test_a_normal_end_on_a_read_only_volume_is_told_as_one() -> None:
    """The place in memory says so; the one on the disk says that its producer lives."""
    world = World(lanes="disk")
    try:
        world.play([*_BEGUN, Step("read_only", (1,)), Step("end_producer", (0, 0))])
        world.end()
        assert [one["action_type"] for one in world.records() if one["action_type"] in _ENDS] == [_ENDS[0]]
    finally:
        world.close()


def test_nothing_is_told_below_a_mount_point() -> None:
    """Who made a lane as the volume went has left the directory there that the workers' own log is in."""
    leaves = Step("work", (1, 1), "alive 2+1", "", (Step("unmount"),))
    play([Step("work", (2, 7)), leaves], is_point=True, lanes="disk")


def test_what_a_stand_in_took_back_stays_so_where_it_did_not_look() -> None:
    """It cannot reach a lane's place on the disk, which still says how far the lane was written."""
    hangs = Step("work", (1, 10), "writer.position.stored", "late", (Step("work", (1, 1)),))
    play([Step("emit", (0, 3, 99)), Step("work", (3, 10)), Step("emit", (0, 5, 0)), hangs], lanes="disk")


def test_a_piece_in_a_part_of_another_instance_is_settled_in_its_chain() -> None:
    """A command that finds the lock of the files taken by who hangs goes on under its own, and fails."""
    hangs = Step("work", (6, 11), "writer.fallback.before", "late", (Step("command"),))
    play([*_IN_FALLBACK, Step("emit", (0, 3, 30)), hangs])


@pytest.mark.parametrize("then", [(Step("unmount"), Step("work", (1, 10))), ()])
def test_nothing_is_published_before_the_files_can_be_asked(then: tuple[Step, ...]) -> None:
    """A dead writer's positions are ahead of files that it has cut; the store cannot say so."""
    meanwhile = () if then else (Step("work", (1, 10)),)
    dies = Step("work", (3, 11), "ftruncate", "late", meanwhile)
    broken = (Step("sync_errors", (1, 0)), Step("fallback", (2,)), Step("emit", (0, 3, 30)))
    play([*_BEGUN, *broken, dies, *then])


def test_what_a_successor_finishes_is_durable_in_one_piece() -> None:
    """The size of the file and how far lanes are: a sync that fails soon after cuts the one to the other."""
    dies = Step("work", (1, 1), "writer.append.before", "killed")
    fails = Step("work", (2, 11), "writer.intent.before", "", (Step("sync_errors", (1, 0)),))
    play([*_BEGUN, Step("emit", (0, 3, 30)), dies, Step("emit", (0, 1, 0)), fails])


def test_a_file_that_is_full_and_has_no_next_part_is_left_for_good() -> None:
    """It is synced, and the volume refuses the next part for a moment; nobody waits for it afterwards."""
    refused = Step("work", (1, 1), "writer.rotate.part", "", (Step("read_only", (1,)),))
    play([*_WRITTEN, Step("emit", (0, 2, 2000)), refused], rotate_max_mb=0.002)


def test_a_file_that_is_full_is_published_before_its_last_entry_is_written() -> None:
    """The next writer cannot reach it, and takes back what is not published."""
    dies = Step("work", (1, 1), "writer.manifest.after", "killed")
    unseen = (Step("read_only", (1,)), Step("work", (1, 1)))
    play([*_WRITTEN, Step("emit", (0, 2, 2000)), dies, *unseen], rotate_max_mb=0.002)


def test_a_writer_whose_own_lane_is_on_a_volume_that_refuses_works_all_the_same() -> None:
    """It has just made that lane, and cannot open it."""
    refused = Step("work", (1, 1), "writer.page.created", "", (Step("read_only", (1,)),))
    play([*_BEGUN, Step("kill"), Step("emit", (0, 1, 0)), refused], lanes="disk")


def test_a_replay_goes_on_in_the_chain_of_who_has_the_append_lock_again() -> None:
    """It had begun when the volume went away; the writer stands back, and opens its manifests anew later."""
    waits = (Step("fallback", (2,)), Step("free"), Step("work", (4, 50)))
    play([*_IN_FALLBACK, *waits, Step("unmount"), Step("work", (2, 11))], is_point=True)


def test_what_no_entry_tells_of_is_told_when_its_file_leaves() -> None:
    """A command could not begin the manifest of what it replayed; by its age the file leaves."""
    fails = (Step("kill"), Step("heal"), Step("sync_errors", (1, 0)), Step("command"))
    play([*_IN_FALLBACK, *fails, Step("days", (2,)), Step("keep", (3,))])
