"""A writer that nobody needs any more, with records in its fallback store: when it leaves, and with what."""

import errno

import pytest
from support.outage_rig import Disk, all_there, begun, held, rows, run
from support.rig import Rig

from pipeline.delivery.replay import Replay
from pipeline.errors import FallbackBusy
from workers import replayer


def until_it_leaves(rig: Rig) -> None:
    """Let the writer run until it ends by itself, as one does that nobody needs any more."""
    for _ in range(200):
        rig.step()
        if rig.writer._exit_code() is not None:
            return
        rig.pass_time(0.1)
    raise AssertionError(f"does not leave: {rig.backlog()}")


@pytest.mark.parametrize("away_sec", [8, 60])
def test_a_writer_that_nobody_needs_any_more_empties_the_fallback_first(
    rig: Rig, disk: Disk, away_sec: float
) -> None:
    """The disk is well again when the last producer has gone: no probe is waited for, and no later start."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    tags = iter(range(100, 10_000))
    run(rig, away_sec, lambda: rig.emit(emitter, next(tags)))
    disk.refuses.clear()
    rig.close_producer(emitter)
    until_it_leaves(rig)
    assert rows(rig) == []
    rig.kill_writer()
    all_there(rig)


def test_a_writer_that_nobody_needs_any_more_stays_for_a_long_replay(rig: Rig, disk: Disk) -> None:
    """The store is empty when it leaves, however many pieces that takes."""
    rig.patch.setattr(replayer, "_PIECE_BYTES", 1)
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    tags = iter(range(100, 10_000))
    run(rig, 30, lambda: rig.emit(emitter, next(tags)))
    disk.refuses.clear()
    rig.close_producer(emitter)
    until_it_leaves(rig)
    assert rows(rig) == []


def busy(_run: Replay) -> None:
    """Stand for a process that replays the store; this one could take the lock from itself."""
    raise FallbackBusy("another process replays the fallback store")


def test_a_writer_that_nobody_needs_any_more_leaves_what_it_cannot_replay(rig: Rig, disk: Disk) -> None:
    """The files are well, and somebody else has the store: one that waited for that might never end."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    rig.emit(emitter, 10)
    run(rig, 8)
    rig.patch.setattr(Replay, "_take_store", busy)
    disk.refuses.clear()
    rig.close_producer(emitter)
    until_it_leaves(rig)
    assert held(rig) == 1


def test_a_writer_that_nobody_needs_any_more_does_not_wait_for_a_bad_disk(rig: Rig, disk: Disk) -> None:
    """What is in the fallback then is replayed at the next start."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    rig.emit(emitter, 10)
    rig.close_producer(emitter)
    run(rig, 8)
    until_it_leaves(rig)
    assert held(rig) >= 1
    rig.kill_writer()
    disk.refuses.clear()
    all_there(rig)
