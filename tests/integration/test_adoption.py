"""
What dead instances left: lanes are adopted by the next one, the rest is collected or left alone.

The rig of tests/support/rig.py; a dead instance is a runtime directory under another key, as a container
with its own pid namespace leaves it. Whoever lives is a process of its own, that holds its lock.
"""

import shutil
from pathlib import Path

import pytest
from support.rig import Rig
from support.witness import drained, tags_in_files

from pipeline.host import files
from pipeline.queue import adoption
from pipeline.queue.adoption import INSTANCE_LOCK


def left_behind(rig: Rig, count: int = 20) -> Path:
    """Emit, kill everything, and put the runtime directory under the key of another pid namespace."""
    emitter = rig.producer()
    first = len(rig.tags_emitted)
    for tag in range(first, first + count):
        assert rig.emit(emitter, tag, 50)
    rig.kill_writer()
    rig.abandon(emitter)
    other = rig.places.runtime_dir.with_name(
        f"{rig.places.runtime_dir.name[:-6]}0000{len(rig.tags_emitted):02d}"
    )
    rig.places.runtime_dir.rename(other)
    (other / "supervisor.lock").touch()
    (other / "writer.lock").touch()
    return other


def test_lanes_in_memory_of_a_dead_instance_are_adopted(rig: Rig) -> None:
    """Partly written by it, on a page that says nothing to us: the files say what is there."""
    rig.start_writer()
    other = left_behind(rig)
    rig.start_writer()
    rig.step(2)
    rig.kill_writer()
    again = left_behind(rig)
    drained(rig, 40)
    assert not other.exists()
    assert not again.exists()


@pytest.mark.parametrize("state", ["in the log directory", "elsewhere"])
def test_lanes_on_disk_of_a_dead_instance_are_adopted(state: str, tmp_path: Path) -> None:
    """A container that was started again finds what its predecessor had on the volume."""
    rig = Rig(lanes="disk", **({"state_dir": str(tmp_path / "state")} if state == "elsewhere" else {}))
    try:
        emitter = rig.producer()
        for tag in range(20):
            assert rig.emit(emitter, tag, 50)
        rig.abandon(emitter)
        lanes = rig.places.disk_lanes_dir
        lanes.rename(lanes.with_name(f"{lanes.name[:-6]}abcdef"))
        shutil.rmtree(rig.places.runtime_dir)
        drained(rig, 20)
        assert files.names_in(lanes.parent) == [lanes.name]
    finally:
        rig.close()


def test_an_instance_that_lives_keeps_its_lanes(rig: Rig, held) -> None:
    """Its writer holds its locks, in memory and on disk; not a byte of it is touched."""
    other = left_behind(rig)
    disk = rig.places.disk_lanes_dir.with_name(f"{rig.places.disk_lanes_dir.name[:-6]}fedcba")
    (disk / "0123456789ab").mkdir(parents=True)
    (disk / "0123456789ab" / "alive").write_bytes(b"A")
    (disk / INSTANCE_LOCK).touch()
    held(other / "writer.lock", disk / INSTANCE_LOCK)
    before = sorted(path for path in (*other.rglob("*"), *disk.rglob("*")))
    rig.start_writer()
    rig.drain()
    assert sorted(path for path in (*other.rglob("*"), *disk.rglob("*"))) == before
    assert not tags_in_files(rig)


def test_a_producer_that_lives_in_a_dead_instance_keeps_its_lane(rig: Rig, held) -> None:
    """Its workers died and it has not looked yet; the lanes of the dead beside it are adopted."""
    other = left_behind(rig)
    lane = other / "lanes" / "0123456789ab"
    lane.mkdir()
    (lane / "alive").write_bytes(b"A")
    held(lane / "alive")
    drained(rig, 20)
    assert (lane / "alive").exists()
    assert files.names_in(other / "lanes") == [lane.name]


def test_lanes_of_another_log_directory_are_left_alone(rig: Rig, tmp_path: Path) -> None:
    """Two pipelines share a state directory: the records of one never come into the files of the other."""
    first = Rig(lanes="disk", state_dir=str(tmp_path / "state"))
    try:
        emitter = first.producer()
        for tag in range(5):
            first.emit(emitter, tag)
        first.abandon(emitter)
        lanes = first.places.disk_lanes_dir
        second = Rig(lanes="disk", state_dir=str(tmp_path / "state"))
        try:
            assert lanes.parent == second.places.disk_lanes_dir.parent
            second.start_writer()
            second.drain()
            assert not tags_in_files(second)
            assert files.names_in(lanes)
        finally:
            second.close()
    finally:
        first.close()


def test_a_dead_pipeline_whose_log_directory_is_gone_is_collected(rig: Rig, held) -> None:
    """
    What a test left in /dev/shm, say.

    While anybody lives there it stays, and what is no pipeline's stays.
    """
    root = rig.places.runtime_dir.parent
    homes = {
        "gone": rig.home / "gone",
        "alive": rig.home / "gone too",
        "starting": rig.home / "gone as well",
        "there": rig.home,
    }
    for name, log_dir in homes.items():
        (root / name / "lanes" / "0123456789ab").mkdir(parents=True)
        (root / name / "lanes" / "0123456789ab" / "alive").touch()
        (root / name / "launch.lock").touch()
        files.write_json(
            root / name / "home.json", {"log_dir": str(log_dir), "state_dir": "", "instance": ""}
        )
    (root / "somebody's").mkdir()
    held(root / "alive" / "lanes" / "0123456789ab" / "alive", root / "starting" / "launch.lock")
    assert adoption.collect(rig.places) == [root / "gone"]
    assert sorted(files.names_in(root)) == sorted(
        ["alive", "starting", "there", "somebody's", rig.places.runtime_dir.name]
    )


@pytest.mark.parametrize("is_adoptable", [False, True])
def test_adoption_while_a_batch_is_open_repeats_nothing(rig: Rig, is_adoptable: bool) -> None:
    """
    The disk is full in the middle of a batch.

    And the minute comes when the writer looks for dead instances.
    """
    other = left_behind(rig, 5)
    if not is_adoptable:
        shutil.rmtree(other / "lanes")
        (other / "lanes" / "broken").mkdir(parents=True)
    hidden = rig.home / "hidden"
    other.rename(hidden)
    rig.start_writer()
    rig.drain()
    emitter = rig.producer()
    for tag in range(5, 25):
        rig.emit(emitter, tag, 100)
    rig.faults.room = 700
    rig.step(2)
    assert rig.writer.append_error
    hidden.rename(other)
    for _ in range(70):
        rig.step()
        rig.pass_time(1.1)
    rig.drain()
    expected = set(range(25)) if is_adoptable else set(range(5, 25))
    assert set(tags_in_files(rig)) == expected
    assert max(tags_in_files(rig).values()) == 1
    assert all(line.startswith(b'{"timestamp"') for lines in rig.lines().values() for line in lines)
