"""
The volume of the log directory leaves between two system calls, where somebody just saw that it is there.

What was begun goes on in the directory it began in, as files that are open do; nothing is asked, and nothing
made, in the empty directory below the mount point.
"""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from support.outage_rig import Disk, all_there, begun, held, mount, run, unmount
from support.rig import Rig

from pipeline.delivery import recovery, replay_part
from pipeline.host import clock, files
from pipeline.storage import days

_DAY_SEC = 24 * 3600


def leaves_before(rig: Rig, place: Any, name: str) -> Callable[[], bool]:
    """Have the volume leave the first time somebody calls this; returns whether it has."""
    real, left = getattr(place, name), []

    def with_less(*given: Any, **more: Any) -> Any:
        if not left:
            left.append(name)
            unmount(rig)
        return real(*given, **more)

    rig.patch.setattr(place, name, with_less)
    return lambda: bool(left)


def test_a_part_is_not_made_below_the_mount_point(rig: Rig) -> None:
    """Replay found the volume there, and looks for the name of its next part."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    disk.refuses["write"] = errno.EDQUOT
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    run(rig, 10)
    assert held(rig)
    has_left = leaves_before(rig, replay_part.naming, "next_replay_part")
    disk.refuses.clear()
    run(rig, 70, is_file_gone=True)
    assert has_left()
    mount(rig)
    run(rig, 70)
    all_there(rig)


def test_a_day_is_not_begun_below_the_mount_point(rig: Rig) -> None:
    """The first records of a day found the volume there."""
    emitter = begun(rig)
    has_left = leaves_before(rig, days, "DayFile")
    rig.clock.wall_ns += _DAY_SEC * clock.NANO
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    run(rig, 5, is_file_gone=True)
    assert has_left()
    mount(rig)
    run(rig, 70)
    all_there(rig)


@pytest.mark.parametrize("name", ["_is_intact", "_stored"])
def test_a_recovery_takes_no_file_for_gone(rig: Rig, name: str) -> None:
    """A successor found the volume there, and asks where its predecessor's last batch is."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    assert rig.run_until_killed("writer.commit.after")
    if name == "_stored":
        os.truncate(rig.page, 10)
    has_left = leaves_before(rig, recovery, name)
    rig.start_writer()
    assert has_left()
    run(rig, 5, is_file_gone=True)
    mount(rig)
    run(rig, 70)
    all_there(rig)


def test_a_lane_is_not_made_below_the_mount_point() -> None:
    """A producer found the volume there, and makes its lane on the disk."""
    rig = Rig(lanes="disk")
    try:
        begun(rig)
        has_left = leaves_before(rig, files, "make_private")
        emitter = rig.producer()
        for tag in range(100, 140):
            assert rig.emit(emitter, tag, size=200)
        assert has_left()
        assert not [path for path in rig.places.log_dir.rglob("*") if path.is_file()]
        files.remove_tree(rig.places.belongings_dir)
        run(rig, 3, is_file_gone=True)
        mount(rig)
        run(rig, 70)
        all_there(rig)
    finally:
        rig.close()


def test_who_stands_back_lets_go(rig: Rig) -> None:
    """A directory that is another one's now, or nobody's, is not held on to."""
    begun(rig)
    unmount(rig)
    run(rig, 5, is_file_gone=True)
    assert os.readlink(rig.writer.days.directory) == os.devnull
    mount(rig)
    run(rig, 70)
    all_there(rig)
