"""
Full, read-only and broken places under the queue: a segment elsewhere or a policy, never an error in the app.

Real applications and workers, on small file systems that are mounted for the test.
"""

import os
import subprocess

import pytest
from support.obeying import (
    Mount,
    StateSite,
    emits,
    ends,
    fill,
    flushes,
    segments,
    started,
)
from support.waiting import until

pytestmark = pytest.mark.faults
FILLING = """
    import os, sys
    from pathlib import Path
    from stage import emit, hear, say, start
    from pipeline import launch

    launch.processes.launch_detached, real = lambda *_: None, launch.processes.launch_detached
    pl = start()
    for index in range(50):
        assert emit(index)
    with open(Path(os.environ["PIPELINE_RUNTIME_ROOT"]) / "filler", "wb", buffering=0) as filler:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue
    launch.processes.launch_detached = real
    say("filled")
    launch.start_supervisor(pl._places, pl.settings)
    hear()
"""


def test_a_full_memory_before_the_start_sends_lanes_to_disk(state_site: StateSite, mount: Mount) -> None:
    """Nothing can be made in /dev/shm: records are accepted on disk, and written once there is room."""
    state_site.root = mount("memory", "size=512k")
    filler = fill(state_site.root)
    app = started(state_site)
    assert emits(app, "full", 50) == 50
    assert segments(state_site.places.disk_lanes_dir)
    filler.unlink()
    assert emits(app, "healed", 50) == 50
    ends(state_site, app)


@pytest.mark.xfail(
    strict=False,
    reason="known: workers that start in a full memory give up; the next emit or start tries again",
)
def test_workers_that_start_in_a_full_memory_work_once_there_is_room(
    state_site: StateSite, mount: Mount
) -> None:
    """
    It fills up between start_pipeline() and the start of the workers.

    The app then only waits for its end.
    """
    state_site.root = mount("memory", "size=512k")
    app = state_site.app(FILLING)
    app.expect("filled")
    until(state_site.workers, "a worker that tries")
    (state_site.root / "filler").unlink()
    until(
        lambda: len(state_site.files()) == 1 and len(state_site.of_type("work")) == 50,
        "all records in the file",
    )
    ends(state_site, app)


def test_memory_that_fills_up_under_load_is_followed_by_disk(state_site: StateSite, mount: Mount) -> None:
    """The segments that are there go on, the next ones are on disk; a child's lane too."""
    state_site.root = mount("memory", "size=3m")
    app = started(state_site)
    assert emits(app, "before", 100) == 100
    flushes(app)
    filler = fill(state_site.root)
    assert emits(app, "full", 3000, 2000) == 3000
    app.tell("fork child 200 100")
    assert app.expect("forked") == "0"
    filler.unlink()
    assert emits(app, "healed", 100) == 100
    ends(state_site, app)


def test_no_inode_left_in_memory_sends_lanes_to_disk(state_site: StateSite, mount: Mount) -> None:
    """A file system in memory has as few inodes as a container gives it."""
    state_site.root = mount("memory", "size=8m,nr_inodes=40")
    app = started(state_site)
    assert emits(app, "before", 10) == 10
    state_site.writer()
    made = []
    for index in range(100):
        path = state_site.root / f"file{index}"
        try:
            path.touch()
        except OSError:
            break
        made.append(path)
    else:
        pytest.fail("the inodes did not run out")
    assert emits(app, "full", 3000, 1000) == 3000
    for number in range(3):
        app.tell(f"fork child{number} 20 100")
        assert app.expect("forked") == "0"
    for path in made:
        path.unlink()
    ends(state_site, app)


def test_a_state_directory_that_is_read_only_leaves_lanes_in_memory(
    state_site: StateSite, mount: Mount
) -> None:
    """With lanes=disk and no disk to be had, memory takes them; the checkpoint that fails is told."""
    state = mount("state", "size=1m")
    subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True)
    app = started(state_site, lanes="disk", state_dir=str(state))
    assert emits(app, "read-only", 500) == 500
    flushes(app)
    ends(state_site, app)


def test_a_state_directory_that_turns_read_only_is_left(state_site: StateSite, mount: Mount) -> None:
    """An emergency remount under a lane on disk: it goes on in memory, and nothing waits for its end."""
    state = mount("state", "size=4m")
    app = started(state_site, lanes="disk", state_dir=str(state))
    assert emits(app, "before", 100) == 100
    flushes(app)
    remounted = subprocess.run(["mount", "-o", "remount,ro", str(state)], check=False, capture_output=True)
    if remounted.returncode:  # a file is open for writing: freeze the directory in another way
        for path in (*state.rglob("*"), state):
            subprocess.run(["chattr", "+i", str(path)], check=False, capture_output=True)
    try:
        assert emits(app, "read-only", 500) == 500
        app.tell("flush")
        assert app.expect("flushed") == "True", "what was emitted elsewhere waits for the end of the lane"
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(state)], check=False, capture_output=True)
        for path in (state, *state.rglob("*")):
            subprocess.run(["chattr", "-i", str(path)], check=False, capture_output=True)
    ends(state_site, app)


def test_a_full_state_directory_is_followed_by_memory_and_used_again_when_it_has_room(
    state_site: StateSite, mount: Mount
) -> None:
    """
    The disk lane is cut back to its last whole line, memory takes over.

    And the disk is tried again later.
    """
    state = mount("state", "size=1m")
    app = started(state_site, lanes="disk", state_dir=str(state))
    assert emits(app, "before", 100) == 100
    os.kill(state_site.writer(), 19)
    filler = fill(state)
    assert emits(app, "full", 2000, 500) == 2000
    filler.unlink()
    os.kill(state_site.writer(), 18)
    flushes(app)
    assert emits(app, "healed", 100) == 100
    ends(state_site, app)


def test_a_disk_that_was_full_when_the_lane_was_made_is_used_later(
    state_site: StateSite, mount: Mount
) -> None:
    """A failed attempt leaves nothing that stands in the way of the next."""
    state = mount("state", "size=256k")
    filler = fill(state)
    app = started(state_site, state_dir=str(state), lanes="disk")
    assert emits(app, "full", 20) == 20
    assert not segments(state_site.places.disk_lanes_dir)
    filler.unlink()
    os.kill(state_site.writer(), 19)
    until(
        lambda: emits(app, "healed", 3000, 100) and segments(state_site.places.disk_lanes_dir),
        "a disk segment",
    )
    os.kill(state_site.writer(), 18)
    ends(state_site, app)
