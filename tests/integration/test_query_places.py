"""Queries over what the writer left: files, fallback rows, lanes, cut marks, files that change meanwhile."""

import errno
import gzip
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from support.forms import cut, frames_of, line_of, record, write_day
from support.outage_rig import Disk, begun, held, run
from support.rig import Rig

from pipeline import LogQueryEngine
from pipeline.errors import QueryError
from pipeline.query import Report, passage

LINES = [line_of(record(n, f"2025-11-21T10:00:{n:02d}.000000Z", "log", tag=n)) for n in range(1, 31)]


def tags(engine: LogQueryEngine) -> list[int]:
    """Return the tags of the test's own records."""
    return [one["tag"] for one in engine.iter() if "tag" in one]


def test_what_waits_in_lanes_and_stores_is_found_on_request_and_once(rig: Rig, disk: Disk) -> None:
    """Each record is found once, wherever it is at the moment; without being asked only files are read."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    run(rig, 20.0)
    assert held(rig) >= 10
    for tag in range(20, 25):
        rig.emit(emitter, tag)
    log_dir = rig.places.log_dir
    assert tags(LogQueryEngine(log_dir)) == [*range(10)]
    assert tags(LogQueryEngine(log_dir, include_fallback=True)) == [*range(20)]
    everywhere = LogQueryEngine(log_dir, include_fallback=True, include_queue=True)
    assert tags(everywhere) == [*range(25)]
    assert tags(everywhere.tail(3)) == [22, 23, 24]
    assert tags(everywhere.filter(where="tag >= 18").limit(4)) == [18, 19, 20, 21]
    del disk.refuses["write"]
    run(rig, 60.0)
    assert sorted(tags(LogQueryEngine(log_dir))) == [*range(25)]
    assert sorted(tags(everywhere)) == [*range(25)]


def test_what_stands_behind_a_cut_mark_is_not_read(rig: Rig, disk: Disk) -> None:
    """A tail in doubt was delivered again: it is found in the store, and not in the file, too."""
    emitter = begun(rig)
    disk.refuses["fsync"] = errno.EIO
    for tag in range(10, 16):
        rig.emit(emitter, tag)
    rig.step(3)
    disk.refuses["write"] = errno.EIO
    run(rig, 20.0)
    assert held(rig) >= 6
    log_dir = rig.places.log_dir
    (day,) = log_dir.glob("*.jsonl")
    with closing(sqlite3.connect(rig.writer.fallback.path)) as store:
        (row,) = store.execute("SELECT file, size FROM cut_marks")
    assert row[0] == day.name
    with day.open("r+b") as file:  # a disk that took it after all, and nobody could cut
        file.seek(row[1])
        file.write(day.read_bytes().splitlines(keepends=True)[3])
    assert tags(LogQueryEngine(log_dir)) == [*range(10)]
    assert tags(LogQueryEngine(log_dir, include_fallback=True)) == [*range(16)]
    assert tags(LogQueryEngine(log_dir).filter(where="tag >= 0").tail(2)) == [8, 9]
    (row,) = LogQueryEngine(log_dir).sql("SELECT count(*) FROM records WHERE tag IS NOT NULL").fetchall()
    assert row == (10,)


def test_what_is_in_a_store_and_in_a_file_is_given_once(rig: Rig, disk: Disk) -> None:
    """A piece that is being replayed is in both until the file is synced."""
    emitter = begun(rig)
    disk.refuses["write"] = errno.ENOSPC
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    run(rig, 20.0)
    with closing(sqlite3.connect(rig.writer.fallback.path)) as store:
        rows = [data for (data,) in store.execute("SELECT data FROM slices ORDER BY id")]
    (rig.places.log_dir / "2025-11-21.r9.jsonl").write_bytes(b"".join(rows))
    engine = LogQueryEngine(rig.places.log_dir, include_fallback=True, include_queue=True)
    assert tags(engine) == [*range(20)]
    assert tags(engine.filter(where="tag >= 0").tail(12)) == [*range(8, 20)]


@pytest.mark.parametrize(("suffix", "pack"), [("zst", zstandard.compress), ("gz", gzip.compress)])
def test_a_day_that_is_packed_between_the_listing_and_the_opening_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pack
) -> None:
    """The keeper puts the packed file in the place of the plain one at any moment."""
    write_day(tmp_path, "2025-11-21", LINES)
    day = tmp_path / "2025-11-21.jsonl"
    looked = passage.opened

    def packing_meanwhile(source):
        if day.exists():
            day.with_name(f"{day.name}.{suffix}").write_bytes(pack(day.read_bytes()))
            day.unlink()
        return looked(source)

    monkeypatch.setattr(passage, "opened", packing_meanwhile)
    assert tags(LogQueryEngine(tmp_path)) == [*range(1, 31)]
    monkeypatch.undo()
    assert tags(LogQueryEngine(tmp_path).tail(2)) == [29, 30]


def test_a_day_that_leaves_between_the_listing_and_the_opening_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention removes whole days while somebody asks."""
    write_day(tmp_path, "2025-11-21", LINES)
    write_day(tmp_path, "2025-11-22", LINES)
    looked = passage.opened

    def leaving_meanwhile(source):
        (tmp_path / "2025-11-21.jsonl").unlink(missing_ok=True)
        return looked(source)

    monkeypatch.setattr(passage, "opened", leaving_meanwhile)
    assert tags(LogQueryEngine(tmp_path)) == [*range(1, 31)]


def test_a_damaged_file_is_said_and_what_can_be_read_of_it_is_given(tmp_path: Path) -> None:
    """An answer that is not complete says so: as an error, or in the report that was given."""
    packed = frames_of(cut(LINES, 3))
    (tmp_path / "2025-11-21.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    write_day(tmp_path, "2025-11-22", LINES)
    os.mkfifo(tmp_path / "2025-11-23.jsonl")
    engine, report = LogQueryEngine(tmp_path), Report()
    found = engine.execute(report)
    assert [one["tag"] for one in found][:10] == [*range(1, 11)]
    assert [one["tag"] for one in found][-30:] == [*range(1, 31)]
    assert [name for name, _ in report.unreadable] == ["2025-11-21.jsonl.zst", "2025-11-23.jsonl"]
    with pytest.raises(QueryError, match=r"not everything could be read \(2025-11-21.jsonl.zst\)"):
        engine.execute()


def test_lines_that_are_no_records_are_passed_over_and_counted(tmp_path: Path) -> None:
    """Somebody's echo, half a record with a newline, NULs of a power loss, JSON that is no record."""
    foreign = [
        b"hello\n",
        LINES[3][:40] + b"\n",
        b"\0" * 3_000_000 + b"\n",
        b"\n",
        b'{"timestamp":1}\n',
        b"[]\n",
    ]
    mixed = [one for pair in zip(LINES, foreign, strict=False) for one in pair] + LINES[len(foreign) :]
    write_day(tmp_path, "2025-11-21", mixed)
    report = Report()
    assert len(LogQueryEngine(tmp_path).execute(report)) == len(LINES)
    assert report.foreign_lines == len(foreign)
    assert tags(LogQueryEngine(tmp_path).tail(28)) == [*range(3, 31)]
    (row,) = LogQueryEngine(tmp_path).sql("SELECT count(*), sum(tag) FROM records").fetchall()
    assert row == (30, sum(range(31)))


def test_a_file_of_somebody_else_is_read_line_by_line(tmp_path: Path) -> None:
    """With spaces, other zones and other first fields: an object with a time and a type is a record."""
    (tmp_path / "2025-11-21.jsonl").write_text(
        '{"action_type": "tool_call", "timestamp": "2025-11-21T11:00:00+01:00", "tool_name": "bash"}\n'
        '{"timestamp": "2025-11-21T10:30:00Z", "action_type": "tool_error", "tool_name": "b\\u0061sh"}\n'
        "not a record\n"
    )
    engine = LogQueryEngine(tmp_path)
    assert len(engine.filter(tool_name="bash").execute()) == 2
    assert [one["action_type"] for one in engine.filter(status="error").iter()] == ["tool_error"]
    assert engine.filter(since="2025-11-21T10:15").count() == 1
    assert engine.order_by_time().tail(1).execute()[0]["action_type"] == "tool_error"


def test_a_record_longer_than_every_buffer_is_found_from_both_ends(tmp_path: Path) -> None:
    """Lines of some megabytes go over many pieces."""
    long = line_of(record(31, "2025-11-21T11:00:00.000000Z", "log", tag=31, text="x" * 5_000_000 + "needle"))
    write_day(tmp_path, "2025-11-21", [*LINES, long, *LINES])
    engine = LogQueryEngine(tmp_path)
    assert tags(engine.filter(keyword="needle")) == [31]
    assert tags(engine.tail(31)) == [31, *range(1, 31)]


def test_a_file_that_begins_in_the_middle_of_another_day_is_found_by_moments(tmp_path: Path) -> None:
    """Files are named by the day of their writer's time zone; moments are those of the timestamps."""
    lines = [
        line_of(
            record(
                n, f"2025-11-{20 + (n > 600)}T{(n // 60 + 14) % 24:02d}:{n % 60:02d}:00.000000Z", "log", tag=n
            )
        )
        for n in range(1440)
    ]
    padded = [line.replace(b'"tag"', b'"pad":"%b","tag"' % (b"x" * 1500)) for line in lines]
    write_day(tmp_path, "2025-11-21", padded)  # the day of a zone ten hours ahead of UTC
    engine = LogQueryEngine(tmp_path)
    assert tags(engine.filter(since="2025-11-20T14:00", until="2025-11-20T14:05")) == [0, 1, 2, 3, 4]
    assert not tags(engine.filter(since="2025-11-21T14:30"))
    report = Report()
    assert engine.filter(since="2025-11-22T20:00", until="2025-11-22T21:00").count(report) == 0
    assert report.files == 0


def test_without_a_directory_there_is_nothing_and_no_error(tmp_path: Path) -> None:
    """Who asks before the first record gets an empty answer."""
    engine = LogQueryEngine(tmp_path / "nowhere", include_fallback=True, include_queue=True)
    assert engine.execute() == engine.tail(5).execute() == []
    assert engine.group_by("status") == {}
    assert engine.sql("SELECT count(*) FROM records").fetchall() == [(0,)]
