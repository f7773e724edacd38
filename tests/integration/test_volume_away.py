"""
The volume of the log directory is away: nothing is made or looked for in the directory below its mount point.

Here a log directory that is noted as a mount point and is none stands for that; test_outages has real mounts.
"""

import json
import shutil
from collections import Counter

from support.outage_rig import all_there, begun, mount, rows, run, unmount
from support.rig import Rig

from pipeline.host import files
from workers import departure


def test_a_lane_makes_no_directory_below_the_mount_point() -> None:
    """Its segments go to memory then; it keeps the lock that says it lives."""
    rig = Rig(lanes="disk")
    try:
        emitter = begun(rig)
        lane = emitter.appenders()[0].lane
        held = lane._disk_lock
        unmount(rig)
        for tag in range(100, 140):
            assert rig.emit(emitter, tag, size=200)
        assert lane._disk_lock is held
        assert held.fd >= 0
        new = rig.producer()
        assert rig.emit(new, 140)
        run(rig, 3, is_file_gone=True)
        mount(rig)
        run(rig, 70)
        all_there(rig)
    finally:
        rig.close()


def test_nobody_is_alone_while_lanes_may_be_on_a_volume_that_is_away() -> None:
    """Without a runtime directory producers go on on the disk; a writer that cannot see that waits for it."""
    rig = Rig(lanes="disk")
    try:
        emitter = begun(rig)
        shutil.rmtree(rig.places.runtime_dir)
        for tag in range(100, 110):
            rig.emit(emitter, tag, size=200)
        rig.step(2)  # and has the runtime directory made again
        rig.pass_time(1)
        rig.step(2)
        rig.kill_writer()
        unmount(rig)
        rig.start_writer()
        for _ in range(20):
            rig.step()
            rig.pass_time(0.5)
            assert rig.writer._exit_code() is None
        mount(rig)
        rig.drain()
        assert rig.tags() == Counter(rig.tags_emitted)
    finally:
        rig.close()


def test_the_runtime_directory_stays_while_lanes_may_be_on_a_volume_that_is_away(rig: Rig) -> None:
    """It says where the volume belongs, without which the next pipeline takes the empty directory."""
    rig.places.log_dir.mkdir()
    assert not departure.has_lanes(rig.places)
    unmount(rig)
    assert departure.has_lanes(rig.places)
    mount(rig)
    assert not departure.has_lanes(rig.places)


def test_who_removes_the_runtime_directory_does_not_make_us_forget_the_volume(rig: Rig) -> None:
    """A successor that starts while the volume is away finds the notes of the writer before."""
    begun(rig)
    names = ("volume.json", "instance.json", "fallback.json")
    noted = {name: files.read_json(rig.places.runtime(name)) for name in names}
    shutil.rmtree(rig.places.runtime_dir)
    run(rig, 2, is_file_gone=True)  # and with it what would tell how the lane ended
    assert None not in noted.values()
    assert {name: files.read_json(rig.places.runtime(name)) for name in names} == noted


def test_manifests_are_not_continued_below_the_mount_point(rig: Rig) -> None:
    """An entry is due, and somebody has made `.pipeline` there: the chain goes on where it was."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step(2)
    unmount(rig)
    made = rig.places.belongings_dir
    made.mkdir()
    rig.pass_time(11)
    rig.step(3)
    assert not (made / "manifests").exists()
    made.rmdir()
    mount(rig)
    run(rig, 70)
    all_there(rig)
    assert serials(rig) == sorted(set(serials(rig)))


def test_manifests_of_a_directory_that_came_in_the_place_of_another_are_its_own(rig: Rig) -> None:
    """A volume is mounted over a directory in use: its chain goes on, and none of its files gets a cut."""
    emitter = begun(rig)
    log_dir = rig.places.log_dir
    shutil.copytree(log_dir, log_dir.with_name("other"))
    for tag in range(10, 20):
        rig.emit(emitter, tag)
        rig.step(2)
        rig.pass_time(11)
    log_dir.rename(log_dir.with_name("below"))
    log_dir.with_name("other").rename(log_dir)
    for tag in range(20, 30):
        rig.emit(emitter, tag)
        run(rig, 2, is_file_gone=True)
    rig.drain()
    assert serials(rig) == sorted(set(serials(rig)))
    assert "cut" not in {entry["kind"] for entry in entries(rig)}
    assert rows(rig) == []


def entries(rig: Rig) -> list[dict]:
    """Return the entries of all manifests."""
    paths = (rig.places.belongings_dir / "manifests").iterdir()
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def serials(rig: Rig) -> list[int]:
    """Return the serials of all entries, in order."""
    return sorted(entry["serial"] for entry in entries(rig))
