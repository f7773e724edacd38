"""
A writer without the append lock, and a replay command that has it, at one fallback store.

What the writer read at its start is old by the time it gets the lock: it goes by what stands there then.
"""

import errno
from typing import Any

import pytest
from support.outage_rig import Disk, all_there, begun, held, run
from support.rig import Rig

from pipeline.delivery.replay import Replay
from pipeline.delivery.replay_part import ReplayPart
from pipeline.host.locks import RecordLock
from pipeline.storage.fallback import Fallback
from pipeline.storage.grip import Grip


class Command:
    """Another process that replays the rig's store, while it holds the append lock."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._store = rig.writer.fallback.path
        self.has_lock = True
        real = RecordLock.try_acquire

        def try_acquire(lock: RecordLock, *byte: Any) -> bool:
            return not (self.has_lock and lock.path.name == "append.lock") and real(lock, *byte)

        rig.patch.setattr(RecordLock, "try_acquire", try_acquire)

    def replay(self) -> None:
        """Replay all of the store, in a run of its own."""
        rig = self._rig
        store = Fallback.of(rig.places, rig.settings, self._store, "")
        grip = Grip(rig.places)
        run = Replay(store, rig.places, "", rig.settings, grip=grip)
        try:
            while run.step(1 << 20):
                pass
        finally:
            run.close()
            store.close()
            grip.close()


def test_a_part_is_not_cut_by_a_mark_that_somebody_has_worked_off(rig: Rig, disk: Disk) -> None:
    """The part counts up to nothing after an fsync that failed, is cut there, and taken by the next run."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EDQUOT
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    run(rig, 10)
    assert held(rig) == 10
    disk.refuses.clear()
    command = Command(rig)
    rig.kill_writer()
    cut_to = ReplayPart.cut_to

    def cut_late(part: ReplayPart, size: int) -> None:
        disk.refuses.clear()
        rig.start_writer()  # reads the mark
        cut_to(part, size)

    disk.refuses["fsync"] = errno.EIO
    rig.patch.setattr(ReplayPart, "cut_to", cut_late)
    with pytest.raises(OSError, match="Input/output"):
        command.replay()
    rig.patch.setattr(ReplayPart, "cut_to", cut_to)
    assert rig.writer.append_lock_holder
    command.replay()
    assert held(rig) == 0
    command.has_lock = False
    run(rig, 70)
    all_there(rig)
