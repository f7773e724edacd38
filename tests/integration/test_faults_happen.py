"""The faults that other tests provoke really happen: on plain files, without anything of ours."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.fuse_disk import FuseDisk
from support.fuse_process import need_fuse
from support.injection import injected
from support.volumes import KINDS, Volume, Volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.fuse_rules import RuledDirectory

pytestmark = pytest.mark.faults

MIB = 1 << 20
WRITING = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for word in sys.stdin:
    begun = time.monotonic()
    try:
        told = os.write(fd, b"x" * 100) if word == "write\\n" else os.fsync(fd) or 0
    except OSError as error:
        told = -error.errno
    print(told, time.monotonic() - begun > 0.15, flush=True)
"""


def opened(path: Path) -> int:
    """Open a file for appending."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)


@contextmanager
def refused(*codes: int) -> Iterator[None]:
    """See that the system refuses with one of these errors."""
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        yield
    assert caught.value.errno in codes


def test_mounts_are_seen_by_nobody_outside(volumes: Volumes) -> None:
    """The first process of the machine has no such mount."""
    volume = volumes.memory("small")
    with open("/proc/1/mounts", encoding="utf-8") as mounts:
        assert str(volume.point) not in mounts.read()


@pytest.mark.parametrize("kind", ["tmpfs", *KINDS])
def test_a_full_volume_takes_a_part_and_then_nothing(volumes: Volumes, kind: str) -> None:
    """Some of it arrives, then a write fails, and after `free` there is room."""
    volume = volumes.memory("full", "size=1m") if kind == "tmpfs" else volumes.disk("full", kind)
    fd = opened(volume.point / "file")
    volume.fill(keep=256 << 10)
    with refused(errno.ENOSPC):
        while os.fstat(fd).st_size < MIB:
            os.write(fd, bytes(10_000))
    assert 0 < os.fstat(fd).st_size < MIB
    volume.free()
    assert os.write(fd, b"x") == 1
    os.close(fd)


def test_an_emergency_makes_ext4_read_only_for_open_files(volumes: Volumes) -> None:
    """An error of the file system: the descriptor that is open gets EROFS, until it is mounted again."""
    volume = volumes.disk("broken", options="errors=remount-ro")
    fd = opened(volume.point / "file")
    os.write(fd, b"x")
    volume.break_read_only()
    with refused(errno.EROFS):
        os.write(fd, b"x")
        os.fsync(fd)
    os.close(fd)
    volume.unmount()
    volume.mount()
    (volume.point / "again").touch()


def test_what_is_written_into_a_volume_taken_away_is_not_in_it(volumes: Volumes) -> None:
    """After `umount -l` an open descriptor leads to the old one, and its path to the directory below."""
    volume = volumes.memory("away")
    fd = opened(volume.point / "file")
    volume.unmount(lazily=True)
    assert os.write(fd, b"x") == 1
    assert not os.path.exists(volume.point / "file")
    os.close(fd)


def test_a_forbidden_file_refuses_open_descriptors(volumes: Volumes) -> None:
    """The mark of chattr +i counts for root, and for who has it open."""
    volume = volumes.disk("forbidden")
    fd = opened(volume.point / "file")
    volume.forbid(volume.point / "file")
    with refused(errno.EPERM):
        os.write(fd, b"x")
    volume.allow()
    assert os.write(fd, b"x") == 1
    os.close(fd)


def test_a_frozen_volume_lets_writers_wait(volumes: Volumes) -> None:
    """The write is done only after the thaw."""
    volume = volumes.disk("frozen")
    fd = opened(volume.point / "file")
    volume.freeze()
    writer = threading.Thread(target=os.write, args=(fd, b"x"))
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    volume.thaw()
    writer.join(10)
    assert not writer.is_alive()
    os.close(fd)


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_loses_what_is_not_synced_and_an_unlinked_file_is_back(
    volumes: Volumes, kind: str
) -> None:
    """Synced bytes stay, later ones go, a new name and a removal that were not synced never were."""
    volume = volumes.disk("cut", kind)
    fd, back = opened(volume.point / "file"), opened(volume.point / "back")
    os.write(fd, b"synced")
    for one in (fd, back, os.open(volume.point, os.O_RDONLY)):
        os.fsync(one)
    os.write(fd, b"lost")
    os.unlink(volume.point / "back")
    (volume.point / "new").write_bytes(b"lost")
    volume.cut_power()
    with refused(errno.EIO):
        os.write(fd, b"x")
    os.closerange(fd, fd + 8)
    volume.unmount()
    volume.mount()
    assert (volume.point / "file").read_bytes() == b"synced"
    assert (volume.point / "back").exists()
    assert not (volume.point / "new").exists()


@pytest.mark.parametrize(
    ("call", "fault", "told"),
    [
        ("write", "error=EIO", f"-{errno.EIO} False"),
        ("write", "error=ENOSPC", f"-{errno.ENOSPC} False"),
        ("fsync", "error=EIO", f"-{errno.EIO} False"),
        ("fsync", "delay_enter=200000", "0 True"),
    ],
)
def test_a_running_process_gets_injected_errors(
    tmp_path: Path, need_tool: Callable[[str], str], call: str, fault: str, told: str
) -> None:
    """Only while it lasts, only the chosen call, and only on the chosen file."""
    path = tmp_path / "file"
    command = [sys.executable, "-c", WRITING, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as app:

        def does(word: str) -> str:
            app.stdin.write(f"{word}\n")
            return app.stdout.readline().strip()

        normal = "100 False" if call == "write" else "0 False"
        assert does("write") == "100 False"
        with injected(app.pid, call, fault, need_tool, paths=(path,)):
            assert does(call) == told
        assert does(call) == normal
        app.stdin.close()


@pytest.fixture
def disk(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[FuseDisk]:
    """Give a disk that fails when told to."""
    need_fuse(need_tool)
    disk = FuseDisk(tmp_path / "disk", 32 * MIB)
    yield disk
    disk.end()


@pytest.fixture
def on_disk(disk: FuseDisk, volumes: Volumes) -> Volume:
    """Give an ext4 on the disk."""
    volumes.make(disk.image, "ext4")
    return volumes.image("fs", disk.image, "ext4")


@pytest.mark.parametrize("fault", ["eio_write", "eio_fsync"])
def test_a_failing_disk_fails_the_fsync_once(disk: FuseDisk, on_disk: Volume, fault: str) -> None:
    """The write into the page cache is fine, the fsync is not."""
    fd = opened(on_disk.point / "file")
    os.write(fd, bytes(4096))
    os.fsync(fd)
    os.write(fd, b"x" * 4096)
    disk.process.set(fault)
    with refused(errno.EIO, errno.EROFS):
        os.fsync(fd)
    disk.process.heal()
    os.close(fd)


def test_a_full_disk_below_a_file_system_fails_the_fsync(disk: FuseDisk, on_disk: Volume) -> None:
    """As a thinly provisioned one does: what write(2) took is refused later."""
    fd = opened(on_disk.point / "file")
    os.write(fd, b"x" * 4096)
    disk.process.set("enospc")
    with refused(errno.ENOSPC, errno.EIO, errno.EROFS):
        os.fsync(fd)
    disk.process.heal()
    os.close(fd)


def test_a_hanging_disk_lets_an_fsync_wait(disk: FuseDisk, on_disk: Volume) -> None:
    """It is done only when the disk is well again."""
    fd = opened(on_disk.point / "file")
    os.write(fd, b"x")
    disk.process.set("hang")
    syncing = threading.Thread(target=os.fsync, args=(fd,))
    syncing.start()
    syncing.join(0.3)
    assert syncing.is_alive()
    disk.process.heal()
    syncing.join(10)
    assert not syncing.is_alive()
    os.close(fd)


def test_a_disk_can_be_cut_at_each_flush(disk: FuseDisk, volumes: Volumes, seed: int) -> None:
    """What an fsync had covered by then is on each image, and the rest may be."""
    volumes.make(disk.image, "ext4")
    volume = volumes.image("fs", disk.image, "ext4")
    os.sync()
    disk.begin_log()
    fd = opened(volume.point / "file")
    ends = []
    for _ in range(3):
        os.write(fd, b"x" * 1000)
        os.fsync(fd)
        ends.append(disk.flushes())
    os.close(fd)
    for count, flushes in enumerate(ends, 1):
        cut = volumes.image(f"cut{count}", disk.cut_at(flushes - 1, seed), "ext4")
        assert (cut.point / "file").read_bytes().startswith(b"x" * 1000 * count)
        cut.end()


def test_rules_fail_chosen_calls_on_chosen_files(ruled: RuledDirectory) -> None:
    """The second and third write to one kind of file; the others are as on any file system."""
    ruled.set("write *.jsonl EIO 2 3", "fsync *.db EIO", "rename */*.old EROFS")
    day, other = opened(ruled.path / "day.jsonl"), opened(ruled.path / "a.db")
    assert os.write(day, b"one\n") == 4
    for _ in range(2):
        with refused(errno.EIO):
            os.write(day, b"two\n")
    assert os.write(day, b"three\n") == 6
    os.fsync(day)
    with refused(errno.EIO):
        os.fsync(other)
    (ruled.path / "x.old").touch()
    with refused(errno.EROFS):
        os.rename(ruled.path / "x.old", ruled.path / "y")
    assert (ruled.behind / "day.jsonl").read_bytes() == b"one\nthree\n"
    assert sorted(os.listdir(ruled.path)) == ["a.db", "day.jsonl", "x.old"]
    os.close(day)
    os.close(other)


def test_rules_shorten_a_write_and_let_one_hang(ruled: RuledDirectory) -> None:
    """Half of it is there; and a call that hangs goes on when its rule is gone."""
    fd = opened(ruled.path / "file")
    ruled.set("write *file short 1 1", "write *file hang")
    assert os.write(fd, b"12345678") == 4
    hanging = threading.Thread(target=os.write, args=(fd, b"rest"))
    hanging.start()
    hanging.join(0.3)
    assert hanging.is_alive()
    ruled.set()
    hanging.join(10)
    assert (ruled.behind / "file").read_bytes() == b"1234rest"
    os.close(fd)
