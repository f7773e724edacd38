"""The runtime directory is removed, and another writer has the seat in the new one before ours has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.outage_rig import all_there, begun, rows
from support.rig import Rig

from pipeline.host import seats
from pipeline.host.locks import RecordLock
from pipeline.host.seats import Seat
from workers.policy import EXIT_REPLACE

SIT = """
import sys
from pathlib import Path
from pipeline.host.seats import Seat
assert Seat(Path(sys.argv[1])).try_acquire()
print("sits", flush=True)
sys.stdin.read()
"""


def test_a_writer_with_the_append_lock_goes_on_until_it_has_its_seat_again(rig: Rig) -> None:
    """The other one leaves; what was in the removed lanes, and what comes, is in the files once."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    shutil.rmtree(rig.places.runtime_dir)
    with rig.patch.context() as while_taken:
        while_taken.setattr(Seat, "try_acquire", lambda _seat: False)
        for tag in range(20, 30):
            rig.emit(emitter, tag)
            rig.step()
        assert rig.writer._exit_code() is None
        assert not rig.page.exists()
    rig.step(2)
    assert rig.page.exists()
    rig.drain()
    assert set(rig.tags()) == set(rig.tags_emitted)
    assert max(rig.tags().values()) == 1


def test_a_writer_without_seat_and_append_lock_delivers_nothing_and_leaves(rig: Rig) -> None:
    """What is queued is the other one's."""
    emitter = begun(rig)
    shutil.rmtree(rig.places.runtime_dir)
    before = rig.lines()
    rig.writer._footing._fence.give_up()
    with rig.patch.context() as while_taken:
        while_taken.setattr(Seat, "try_acquire", lambda _seat: False)
        for tag in range(10, 20):
            rig.emit(emitter, tag)
        rig.step(3)
        assert rig.writer._exit_code() == EXIT_REPLACE
    assert rig.lines() == before
    assert rows(rig) == []


def test_who_comes_leaves_the_files_to_a_writer_that_lost_its_seat(rig: Rig) -> None:
    """It finds the append lock taken by a process whose seat file has no name any more."""
    begun(rig)
    rig.kill_writer()
    real = RecordLock.try_acquire

    def try_acquire(lock: RecordLock, *byte: Any) -> bool:
        return lock.path.name != "append.lock" and real(lock, *byte)

    with rig.patch.context() as while_taken:
        while_taken.setattr(RecordLock, "try_acquire", try_acquire)
        while_taken.setattr(seats, "has_lost", lambda _pid, path: path == rig.places.runtime("writer.lock"))
        rig.open_writer()
        assert not rig.writer.acquire_append_lock()
    rig.writer.recover("killed", 1)
    all_there(rig)


def test_a_seat_is_lost_with_its_file(tmp_path: Path) -> None:
    """As long as the file has its name, whoever sits there has the seat."""
    path = tmp_path / "seat"
    sitter = subprocess.Popen(
        [sys.executable, "-c", SIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with sitter:
        assert sitter.stdout.readline() == "sits\n"
        assert not seats.has_lost(sitter.pid, path)
        path.unlink()
        assert seats.has_lost(sitter.pid, path)
        assert not seats.has_lost(os.getpid(), path)
        sitter.stdin.close()
    assert not seats.has_lost(sitter.pid, path)
    assert not seats.has_lost(0, path)
