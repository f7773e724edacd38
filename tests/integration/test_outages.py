"""
The volume of the log directory fails under live producers, in each way it can: nothing lost, nothing twice.

The log directory with its `.pipeline` is on a small file system that is mounted for the test; everything else
is as it is by default. The application notices nothing: what cannot go into the files goes to the fallback
store, and comes back when the volume is well again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.fuse_disk import FuseDisk
from support.fuse_process import need_fuse
from support.fuse_rules import RuledDirectory
from support.injection import injected
from support.obeying import StateSite, emits, flushes, started
from support.outages import begun, ends, ends_well, goes_on, judge, until_in_fallback, until_replayed
from support.volumes import Volumes, exchange, run
from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_volume_that_is_freed(state_site: StateSite, volumes: Volumes, kind: str) -> None:
    """To the last byte, with our own files on it: whole lines stay, the rest takes the other way."""
    volume = volumes.memory("logs", "size=2m") if kind == "tmpfs" else volumes.disk("logs")
    app = begun(state_site, volume.point / "logs")
    volume.fill(keep=4096)
    goes_on(app, "full")
    until_in_fallback(state_site)
    goes_on(app, "still_full")
    volume.free()
    goes_on(app, "freed")
    until_replayed(state_site)
    ends_well(state_site, app)


def test_errors_for_a_moment_are_tried_again(
    state_site: StateSite, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    """EIO for one call: no record takes the other way."""
    app = begun(state_site, tmp_path / "logs")
    with injected(
        state_site.writer(), "writev", "error=EIO:when=1", need_tool, paths=tuple(state_site.files())
    ):
        goes_on(app, "failing")
        flushes(app)
    assert "fallback_in_use" not in state_site.health()["reasons"]
    ends_well(state_site, app)


@pytest.mark.parametrize("error", ["EIO", "EDQUOT"])
def test_errors_until_somebody_mends_it(
    state_site: StateSite, tmp_path: Path, need_tool: Callable[[str], str], error: str
) -> None:
    """Each write and each new file is refused; afterwards everything is."""
    need_fuse(need_tool)
    ruled = RuledDirectory(tmp_path / "volume")
    try:
        app = begun(state_site, ruled.path / "logs")
        ruled.set(f"write *.jsonl {error}", f"write */.probe-* {error}")
        goes_on(app, "failing")
        until_in_fallback(state_site)
        goes_on(app, "still_failing")
        ruled.set()
        goes_on(app, "mended")
        until_replayed(state_site)
        ends_well(state_site, app)
    finally:
        ruled.end()


@pytest.mark.parametrize("fault", ["eio_write", "eio_fsync"])
def test_an_fsync_that_fails_with_and_without_the_data(
    state_site: StateSite, volumes: Volumes, tmp_path: Path, need_tool: Callable[[str], str], fault: str
) -> None:
    """
    The pages are dropped, and a second fsync would say that all is well; or the data is there after all.

    Judged after the volume was mounted again: what only memory held is gone then.
    """
    need_fuse(need_tool)
    disk = FuseDisk(tmp_path / "disk", 48 << 20)
    try:
        run(need_tool("mkfs.ext4"), "-q", "-F", "-O", "^has_journal", disk.image)
        volume = volumes.image("logs", disk.image, "ext4")
        app = begun(state_site, volume.point / "logs")
        disk.process.set(fault)
        goes_on(app, "failing")
        state_site.until_reason("append_failing")
        disk.process.heal()
        goes_on(app, "healed")
        flushes(app)
        until_replayed(state_site)
        ends(state_site, app)
        volume.unmount()
        volume.mount()
        judge(state_site)
        volume.unmount()
    finally:
        disk.end()


def test_an_emergency_that_makes_it_read_only(state_site: StateSite, volumes: Volumes) -> None:
    """EROFS for all that is open; it takes a new mount, for which everybody has to let go, to heal that."""
    volume = volumes.disk("logs", options="errors=remount-ro")
    app = begun(state_site, volume.point / "logs")
    volume.break_read_only()
    goes_on(app, "read-only")
    until_in_fallback(state_site)
    ends(state_site, app)
    volume.unmount()
    volume.mount()
    app = started(state_site)
    goes_on(app, "mounted_again")
    until_replayed(state_site)
    ends_well(state_site, app)


def test_files_that_may_not_be_changed(state_site: StateSite, volumes: Volumes) -> None:
    """The day file and its directory have the mark of chattr +i."""
    volume = volumes.disk("logs")
    app = begun(state_site, volume.point / "logs")
    for path in (*state_site.files(), state_site.log_dir):
        volume.forbid(path)
    goes_on(app, "forbidden")
    until_in_fallback(state_site)
    volume.allow()
    goes_on(app, "allowed")
    until_replayed(state_site)
    ends_well(state_site, app)


def test_a_file_size_limit(state_site: StateSite, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """A short write, then EFBIG (ulimit -f), until the limit is raised."""
    app = begun(state_site, tmp_path / "logs")
    assert emits(app, "more", 3000, 600) == 3000
    flushes(app)
    limit = sum(path.stat().st_size for path in state_site.files()) + 1000
    run(need_tool("prlimit"), "--pid", str(state_site.writer()), f"--fsize={limit}:unlimited")
    goes_on(app, "limited", 100)
    until_in_fallback(state_site)
    run("prlimit", "--pid", str(state_site.writer()), "--fsize=unlimited:unlimited")
    goes_on(app, "raised", 100)
    until_replayed(state_site)
    ends_well(state_site, app)


def test_a_log_directory_that_is_removed(state_site: StateSite, volumes: Volumes) -> None:
    """With all that is in it, which is kept elsewhere here: a new one is made, and nothing is missing."""
    volume = volumes.disk("logs")
    app = begun(state_site, volume.point / "logs")
    state_site.log_dir.rename(volume.point / "moved")
    goes_on(app, "removed")
    flushes(app)
    goes_on(app, "made_again")
    ends_well(state_site, app, volume.point / "moved")


def test_a_log_directory_in_whose_place_is_a_file(state_site: StateSite, volumes: Volumes) -> None:
    """And then the directory is back."""
    volume = volumes.disk("logs")
    app = begun(state_site, volume.point / "logs")
    aside = volume.point / "aside"
    aside.write_text("no directory")
    exchange(state_site.log_dir, aside)
    goes_on(app, "file")
    until_in_fallback(state_site)
    exchange(state_site.log_dir, aside)
    goes_on(app, "back")
    until_replayed(state_site)
    ends_well(state_site, app)


def test_a_volume_that_is_unmounted_and_mounted_again(state_site: StateSite, volumes: Volumes) -> None:
    """Nothing is written into the directory below the mount point, where it would be hidden later."""
    volume = volumes.disk("logs")
    app = begun(state_site, volume.point)
    volume.unmount(lazily=True)
    goes_on(app, "away")
    until_in_fallback(state_site)
    killed = state_site.supervisor()
    state_site.signal_supervisor(signal.SIGKILL)
    until(lambda: state_site.supervisor() != killed, "another supervisor")
    goes_on(app, "still_away")
    state_site.health()
    assert not list(volume.point.iterdir())
    volume.mount()
    goes_on(app, "back")
    until_replayed(state_site)
    ends_well(state_site, app)


def test_a_write_that_hangs_for_a_while(
    state_site: StateSite, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    """The writer hangs in the kernel, the application does not."""
    need_fuse(need_tool)
    ruled = RuledDirectory(tmp_path / "volume")
    try:
        app = begun(state_site, ruled.path / "logs")
        ruled.set("write *.jsonl hang")
        goes_on(app, "hanging")
        state_site.until_reason("writer_not_responding")
        goes_on(app, "still_hanging")
        ruled.set()
        flushes(app)
        ends_well(state_site, app)
    finally:
        ruled.end()


def test_a_slow_fsync(state_site: StateSite, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """A fifth of a second each: it is waited for, and nothing is an outage."""
    app = begun(state_site, tmp_path / "logs")
    with injected(state_site.writer(), "fsync", "delay_enter=200000", need_tool):
        goes_on(app, "slow")
        flushes(app)
    assert "fallback_in_use" not in state_site.health()["reasons"]
    ends_well(state_site, app)


def test_logs_and_fallback_on_one_full_volume(state_site: StateSite, volumes: Volumes) -> None:
    """Both refuse: records stay in the queue."""
    volume = volumes.memory("all", "size=3m")
    app = begun(state_site, volume.point / "logs", fallback_dir=str(volume.point / "fallback"))
    volume.fill()
    goes_on(app, "full")
    state_site.until_reason("fallback_failing")
    volume.free()
    goes_on(app, "freed")
    flushes(app)
    until_replayed(state_site)
    ends_well(state_site, app)


@pytest.mark.parametrize("harm", ["deleted", "corrupt", "locked", "full"])
def test_a_fallback_store_that_is_harmed_while_the_volume_is_full(
    state_site: StateSite, volumes: Volumes, harm: str
) -> None:
    """What it holds already is what nobody can give back when it is deleted; so it is harmed while empty."""
    volume = volumes.memory("logs", "size=2m")
    fallback = volumes.memory("fallback", "size=4m")
    app = begun(state_site, volume.point / "logs", fallback_dir=str(fallback.point))
    volume.fill(keep=4096)
    goes_on(app, "full", 20)
    until_in_fallback(state_site)
    volume.free()
    until_replayed(state_site)
    store = until(lambda: next(fallback.point.glob("*/fallback.db"), None), "a store")
    holder = _harm(harm, store, fallback)
    volume.fill(keep=4096)
    goes_on(app, "full_again")
    state_site.until_reason("append_failing")
    goes_on(app, "still_full")
    if holder is not None:
        holder.kill()
        holder.communicate()
    fallback.free()
    volume.free()
    goes_on(app, "freed")
    flushes(app)
    until_replayed(state_site)
    ends(state_site, app)
    if harm == "corrupt":  # verify rightly cannot read it; all that it held is in the files
        for path in store.parent.glob("fallback.db*"):
            path.unlink()
    judge(state_site)


LOCKING = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(1000)
"""


def _harm(harm: str, store: Path, fallback: object) -> subprocess.Popen[bytes] | None:
    if harm == "deleted":
        for path in store.parent.glob("fallback.db*"):
            path.unlink()
    elif harm == "corrupt":
        with store.open("r+b") as file:
            file.write(b"no database" * 1000)
    elif harm == "full":
        fallback.fill()
    else:
        holder = subprocess.Popen([sys.executable, "-c", LOCKING, str(store)], stdout=subprocess.PIPE)
        assert holder.stdout.readline() == b"locked\n"
        return holder
    return None
