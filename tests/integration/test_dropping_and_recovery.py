"""A queue that drops, and a writer that has to ask the files what an earlier one has stored of it."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.dropped import settle
from support.rig import Rig

_SIZE = 200

RigOf = Callable[..., Rig]


@pytest.fixture
def rig_of() -> Iterator[RigOf]:
    """Give a function that makes a rig with a small quota, under the default policy."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(**{"queue_max_mb": 0.125} | settings))
        return made[-1]

    yield make
    for rig in reversed(made):
        rig.close()


@pytest.mark.parametrize("is_dead", [True, False])
def test_the_last_segment_of_a_dead_process_can_be_dropped(rig_of: RigOf, is_dead: bool) -> None:
    """Processes that come and go in an outage would else fill the queue with one segment each."""
    rig = rig_of()
    hears, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        emitter = rig.producer()
        numbers = [emitter.emit("work", tag=tag) for tag in range(3)]
        os.write(says, b"." if numbers == [1, 2, 3] else b"!")
        while not is_dead:
            signal.pause()
        os._exit(0)
    assert os.read(hears, 1) == b"."
    if is_dead:
        os.waitpid(pid, 0)
    rig.pass_time(5.0)
    emitter = rig.producer()
    for tag in range(100, 1000):
        assert rig.emit(emitter, tag, _SIZE)
    if not is_dead:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    stored, _ = settle(rig)
    assert (stored & {0, 1, 2} == set()) == is_dead
    for fd in (hears, says):
        os.close(fd)


def test_what_lies_behind_a_drop_is_not_stored_again_when_the_files_are_asked(rig_of: RigOf) -> None:
    """The page is lost after the writer went past a drop and before it synced: positions go back."""
    rig = rig_of(fsync_interval_sec=60.0)
    emitter = rig.producer()
    for tag in range(1000):
        assert rig.emit(emitter, tag, _SIZE, level="ERROR" if tag % 30 == 0 else "INFO")
    rig.start_writer()
    for _ in range(40):
        rig.step()
        rig.pass_time(0.1)
    rig.kill_writer()
    assert len(rig.tags()) > 100
    rig.page.write_bytes(b"")
    settle(rig, may_repeat=True)


def test_a_take_that_a_power_cut_undid_names_nothing_that_is_stored(rig_of: RigOf) -> None:
    """A rename that was not synced may be gone: a part of what is dropped then is in the files."""
    rig = rig_of(lanes="disk", fsync_interval_sec=60.0, batch_max_bytes=3000)
    emitter = rig.producer()
    for tag in range(200):
        assert rig.emit(emitter, tag, _SIZE)
    rig.start_writer()
    rig.step(6)
    rig.kill_writer()
    taken = list(rig.places.disk_lanes_dir.glob("*/*.taken"))
    assert len(taken) > 2
    for path in taken:
        if b"writer" not in (path.parent / "alive").read_bytes():
            path.rename(path.with_suffix(".seg"))
    rig.page.write_bytes(b"")
    for tag in range(200, 1500):
        assert rig.emit(emitter, tag, _SIZE)
    stored, dropped = settle(rig)
    assert len(stored) + dropped == 1500
    assert len(stored & set(range(100))) > 5
