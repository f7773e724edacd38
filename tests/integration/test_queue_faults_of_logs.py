"""
A log directory that cannot be written, and instances that died or live beside: nothing is lost or repeated.

Real applications and workers, on small file systems that are mounted for the test.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.injection import injected
from support.obeying import (
    OBEYING,
    Mount,
    StateSite,
    emits,
    ends,
    fill,
    flushes,
    health_of,
    segments,
    started,
)
from support.waiting import until

from pipeline.host import locks
from pipeline.paths import places_for
from pipeline.queue.lane import Lane
from pipeline.storage.volume import Volume

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("how", ["read-only", "full"])
def test_a_log_directory_that_is_unusable_at_the_start_loses_nothing(
    state_site: StateSite, mount: Mount, tmp_path: Path, how: str
) -> None:
    """The workers wait for it, however long, and health says that appends fail."""
    logs = mount("logs", "size=256k")
    state_site.log_dir = logs
    filler = fill(logs) if how == "full" else None
    if how == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(logs)], check=True)
    app = started(state_site, state_dir=str(tmp_path / "state"))
    assert emits(app, "before", 200) == 200
    state_site.supervisor()
    until(lambda: {"append_failing", "writer_boot_failed"} & set(health_of(state_site)), "a reason in health")
    if filler is not None:
        filler.unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(logs)], check=True)
    assert emits(app, "after", 200) == 200
    flushes(app)
    ends(state_site, app)


def test_a_log_directory_that_fills_in_the_middle_of_a_record_is_written_on_behind_it(
    state_site: StateSite, mount: Mount, tmp_path: Path
) -> None:
    """
    A short write, a kill of the writer while the disk is full, and then room.

    Each record once, no half line.
    """
    state_site.log_dir = mount("logs", "size=192k")
    app = started(state_site, state_dir=str(tmp_path / "state"))
    assert emits(app, "first", 10, 500) == 10
    state_site.writer()
    filler = fill(state_site.log_dir)
    assert emits(app, "full", 300, 900) == 300
    state_site.until_reason("append_failing")
    os.kill(state_site.writer(), 9)
    assert emits(app, "killed", 100, 900) == 100
    subprocess.run(["mount", "-o", "remount,size=8m", str(state_site.log_dir)], check=True)
    filler.unlink()
    flushes(app)
    ends(state_site, app)


def test_a_write_that_fails_with_eio_is_finished_later(
    state_site: StateSite, need_tool: Callable[[str], str]
) -> None:
    """Injected into the running writer for a few calls: what did arrive is not written again."""
    app = started(state_site)
    assert emits(app, "before", 10) == 10
    flushes(app)
    with injected(state_site.writer(), "writev", "error=EIO:when=1..3", need_tool):
        assert emits(app, "eio", 500) == 500
        state_site.until_reason("append_failing")
        flushes(app)
    ends(state_site, app)


def test_lanes_of_another_pid_namespace_are_adopted(state_site: StateSite) -> None:
    """
    A container on the same volume was killed with everything in it.

    The next start delivers what it left.
    """
    inside = state_site.command(
        [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            sys.executable,
            str(state_site.script(OBEYING)),
        ],
        SITE_OPTIONS='{"lanes": "memory"}',
    )
    inside.expect("ready")
    inner = until(lambda: state_site.workers("writer"), "the writer inside")
    for pid in inner:
        os.kill(pid, 19)
    assert emits(inside, "inside", 300) == 300
    inside.process.kill()
    until(lambda: not state_site.workers(), "the end of the namespace")
    app = started(state_site)
    assert emits(app, "outside", 50) == 50
    ends(state_site, app)
    assert os.listdir(state_site.root) == []


def test_two_pid_namespaces_write_files_of_their_own(state_site: StateSite) -> None:
    """Both live over one log directory: the second one's files have its instance in their names."""
    app = started(state_site)
    assert emits(app, "first", 100) == 100
    flushes(app)
    inside = state_site.command(
        [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            sys.executable,
            str(state_site.script(OBEYING)),
        ],
    )
    inside.expect("ready")
    assert emits(inside, "second", 100) == 100
    flushes(inside)
    names = sorted(path.name.split(".", 1)[1] for path in state_site.files())
    assert names[-1] == "jsonl"
    assert len(names) == 2
    assert names[0].startswith("i")
    inside.tell("end")
    assert inside.wait() == 0
    ends(state_site, app)


def test_a_restart_after_a_power_loss_finds_what_disk_lanes_hold(state_site: StateSite) -> None:
    """Every process and everything in memory is gone; what the lanes on disk hold is written, once."""
    app = started(state_site, lanes="disk")
    assert emits(app, "early", 500) == 500
    flushes(app)
    os.kill(state_site.writer(), 19)
    assert emits(app, "late", 500) == 500
    assert segments(state_site.places.disk_lanes_dir)
    supervisor = locks.holder(state_site.places.runtime("supervisor.lock"))
    for pid in (supervisor, state_site.writer(), app.pid):
        os.kill(pid, 9)
    app.process.wait()
    until(lambda: not state_site.workers(), "the end of all")
    for path in sorted(state_site.root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    again = started(state_site, lanes="disk")
    assert emits(again, "again", 100) == 100
    ends(state_site, again)


def test_no_lane_is_made_in_the_mount_point_of_a_volume_that_is_away(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be hidden as soon as the volume is back; with the volume the lane is made."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    logs = mount("logs", "size=1m")
    places = places_for(logs)
    lane = Lane(places, "test")
    Volume(places).check()
    subprocess.run(["umount", str(logs)], check=True)
    with pytest.raises(OSError, match="not mounted"):
        lane.use_disk()
    assert not os.listdir(logs)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(logs)], check=True)
    assert lane.use_disk().is_relative_to(logs)
    lane.close()
