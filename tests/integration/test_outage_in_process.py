"""The writer's way through an outage, step by step: retries, the fallback, the breaker, the way back."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.outage_rig import Disk, all_there, begun, held, rows, run, take_away
from support.rig import Rig

from pipeline.delivery import recovery
from pipeline.verification import verify


def test_a_short_failure_is_retried_and_nothing_goes_to_the_fallback(rig: Rig, disk: Disk) -> None:
    """EIO for half a second: the second attempt finds the disk well."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    rig.emit(emitter, 10)
    rig.step()
    assert "Input/output" in rig.writer.append_error
    disk.refuses.clear()
    run(rig, 3)
    assert not rig.writer.append_error
    assert rig.writer.delivery.retries == 1
    assert held(rig) == 0
    all_there(rig)


@pytest.mark.parametrize(
    ("number", "seconds"), [(errno.EIO, 6.5), (errno.ENOSPC, 2.5), (errno.EROFS, 2.5), (errno.EACCES, 2.5)]
)
def test_a_batch_without_a_home_goes_to_the_fallback(
    rig: Rig, disk: Disk, number: int, seconds: float
) -> None:
    """After 5 s, or after one retry of what waiting cannot heal; and it says why."""
    emitter = begun(rig)
    disk.refuses["write"] = number
    for tag in range(10, 15):
        rig.emit(emitter, tag)
    rig.step()
    assert held(rig) == 0
    run(rig, seconds)
    assert held(rig) == 5
    assert {row[4] for row in rows(rig)} == {str(OSError(number, os.strerror(number)))}
    disk.refuses.clear()
    run(rig, 90)
    all_there(rig)


def test_ten_failures_open_the_breaker_and_a_probe_closes_it(rig: Rig, disk: Disk) -> None:
    """While it is open nothing is tried on the files; a minute after they heal all is well."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    tags = iter(range(100, 10_000))
    run(rig, 60, lambda: rig.emit(emitter, next(tags)))
    delivery = rig.writer.delivery
    assert delivery.breaker.state == "open"
    failures = delivery.failures
    assert failures == 10
    before = held(rig)
    rig.emit(emitter, next(tags))
    rig.step(2)
    assert held(rig) == before + 1
    assert delivery.failures == failures
    disk.refuses.clear()
    run(rig, 61)
    assert delivery.breaker.state == "closed"
    assert not rig.writer.append_error
    all_there(rig)


def test_a_trial_that_fails_opens_the_breaker_again_and_later(rig: Rig, disk: Disk) -> None:
    """The probe works and the batch does not, as on a disk with room for a page: no record waits for it."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    tags = iter(range(100, 10_000))
    run(rig, 60, lambda: rig.emit(emitter, next(tags)))
    disk.refuses = {"fsync": errno.EIO}
    run(rig, 200, lambda: rig.emit(emitter, next(tags)))
    disk.refuses.clear()
    run(rig, 130)
    all_there(rig)


@pytest.mark.parametrize("reaches_the_disk", [True, False])
def test_a_failed_fsync_is_cut_and_delivered_again(rig: Rig, disk: Disk, reaches_the_disk: bool) -> None:
    """Whether its data is there in the end or not, each record is there once, in another part."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step(2)
    assert len(rig.tags()) == 20
    [path] = rig.day_files()
    size = path.stat().st_size
    disk.refuses["fsync"] = errno.EIO
    rig.pass_time(1.1)
    rig.step()
    disk.refuses.clear()
    if not reaches_the_disk and path.stat().st_size == size:
        os.truncate(path, rig.writer.page.synced.files[path.name][2])
    run(rig, 30)
    all_there(rig)


def test_a_cut_mark_waits_until_its_file_can_be_cut(rig: Rig, disk: Disk) -> None:
    """A file that refuses its fsync and then to be shortened is not written on before it is."""
    emitter = begun(rig)
    rig.emit(emitter, 10)
    rig.step(2)
    [path] = rig.day_files()
    size = path.stat().st_size
    truncate = os.ftruncate

    def refusing(fd: int, length: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")) == path:
            raise OSError(errno.EIO, "injected")
        truncate(fd, length)

    rig.patch.setattr(os, "ftruncate", refusing)
    disk.refuses["fsync"] = errno.EIO
    rig.pass_time(1.1)
    rig.step()
    disk.refuses.clear()
    rig.emit(emitter, 11)
    run(rig, 20)
    assert path.stat().st_size == size
    assert [mark.file for mark in rig.writer.pump.retreat.cuts] == [path.name]
    rig.kill_writer()
    rig.patch.setattr(os, "ftruncate", truncate)
    rig.start_writer()
    assert path.stat().st_size < size
    all_there(rig)


def test_a_full_disk_keeps_the_whole_lines_and_takes_none_twice(rig: Rig) -> None:
    """A short write leaves half a line; it is cut off, the rest of the batch goes to the fallback."""
    emitter = begun(rig)
    [path] = rig.day_files()
    for tag in range(10, 30):
        rig.emit(emitter, tag)
    rig.faults.room = 700
    rig.step()
    run(rig, 3)
    assert path.read_bytes().endswith(b"\n")
    rig.faults.room = None
    all_there(rig)
    assert [name for name in rig.lines() if ".r" in name], "nothing came by way of the fallback"


def test_while_files_and_fallback_refuse_records_stay_queued(rig: Rig, disk: Disk) -> None:
    """Neither is tried more than once a second, and both recover by themselves."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    store = rig.writer.fallback
    kept = store.max_bytes
    store.max_bytes = 0
    tags = iter(range(100, 10_000))
    run(rig, 40, lambda: rig.emit(emitter, next(tags)))
    assert held(rig) == 0
    assert "full" in rig.writer.delivery.fallback_error
    assert rig.writer.delivery.failures < 60
    store.max_bytes = kept
    run(rig, 10)
    assert held(rig) > 100
    assert not rig.writer.delivery.fallback_error
    disk.refuses.clear()
    run(rig, 70)
    all_there(rig)


def test_a_batch_that_was_written_by_half_when_all_refused_is_finished_first(rig: Rig) -> None:
    """The breaker opens over half a line and a store in doubt; the next batch begins behind it."""
    emitter = begun(rig)
    settle = rig.writer.fallback.settle
    rig.writer.fallback.settle = lambda: False
    for tag in range(10, 30):
        rig.emit(emitter, tag)
    rig.faults.room = 700
    rig.step()
    assert not rig.day_files()[0].read_bytes().endswith(b"\n")
    rig.writer.pump.retreat.is_store_in_doubt = True
    run(rig, 60)
    assert rig.writer.delivery.breaker.state == "open"
    rig.writer.fallback.settle = settle
    rig.faults.room = None
    rig.writer.delivery.hurry()
    all_there(rig)


@pytest.mark.parametrize(
    "point",
    [
        "writer.leave.before",
        "writer.retreat.begun",
        "writer.retreat.marked",
        "writer.retreat.settled",
        "writer.fallback.before",
        "writer.fallback.stored",
        "writer.position.stored",
        "writer.synced.noted",
        "writer.cut.done",
        "writer.sync.published",
        "writer.trim.cut",
    ],
)
@pytest.mark.parametrize("fault", ["write", "fsync"])
def test_a_writer_killed_on_its_way_to_the_fallback_loses_and_repeats_nothing(
    rig: Rig, disk: Disk, fault: str, point: str
) -> None:
    """Killed there, once or again and again, while the disk still refuses; then everything heals."""
    emitter = begun(rig)
    tags = iter(range(100, 10_000))
    for skip in range(3):
        disk.refuses[fault] = errno.EIO
        for _ in range(4):
            rig.emit(emitter, next(tags))
            rig.step(1)
            rig.pass_time(0.4)
        rig.aim = (point, skip)
        rig.run_until_killed(point, skip, turns=12)
        if rig.writer is not None:
            rig.kill_writer()
        if skip == 1:
            disk.refuses.clear()
        rig.emit(emitter, next(tags))
        rig.start_writer()
    disk.refuses.clear()
    run(rig, 70)
    all_there(rig)


def test_a_writer_that_cannot_reach_the_files_begins_with_the_fallback(rig: Rig, disk: Disk) -> None:
    """Its predecessor was killed with a batch half written; nothing of the log directory can be used."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.run_until_killed("writer.append.partial", 0)
    for tag in range(20, 30):
        rig.emit(emitter, tag)
    put_back = take_away(rig)
    rig.start_writer()
    run(rig, 5)
    assert held(rig) >= 20
    rig.kill_writer()
    rig.start_writer()
    rig.emit(emitter, 30)
    run(rig, 5)
    put_back()
    run(rig, 70)
    all_there(rig)
    assert verify(rig.places.log_dir).findings == ()


def test_no_lane_is_finished_before_the_files_could_be_asked(rig: Rig) -> None:
    """Positions are gone and files cannot be read yet: how a producer ended is not told, its lane stays."""
    emitter = begun(rig)
    rig.kill_writer()
    rig.abandon(emitter)
    rig.page.write_bytes(b"")
    real = recovery.stored.stored_numbers

    def refusing(*_arguments: Any, **_more: Any) -> dict[str, set[int]]:
        raise OSError(errno.EIO, "injected")

    rig.patch.setattr(recovery.stored, "stored_numbers", refusing)
    rig.start_writer()
    run(rig, 10)
    assert emitter.appenders()[0].lane.producer in rig.writer.lanes.watched
    rig.patch.setattr(recovery.stored, "stored_numbers", real)
    run(rig, 70)
    all_there(rig)
    assert verify(rig.places.log_dir).ok


def test_a_first_writer_of_all_begins_with_the_fallback(rig: Rig) -> None:
    """The log directory cannot be made at all; what is emitted is safe, and replayed when it can."""
    rig.places.log_dir.write_text("not a directory")
    emitter = rig.producer()
    for tag in range(10):
        rig.emit(emitter, tag)
    rig.start_writer()
    run(rig, 3)
    assert held(rig) >= 10
    rig.places.log_dir.unlink()
    run(rig, 70)
    all_there(rig)


@pytest.mark.parametrize(("away_sec", "back_sec"), [(20, 70), (3, 5)])
def test_a_log_directory_that_comes_back_with_its_files_has_each_record_once(
    rig: Rig, away_sec: float, back_sec: float
) -> None:
    """Moved under load and moved back: what was not durable in it is cut, also before the breaker opens."""
    emitter = begun(rig)
    rig.emit(emitter, 10)
    rig.step(2)
    put_back = take_away(rig)
    rig.emit(emitter, 11)
    run(rig, away_sec)
    assert held(rig) >= 1
    put_back()
    rig.emit(emitter, 12)
    run(rig, back_sec)
    assert rig.writer.pump.retreat.cuts == []
    all_there(rig)


def test_an_idle_pipeline_finds_out_that_its_directory_is_gone_bad(rig: Rig, disk: Disk) -> None:
    """Health turns before a record fails, and back again."""
    begun(rig)
    disk.refuses["write"] = errno.EROFS
    run(rig, 31)
    assert "Read-only" in rig.writer.append_error
    disk.refuses.clear()
    run(rig, 31)
    assert not rig.writer.append_error


def test_what_is_in_the_fallback_at_the_end_is_replayed_at_the_next_start(rig: Rig, disk: Disk) -> None:
    """The writer stops during the outage; its successor finds the rows, in whatever runtime directory."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.EIO
    rig.emit(emitter, 10)
    rig.close_producer(emitter)
    run(rig, 8)
    rig.writer.stop_own_lane("stopped")
    rig.kill_writer()
    shutil.rmtree(rig.places.runtime_dir)
    disk.refuses.clear()
    all_there(rig)
    told = [
        json.loads(line) for lines in rig.lines().values() for line in lines if b"fallback_replayed" in line
    ]
    assert sum(record["records"] for record in told) >= 1


def test_what_is_taken_back_has_no_entry_in_a_manifest(rig: Rig) -> None:
    """Killed over half a batch on a full disk; the successor can only leave it: no line of it was claimed."""
    emitter = begun(rig)
    for tag in range(10, 30):
        rig.emit(emitter, tag)
    rig.faults.room = 700
    rig.step()
    rig.kill_writer()
    rig.start_writer()
    run(rig, 3)
    rig.faults.room = None
    run(rig, 70)
    all_there(rig)
    assert verify(rig.places.log_dir).findings == ()
