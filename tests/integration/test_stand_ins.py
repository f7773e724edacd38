"""A stand-in, step by step: it delivers without the files what a hanging writer left, and makes way."""

from collections.abc import Iterator

import pytest
from support.outage_rig import all_there, begun, held, rows
from support.rig import Rig

from pipeline.queue import chain
from workers.policy import EXIT_REPLACE
from workers.stand_in import LINGER_SEC_MAX, StandIn, linger_sec


class Stuck:
    """Whether the writers that hang are gone."""

    def __init__(self) -> None:
        self.are_gone = False

    def __call__(self) -> bool:
        """Say so."""
        return self.are_gone


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig whose producers and writer run in this process."""
    made = Rig()
    yield made
    made.close()


@pytest.fixture
def stuck() -> Stuck:
    """Give a writer that hangs until a test says otherwise."""
    return Stuck()


def hangs_in_an_append(rig: Rig) -> bytes:
    """Let the writer end in the middle of a write; returns bytes like those that may arrive later."""
    assert rig.run_until_killed("writer.append.partial")
    late = rig.day_files()[-1].read_bytes()
    size = rig.synced[rig.day_files()[-1].stat().st_ino]
    return late[size:]


def comes(rig: Rig, stuck: Stuck) -> None:
    """Let a stand-in come."""
    rig.stand_in = StandIn(stuck)
    rig.start_writer()


def leaves(rig: Rig, stuck: Stuck) -> None:
    """Let the stuck one be gone, and the stand-in make way for a writer that works as usual."""
    assert rig.writer._exit_code() is None
    stuck.are_gone = True
    assert rig.writer._exit_code() == EXIT_REPLACE
    rig.stand_in = None
    rig.kill_writer()


def test_what_a_hanging_write_adds_later_does_not_count(rig: Rig, stuck: Stuck) -> None:
    """The batch goes to the fallback, then it arrives in the file all the same: behind the cut mark."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    late = hangs_in_an_append(rig)
    assert late
    comes(rig, stuck)
    for tag in range(20, 25):
        rig.emit(emitter, tag)
    rig.step(4)
    assert held(rig) >= 15
    with rig.day_files()[-1].open("ab") as file:
        file.write(late)
    leaves(rig, stuck)
    all_there(rig)


def test_what_a_hanging_fsync_was_about_to_make_durable_is_delivered_elsewhere(
    rig: Rig, stuck: Stuck
) -> None:
    """It is in the file, whole and committed, and nobody can say that it is on the disk."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step()
    assert rig.writer.pump.unsynced_bytes
    rig.kill_writer()
    comes(rig, stuck)
    rig.step(4)
    assert held(rig) >= 10
    leaves(rig, stuck)
    all_there(rig)


@pytest.mark.parametrize("point", ["begun", "marked", "settled"])
def test_a_stand_in_that_is_killed_is_followed_by_another(rig: Rig, stuck: Stuck, point: str) -> None:
    """At each step of taking back what was not durable."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    hangs_in_an_append(rig)
    rig.stand_in = StandIn(stuck)
    assert rig.run_until_killed(f"writer.retreat.{point}")
    comes(rig, stuck)
    rig.step(4)
    assert held(rig) >= 10
    leaves(rig, stuck)
    all_there(rig)


def test_it_waits_for_what_is_out_of_its_sight(rig: Rig, stuck: Stuck) -> None:
    """A lane goes on in a segment on the disk and comes back: nothing overtakes, nothing is told as lost."""
    emitter = begun(rig)
    rig.kill_writer()
    for tag in range(10, 40):
        rig.memory_share = 0 if 20 <= tag < 30 else 1 << 40
        rig.emit(emitter, tag, size=9000)
    rig.memory_share = 1 << 40
    (disk,) = rig.places.disk_lanes_dir.glob("*/")
    on_disk = chain.segments_in(disk)
    assert on_disk
    producer = emitter.appenders()[0].lane.producer
    rig.close_producer(emitter)
    comes(rig, stuck)
    rig.step(4)
    rig.pass_time(5)
    rig.step(20)
    before = min(on_disk)
    assert held(rig) > 0
    assert rig.writer.lanes.watched[producer].tailer.place()[0] <= before
    leaves(rig, stuck)
    all_there(rig)
    assert not [record for record in rig.records() if record["action_type"] == "records_dropped"]


def test_it_finishes_the_lanes_that_were_in_memory_alone(rig: Rig, stuck: Stuck) -> None:
    """Short processes come and go while the volume hangs; their memory is given back."""
    begun(rig)
    comes(rig, stuck)
    for tag in range(10, 13):
        emitter = rig.producer()
        rig.emit(emitter, tag)
        producer = emitter.appenders()[0].lane.producer
        rig.close_producer(emitter)
        for _ in range(4):
            rig.step(2)
            rig.pass_time(1.1)
        assert not (rig.places.lanes_dir / producer).exists()
    leaves(rig, stuck)
    all_there(rig)
    assert len([record for record in rig.records() if record["action_type"] == "producer_closed"]) >= 3


def test_a_pipeline_that_begins_while_its_volume_hangs(rig: Rig, stuck: Stuck) -> None:
    """Nobody has been at the files yet: what is emitted goes to the fallback, and then to its first file."""
    emitter = rig.producer()
    comes(rig, stuck)
    for tag in range(10):
        rig.emit(emitter, tag)
    rig.step(4)
    assert sum(row[3] for row in rows(rig)) >= 10
    assert not rig.places.log_dir.exists()
    leaves(rig, stuck)
    all_there(rig)


def test_a_volume_on_which_writers_hang_again_and_again_is_given_time() -> None:
    """The first time the files are gone back to at once, then after longer and longer, up to a minute."""
    times = [linger_sec(hangs) for hangs in range(20)]
    assert times[:5] == [0, 0, 5, 10, 20]
    assert times[-1] == LINGER_SEC_MAX
