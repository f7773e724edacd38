"""
A volume that is mounted again has another device number: its files are the same all the same.

Number and inode are what the kernel tells of a file. The first belongs to the mount (another loop device, a
disk found in another order, each mount of some file systems), so what is kept of files names the volume.
"""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.outage_rig import Disk, all_there, begun, run
from support.rig import Rig
from support.volumes import MIB, Volume, Volumes

from pipeline.storage.fallback import CutMark


@pytest.fixture
def volume(rig: Rig, volumes: Volumes) -> Volume:
    """Give a volume that is mounted where the rig's day files are going to be."""
    made = volumes.disk("volume", size=16 * MIB)
    made.unmount()
    made.point = rig.disk
    made.mount()
    return made


@pytest.fixture
def taken(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[list[str]]:
    """Give a list of loop devices that somebody else has, to which a test may add."""
    need_tool("losetup")
    devices: list[str] = []
    yield devices
    for device in devices:
        subprocess.run(["losetup", "-d", device], check=True)


def mount_elsewhere(volume: Volume, taken: list[str]) -> None:
    """Unmount it, and mount it again under another device number."""
    before = os.stat(volume.point).st_dev
    other = volume.source.with_name("other")
    other.write_bytes(bytes(MIB))
    while os.stat(volume.point).st_dev == before:
        volume.unmount()
        attach = ["losetup", "--find", "--show", str(other)]
        taken.append(subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip())
        volume.mount()


@pytest.mark.faults
@pytest.mark.parametrize("step", ["writer.retreat.marked", "replay.appended", "replay.synced"])
def test_what_was_begun_in_a_file_is_ended_in_it(
    rig: Rig, volume: Volume, taken: list[str], step: str
) -> None:
    """A writer dies with a cut mark that it could not work off, or over a piece of replay; then the mount."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    if step == "writer.retreat.marked":
        disk.refuses["fsync"] = errno.EIO
    else:
        disk.refuses["write"] = errno.EDQUOT
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    if step != "writer.retreat.marked":
        run(rig, 10)
        disk.refuses.clear()
    assert rig.run_until_killed(step, turns=80)
    disk.refuses.clear()
    mount_elsewhere(volume, taken)
    run(rig, 1)
    rig.start_writer()
    run(rig, 70)
    all_there(rig)


def test_a_mark_of_another_volume_waits_for_it(rig: Rig) -> None:
    """A new disk stands in the place of the old one, and has a file of the same name and inode."""
    begun(rig)
    (path,) = rig.day_files()
    mark = CutMark(path.name, "v0123456789abcdef", path.stat().st_ino, 0)
    rig.writer.fallback.store([], {}, [mark])
    rig.kill_writer()
    rig.start_writer()
    all_there(rig)
    rig.kill_writer()
    rig.start_writer()
    assert rig.writer.fallback.cut_marks() == [mark]


@pytest.mark.faults
def test_a_new_file_with_the_inode_of_a_marked_one_is_not_cut(rig: Rig, volume: Volume) -> None:
    """Somebody deletes a file that has a cut mark; ext4 gives its inode to the next one."""
    disk = Disk(rig.patch)
    emitter = begun(rig)
    (path,) = rig.day_files()
    mark = (path.name, path.stat().st_ino)
    disk.refuses["fsync"] = errno.EIO
    rig.emit(emitter, 10)
    for _ in range(40):
        rig.step()
        rig.pass_time(0.25)
    assert mark in [mark[::2] for mark in rig.writer.pump.retreat.cuts]
    path.unlink()
    disk.refuses.clear()
    for tag in range(100, 140):
        rig.emit(emitter, tag)
    for _ in range(40):
        rig.step()
        rig.pass_time(0.25)
    assert mark[1] in {path.stat().st_ino for path in rig.day_files()}
    rig.drain()
    assert rig.writer.pump.retreat.cuts == []
    assert set(rig.tags()) == {10, *range(100, 140)}
