"""Lanes whose producers have ended, in an outage: what is left of them, and that nothing piles up."""

import errno
import shutil
import sqlite3
from typing import Any

from support.outage_rig import Disk, all_there, begun, run
from support.rig import Rig

from pipeline.errors import FallbackError


def positions(rig: Rig) -> set[str]:
    """Return the producers whose positions the fallback store keeps, as anybody reads it."""
    with sqlite3.connect(f"file:{rig.writer.fallback.path}?mode=ro", uri=True) as connection:
        return {producer for (producer,) in connection.execute("SELECT producer FROM positions")}


def short_producers(rig: Rig, count: int, tag: int) -> None:
    """Let so many producers emit a record each, and end."""
    made = [rig.producer() for _ in range(count)]
    for number, emitter in enumerate(made):
        rig.emit(emitter, tag + number)
        rig.close_producer(emitter)


def test_the_store_forgets_the_positions_of_producers_that_have_ended(rig: Rig, disk: Disk) -> None:
    """A thousand short processes during an outage leave their rows and no positions."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    rig.writer.delivery.leave("somebody says so")
    most = 0
    for turn in range(20):
        short_producers(rig, 50, 1000 + 50 * turn)
        run(rig, 1.5)
        most = max(most, len(positions(rig)))
    rig.emit(emitter, 10)
    run(rig, 3)
    assert most < 120
    assert len(positions(rig)) <= 3
    disk.refuses.clear()
    run(rig, 70)
    all_there(rig)


def test_positions_that_cannot_be_forgotten_now_are_forgotten_later(rig: Rig, disk: Disk) -> None:
    """The store refuses at that moment; the next look tries again."""
    begun(rig)
    rig.writer.delivery.leave("somebody says so")
    forget = rig.writer.fallback.forget

    def refusing(_producers: Any) -> None:
        raise FallbackError("injected")

    rig.writer.fallback.forget = refusing
    short_producers(rig, 5, 100)
    run(rig, 3)
    assert len(positions(rig)) >= 5
    rig.writer.fallback.forget = forget
    run(rig, 2)
    assert len(positions(rig)) <= 2
    all_there(rig)


def test_a_writer_that_stops_leaves_no_position_of_its_own(rig: Rig) -> None:
    """A cron job that starts a pipeline each minute of an outage leaves rows alone."""
    rig.start_writer()
    rig.writer.delivery.leave("somebody says so")
    short_producers(rig, 1, 10)
    run(rig, 3)
    rig.writer.stop_own_lane("idle")
    assert positions(rig) == set()


def test_a_lane_that_cannot_be_removed_is_told_once_and_removed_later(rig: Rig) -> None:
    """Its volume turns read-only: the lane is no lane any more, and its position stays until it is gone."""
    emitter = begun(rig)
    producer = emitter.appenders()[0].lane.producer
    rig.writer.delivery.leave("somebody says so")
    rig.emit(emitter, 10)
    run(rig, 1)
    real = shutil.rmtree
    rig.patch.setattr(shutil, "rmtree", lambda *_args, **_more: None)
    rig.close_producer(emitter)
    run(rig, 5)
    assert producer not in rig.writer.lanes.watched
    assert producer in positions(rig)
    rig.patch.setattr(shutil, "rmtree", real)
    run(rig, 70)
    assert producer not in positions(rig)
    assert not list(rig.places.lanes_dir.glob(producer))
    all_there(rig)
    told = [one for one in rig.records() if one["action_type"] == "producer_closed"]
    assert [one["subject"] for one in told] == [producer]
