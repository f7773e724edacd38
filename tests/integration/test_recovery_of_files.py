"""
Day files that somebody wrote into, moved or deleted, with a writer that lives and without one.

The rig is that of tests/support/rig.py.
"""

import errno
import json
import os
from pathlib import Path

import pytest
from support.rig import Rig
from support.witness import drained, written

from pipeline.delivery import recovery
from pipeline.storage import stored


def kept_files(rig: Rig) -> list[Path]:
    """Return the day files and what is in quarantine."""
    quarantine = rig.places.belongings_dir / "quarantine"
    return [*rig.day_files(), *(quarantine.iterdir() if quarantine.exists() else ())]


def is_record(line: bytes) -> bool:
    """Whether a line is one JSON object with a whole fill."""
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and set(record.get("fill", "x")) == {"x"}


@pytest.mark.parametrize("how", ["noise", "noise without an end", "a record of somebody's"])
def test_foreign_bytes_while_no_writer_lives_spoil_no_record(rig: Rig, how: str) -> None:
    """
    Writing goes on behind them in a part, or after they were cut into quarantine.

    No line of ours is glued to them.
    """
    count = written(rig)
    foreign = {"noise": b"noise\n", "noise without an end": b"noise", "a record of somebody's": b'{"a":1}\n'}[
        how
    ]
    with rig.day_files()[0].open("ab") as file:
        file.write(foreign)
    emitter = rig.producer()
    for tag in range(count, count + 5):
        rig.emit(emitter, tag)
    rig.drain()
    ours = [
        line for lines in rig.lines().values() for line in lines if stored.is_ours(line) and b'"tag"' in line
    ]
    assert len(ours) == count + 5
    assert foreign.strip() in b"".join(path.read_bytes() for path in kept_files(rig))


@pytest.mark.parametrize("foreign", [b"noise\n", b'{"a":1}\n'])
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_half_line_with_foreign_bytes_behind_it_is_not_taken_for_its_record(
    rig: Rig, foreign: bytes, is_killed: bool
) -> None:
    """The disk was full in the middle of a record, and somebody wrote behind the half of it."""
    emitter = rig.producer()
    rig.start_writer()
    rig.drain()
    for tag in range(3):
        rig.emit(emitter, tag, 500)
    rig.faults.room = 800
    rig.step()
    with rig.day_files()[0].open("ab") as file:
        file.write(foreign)
    if is_killed:
        rig.kill_writer()
    rig.drain()
    lines = [line for lines in rig.lines().values() for line in lines]
    whole = [line for line in lines if is_record(line) and b'"tag"' in line]
    assert sorted(map(stored.number_of, whole)) == [1, 2, 3]


def test_foreign_bytes_in_a_half_written_batch_spoil_no_record(rig: Rig) -> None:
    """
    A batch was cut off by a kill and somebody wrote behind the half of it.

    Its records are written again, once.
    """
    count = written(rig, killed_at="writer.append.partial")
    with rig.day_files()[0].open("ab") as file:
        file.write(b"noise\n")
    rig.drain()
    ours = [
        line for lines in rig.lines().values() for line in lines if stored.is_ours(line) and b'"tag"' in line
    ]
    assert len(ours) == len({stored.number_of(line) for line in ours}) == count


@pytest.mark.parametrize("lost_page", [False, True])
def test_what_a_killed_writer_did_not_sync_is_synced_before_it_counts_as_durable(
    rig: Rig, lost_page: bool
) -> None:
    """Its successor has to sync a file even if it appends nothing to it (invariant D3)."""
    written(rig)
    synced_before = dict(rig.synced)
    inode = rig.day_files()[0].stat().st_ino
    if lost_page:
        rig.page.unlink()
    rig.start_writer()
    own = {appender.lane.producer for appender in rig.writer._own.appenders()}
    for name in own:  # its own first record goes to the same file and would hide the matter
        rig.writer.lanes.watched.pop(name).close()
    while rig.writer.pump.deliver():
        pass
    rig.writer.pump.sync()
    durable = [lane.tailer.durable for lane in rig.writer.lanes.all()]
    assert any(durable), "nothing is called durable at all"
    assert rig.synced.get(inode, 0) == rig.day_files()[0].stat().st_size > synced_before.get(inode, 0)


def test_what_a_killed_writer_left_in_a_file_that_was_moved_is_synced_too(rig: Rig) -> None:
    """Somebody rotated the logs while no writer lived."""
    written(rig)
    path = rig.day_files()[0]
    inode, size = path.stat().st_ino, path.stat().st_size
    path.rename(path.with_name(path.name + ".1"))
    drained(rig, 20)
    assert rig.synced.get(inode, 0) == size


@pytest.mark.parametrize("change", ["moved", "foreign"])
def test_a_file_that_is_left_behind_is_synced_first(rig: Rig, change: str) -> None:
    """
    A file that somebody moved or wrote into gets no more of ours.

    But what is in it has to become durable (D3).
    """
    emitter = rig.producer()
    rig.start_writer()
    rig.drain()
    for tag in range(5):
        rig.emit(emitter, tag)
    rig.step()
    path = rig.day_files()[0]
    inode = path.stat().st_ino
    assert rig.synced[inode] < path.stat().st_size
    size = path.stat().st_size
    if change == "moved":
        path.rename(path.with_name(path.name + ".old"))
    else:
        with path.open("ab") as file:
            file.write(b"noise\n")
    rig.emit(emitter, 5)
    drained(rig, 6) if change == "moved" else rig.drain()
    assert rig.synced[inode] >= size


def test_a_look_into_the_files_that_fails_is_taken_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Positions are set back before the files are read.

    If one cannot be read, nothing may be written on that ground.
    """
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(10):
        rig.emit(emitter, tag)
    rig.step(3)
    for tag in range(10, 15):
        rig.emit(emitter, tag)
    rig.faults.room = 50
    rig.step()
    assert rig.writer.append_error
    rig.faults.room = None
    rig.writer.pump.ask_files()
    real = recovery.stored.stored_numbers
    failures = [3]

    def failing(*arguments, **more):
        if failures[0]:
            failures[0] -= 1
            raise OSError(errno.EIO, "injected")
        return real(*arguments, **more)

    monkeypatch.setattr(recovery.stored, "stored_numbers", failing)
    rig.drain()
    assert failures == [0]
    ours = [
        line for lines in rig.lines().values() for line in lines if stored.is_ours(line) and b'"tag"' in line
    ]
    assert sorted(map(stored.number_of, ours)) == list(range(1, 16))


@pytest.mark.parametrize("noticed", ["before an append", "at the sync"])
def test_records_of_a_deleted_file_wait_until_the_log_directory_can_be_made_again(
    rig: Rig, noticed: str
) -> None:
    """
    Redelivery that fails is tried again.

    An `rm -r` of the logs, and for a while nothing can be made there.
    """
    emitter = rig.producer()
    rig.start_writer()
    rig.drain()
    for tag in range(30):
        rig.emit(emitter, tag)
    rig.step(4)
    assert len(rig.tags()) == 30
    log_dir = rig.places.log_dir
    for path in rig.day_files():
        path.unlink()
    real_mode_dir = log_dir.with_name("kept")
    log_dir.rename(real_mode_dir)
    log_dir.write_text("a file where the log directory was")
    count = 30
    if noticed == "before an append":
        rig.emit(emitter, 30)
        count = 31
    for _ in range(6):
        rig.step()
        rig.pass_time(1.1)
    log_dir.unlink()
    real_mode_dir.rename(log_dir)
    drained(rig, count)


def test_records_of_a_deleted_file_survive_a_full_disk_at_their_redelivery(rig: Rig) -> None:
    """More slices than one batch takes; the disk fills in the middle of writing them again."""
    emitter = rig.producer()
    rig.start_writer()
    rig.drain()
    for tag in range(40):
        rig.emit(emitter, tag)
        rig.step()
    assert len(rig.tags()) == 40
    rig.day_files()[0].unlink()
    rig.faults.room = 700
    rig.emit(emitter, 40)
    for _ in range(4):
        rig.step()
        rig.pass_time(1.1)
    drained(rig, 41)


def test_a_look_into_several_parts_leaves_nothing_unsynced(rig: Rig) -> None:
    """The files are asked while a part is being written: it stays the current one, and becomes durable."""
    emitter = rig.producer()
    rig.start_writer()
    rig.emit(emitter, 0)
    rig.drain()
    with rig.day_files()[0].open("ab") as file:
        file.write(b"noise\n")
    rig.emit(emitter, 1)
    rig.step()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        recovery.by_files(rig.writer.pump, rig.writer.beat)
    rig.step()
    assert len(os.listdir("/proc/self/fd")) <= before
    rig.drain()
    rig.check_positions()
    assert [line.count(b'"tag"') for lines in rig.lines().values() for line in lines].count(1) == 2


@pytest.mark.parametrize("seconds", [0, 1, 5])
def test_a_half_line_that_a_lane_completes_is_completed(rig: Rig, seconds: int) -> None:
    """
    Without a page, a line cut off by a kill is finished from its lane.

    People who tail the file see it once.
    """
    count = written(rig, killed_at="writer.append.partial")
    path = rig.day_files()[0]
    before = path.read_bytes()
    assert not before.endswith(b"\n")
    rig.page.unlink()
    rig.pass_time(seconds)
    drained(rig, count)
    assert path.read_bytes().startswith(before)
    assert not (rig.places.belongings_dir / "quarantine").exists()


def test_a_half_line_that_no_lane_holds_is_kept_in_quarantine(rig: Rig) -> None:
    """It is cut from the file, since nothing could be read behind it, and kept."""
    count = written(rig)
    path = rig.day_files()[0]
    with path.open("ab") as file:
        file.write(b'{"timestamp":"2025-11-21T0')
    rig.page.unlink()
    drained(rig, count)
    kept = list((rig.places.belongings_dir / "quarantine").iterdir())
    assert [item.read_bytes() for item in kept] == [b'{"timestamp":"2025-11-21T0']
