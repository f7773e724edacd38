"""
What a writer finds when it starts, and what it makes of it: every record once, whatever the last one left.

The producers and the writer are the real ones, in this process (tests/support/rig.py); a kill is an exception
at a fail point. Kills of real processes are in tests/crash.
"""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from support.damage import DAMAGES, both_slots, emptied, noise, zeros
from support.rig import Blocked, Killed, Rig
from support.witness import drained, written

from pipeline.host import files
from pipeline.queue import layout
from pipeline.storage import stored

KILLS = [
    "",
    "writer.intent.partial",
    "writer.append.before",
    "writer.append.partial",
    "writer.append.after",
    "writer.commit.after",
]


@pytest.mark.parametrize("killed_at", KILLS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_control_page_never_stops_a_start(
    rig: Rig, damage: Callable[[Path], None], killed_at: str
) -> None:
    """Without a page to believe, the files say which records they hold."""
    count = written(rig, killed_at=killed_at)
    damage(rig.page)
    rig.start_writer()
    assert rig.writer.recovered_by == "files"
    drained(rig, count)


def test_a_page_that_was_damaged_in_a_sync_has_the_files_asked(rig: Rig) -> None:
    """It says that a sync is under way, and no more what was durable before."""
    emitter = rig.producer()
    rig.start_writer()
    rig.emit(emitter, 0)
    rig.drain()
    rig.emit(emitter, 1)
    assert rig.run_until_killed("writer.sync.begun")
    both_slots(rig.page)
    rig.start_writer()
    assert rig.writer.recovered_by == "files"
    drained(rig, 2)


@pytest.mark.parametrize("killed_at", KILLS)
def test_a_whole_control_page_tells_positions_to_the_byte(rig: Rig, killed_at: str) -> None:
    """
    After a kill of the writer alone.

    The page is believed and the batch is finished at the very next byte.
    """
    count = written(rig, killed_at=killed_at)
    rig.start_writer()
    assert rig.writer.recovered_by == ("page" if rig.writer.pump.records else "files")
    drained(rig, count)


@pytest.mark.parametrize("age", [1, 2, 5])
def test_an_old_control_page_repeats_and_loses_nothing(rig: Rig, age: int) -> None:
    """
    A page from some batches ago is less knowledge, and no danger.

    Its open intent may name released segments.
    """
    emitter = rig.producer()
    rig.start_writer()
    tag = 0
    for _ in range(3):
        rig.emit(emitter, tag)
        tag += 1
        rig.step()
        rig.pass_time(1.1)
        rig.step()
    rig.emit(emitter, tag)
    tag += 1
    assert rig.run_until_killed("writer.append.before")
    old = rig.page.read_bytes()
    rig.start_writer()
    for _ in range(age):
        for _ in range(40):
            rig.emit(emitter, tag, 100)
            tag += 1
        rig.pass_time(1.1)
        rig.step(8)
    rig.kill_writer()
    rig.page.write_bytes(old)
    drained(rig, tag)


def test_an_open_intent_whose_lane_was_removed_does_not_stop_a_start(rig: Rig) -> None:
    """What nobody holds any more cannot be finished; everything else goes on."""
    written(rig, killed_at="writer.append.partial")
    for emitter in list(rig.emitters):
        rig.abandon(emitter)
    shutil.rmtree(rig.places.lanes_dir)
    try:
        rig.start_writer()
    except Blocked:
        pytest.fail("the writer tries for ever")
    other = rig.producer()
    assert rig.emit(other, 1000)
    rig.drain()
    assert rig.tags()[1000] == 1
    assert max(rig.tags().values()) == 1
    for lines in rig.lines().values():
        assert all(stored.is_ours(line) for line in lines), "a half line stayed"


@pytest.mark.parametrize("damage", [Path.unlink, zeros, noise, emptied], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("page_is_lost", [False, True])
def test_a_damaged_checkpoint_never_stops_a_start(
    rig: Rig, damage: Callable[[Path], None], page_is_lost: bool
) -> None:
    """A checkpoint is knowledge for a shorter look, and nothing else."""
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(100):
        rig.emit(emitter, tag, 100)
        rig.step()
        rig.pass_time(0.3)
    assert rig.writer.checkpoint.path.exists()
    rig.kill_writer()
    damage(rig.places.state_dir / "checkpoint.json")
    if page_is_lost:
        rig.page.unlink()
    drained(rig, 100)


def test_recovery_that_is_killed_again_and_again_ends(rig: Rig) -> None:
    """A kill at each of its fail points in turn, each start finds what the last one left."""
    count = written(rig, killed_at="writer.append.partial")
    rig.page.unlink()
    points = [
        "writer.recover.files", "writer.recover.distrusted", "writer.recover.mend", "writer.recover.mended",
        "writer.recover.looked", "writer.intent.after", "writer.append.partial", "writer.commit.before",
        "writer.recover.before", "writer.recover.trust", "writer.sync.before",
    ]  # fmt: skip
    killed = [point for point in points if rig.run_until_killed(point, turns=2)]
    assert len(killed) >= 6, killed
    drained(rig, count)


def test_a_batch_with_thousands_of_settled_slices_fits_its_intent(rig: Rig) -> None:
    """After a look into the files, what is settled without an append is bounded like what is appended."""
    emitters = [rig.producer() for _ in range(60)]
    rig.start_writer()
    for tag, emitter in enumerate(emitters):
        assert rig.emit(emitter, tag)
    rig.step(30)
    assert len(rig.tags()) == len(emitters)
    for emitter in emitters[1:]:
        rig.abandon(emitter)
    rig.emit(emitters[0], len(emitters))
    rig.kill_writer()
    rig.page.unlink()
    rig.start_writer()
    sizes: list[int] = []
    propose = rig.writer.page.propose
    rig.writer.page.propose = lambda intent: (sizes.append(len(intent.settled())), propose(intent))[1]
    drained(rig, len(emitters) + 1)
    assert max(sizes) <= 2 * 8, "an intent grows with the number of lanes"


def test_a_lane_of_an_unknown_version_is_kept(rig: Rig) -> None:
    """
    Another version of the library wrote it.

    It is put aside with every byte, and everything else goes on.
    """
    emitter = rig.producer()
    rig.emit(emitter, 1)
    segment = emitter.appenders()[0].lane.memory_dir / layout.segment_name(1)
    rig.abandon(emitter)
    data = bytearray(segment.read_bytes())
    data[8:12] = struct.pack("=I", 77)
    segment.write_bytes(data)
    other = rig.producer()
    rig.emit(other, 2)
    rig.close_producer(other)
    rig.start_writer()
    for _ in range(30):
        rig.step()
        rig.pass_time(0.6)
    kept = [path for path in rig.home.rglob(segment.name) if segment.parent.name in path.parent.name]
    assert [path.read_bytes() for path in kept] == [data]
    assert rig.tags() == {2: 1}


def test_a_kill_reaches_the_test_and_nothing_swallows_it(rig: Rig) -> None:
    """The rig is worth something only if no handler of the library catches its kills."""
    rig.start_writer()
    rig.emit(rig.producer(), 0)
    rig.aim = ("writer.append.after", 0)
    with pytest.raises(Killed):
        rig.step(5)


def test_names_in_the_lane_directory_that_are_no_lanes_are_passed_over(rig: Rig) -> None:
    """A file, an empty directory, a draft: none stops the writer."""
    (rig.places.lanes_dir / "notes.txt").write_text("mine")
    (rig.places.lanes_dir / "emptydirectory").mkdir()
    (rig.places.lanes_dir / ".new-abc").mkdir()
    emitter = rig.producer()
    rig.emit(emitter, 0)
    (emitter.appenders()[0].lane.memory_dir / "not.a.seg").write_text("mine")
    drained(rig, 1)
    assert files.names_in(rig.places.lanes_dir)
