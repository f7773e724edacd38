"""
The machine lost its power, or somebody removed the runtime directory: what was emitted is found again.

The rig is that of tests/support/rig.py.
"""

import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
from support.rig import Rig
from support.witness import drained


@pytest.fixture
def disk_rig() -> Iterator[Rig]:
    """Give a rig with lanes on disk."""
    rig = Rig(lanes="disk")
    yield rig
    rig.close()


@pytest.mark.parametrize("how", ["empty", "zeros"])
def test_a_segment_that_a_power_loss_emptied_hides_no_other(disk_rig: Rig, how: str) -> None:
    """The last segment of a lane was made and its bytes were not on the disk yet: all others are written."""
    rig = disk_rig
    emitter = rig.producer()
    for tag in range(30):
        rig.emit(emitter, tag, 200)
    rig.abandon(emitter)
    shutil.rmtree(rig.places.runtime_dir)
    last = max(rig.places.disk_lanes_dir.glob("*/*.seg"))
    inside = last.read_bytes().count(b"\n")
    assert 0 < inside < 30
    last.write_bytes(b"" if how == "empty" else bytes(last.stat().st_size))
    rig.start_writer()
    for _ in range(30):
        rig.step()
        rig.pass_time(0.6)
    assert sorted(rig.tags()) == list(range(30 - inside))


def test_after_a_power_loss_records_are_found_by_sets_and_not_by_a_maximum(disk_rig: Rig) -> None:
    """A file lost its middle, the lanes on disk have it: what is missing is written, what is there is not."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(30):
        rig.emit(emitter, tag)
    rig.pass_time(0.6)
    rig.step(10)
    rig.kill_writer()
    rig.abandon(emitter)
    path = rig.day_files()[0]
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"work"' in line]
    path.write_bytes(b"".join(lines[:10] + lines[15:20] + lines[22:23]) + lines[25][:40])
    shutil.rmtree(rig.places.runtime_dir)
    drained(rig, 30)


def test_a_writer_killed_while_it_cuts_out_a_hole_is_followed_by_one_that_does(disk_rig: Rig) -> None:
    """Zeros stand where a write did not reach the disk; twice in a row the writer dies on finding them."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(30):
        rig.emit(emitter, tag)
    rig.step(10)
    rig.kill_writer()
    rig.abandon(emitter)
    path = rig.day_files()[0]
    content = path.read_bytes()
    path.write_bytes(content[:900] + bytes(400) + content[1300:])
    shutil.rmtree(rig.places.runtime_dir)
    for _ in range(2):
        assert rig.run_until_killed("writer.recover.hole")
    drained(rig, 30)
    assert b"\0" not in path.read_bytes()


def test_after_a_power_loss_a_segment_that_came_back_is_not_written_twice(disk_rig: Rig) -> None:
    """The unlink of a released segment was not on the disk yet when the power went."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    kept = rig.emit_keeping_segments(emitter)
    gone = [path for path in kept if not path.exists()]
    assert gone, "nothing was released"
    rig.kill_writer()
    rig.abandon(emitter)
    shutil.rmtree(rig.places.runtime_dir)
    for path in gone:
        path.write_bytes(kept[path])
    for position in rig.places.disk_lanes_dir.glob("*/position"):
        position.write_bytes(b"")
    drained(rig, 60)


def test_a_directory_of_the_writer_is_made_again_under_load(rig: Rig) -> None:
    """
    `rm -r` of the runtime directory, then the producers are killed.

    What the writer had looked at is all written.
    """
    emitters = [rig.producer() for _ in range(3)]
    rig.start_writer()
    tag = 0
    for _ in range(40):
        for emitter in emitters:
            rig.emit(emitter, tag, 200)
            tag += 1
    rig.faults.room = 0
    rig.step(4)
    shutil.rmtree(rig.places.runtime_dir)
    for emitter in emitters:
        rig.abandon(emitter)
    drained(rig, tag)


def test_producers_go_on_where_the_runtime_directory_was_removed(rig: Rig) -> None:
    """They look once a second and continue in a disk segment; their numbers go on."""
    emitters = [rig.producer() for _ in range(2)]
    rig.start_writer()
    tag = 0
    for turn in range(20):
        for emitter in emitters:
            for _ in range(5):
                assert rig.emit(emitter, tag, 100)
                tag += 1
        rig.step(2)
        rig.pass_time(0.4)
        if turn in (5, 12):
            shutil.rmtree(rig.places.runtime_dir)
    for emitter in list(rig.emitters):
        rig.close_producer(emitter)
    drained(rig, tag)
    producers = {record["producer"] for record in rig.records() if "tag" in record}
    assert len(producers) == 2, "a producer started again under another id"


def test_lanes_on_a_volume_that_comes_back_are_seen_before_the_files_are_asked(disk_rig: Rig) -> None:
    """The power was cut and the volume mounted late: what its lanes hold is not taken for new."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(10):
        rig.emit(emitter, tag)
    rig.pass_time(0.6)
    rig.step(2)
    assert len(rig.tags()) == 10
    rig.kill_writer()
    rig.abandon(emitter)
    shutil.rmtree(rig.places.lanes_dir)
    rig.page.write_bytes(bytes(rig.page.stat().st_size))
    for position in rig.places.log_dir.rglob("position"):
        position.write_bytes(bytes(position.stat().st_size))
    away = rig.places.log_dir.rename(rig.places.log_dir.with_name("away"))
    rig.places.log_dir.write_text("not a directory")
    rig.start_writer()
    rig.step(2)
    assert rig.writer.pump.needs_files
    rig.writer.lanes._disk_due = rig.clock.monotonic + 1
    rig.places.log_dir.unlink()
    away.rename(rig.places.log_dir)
    rig.writer.delivery.hurry()
    rig.step()
    assert not rig.writer.pump.needs_files
    rig.drain()
    assert rig.tags() == Counter(rig.tags_emitted)
