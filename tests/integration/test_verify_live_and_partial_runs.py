"""
The oracle where it cannot see everything: single days, files that cannot be read, producers that still write.

What may lie where it did not look is not called missing; everything else is. Last, what it tells of its run.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support.histories import (
    ADA,
    BOB,
    DAY,
    EVE,
    NEXT_DAY,
    WRITER,
    Log,
    clean_log,
    ends,
    kinds,
    only,
    range_of,
    record,
)

from pipeline.verification import Kind, files, opener, verdict, verify


@pytest.fixture(autouse=True, scope="module")
def _no_pipeline_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def log() -> Log:
    """Give a clean log that is not written yet."""
    return clean_log()


def test_file_that_cannot_be_read_does_not_stop_the_others(log: Log, tmp_path: Path) -> None:
    """A directory, a link to nowhere or a FIFO in the place of a file is a finding; the rest is judged."""
    log.files[NEXT_DAY].insert(0, b"hello\n")
    log.write(tmp_path)
    (tmp_path / "2025-11-20.jsonl").mkdir()
    (tmp_path / "2025-11-21.1.jsonl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "2025-11-21.2.jsonl")
    report = verify(tmp_path)
    assert kinds(report) == {"unreadable": 3, "unparsable": 1}
    unreadable = [finding.file for finding in report.findings if finding.kind is Kind.UNREADABLE]
    assert unreadable == ["2025-11-20.jsonl", "2025-11-21.1.jsonl", "2025-11-21.2.jsonl"]


def test_io_error_in_the_middle_is_found_with_its_place(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the error is judged; what follows is said to be unread."""
    first = b"".join(log.files[DAY][:5])

    def read(raw: object, file: files.LogFile) -> Iterator[opener.Chunk]:
        if file.name == DAY:
            yield opener.Chunk(first, is_settled=True, disk_bytes=len(first))
            raise OSError(5, "Input/output error")
        yield from plain(raw, file)

    plain = opener.READERS[""]
    monkeypatch.setitem(opener.READERS, "", read)
    report = verify(log.write(tmp_path))
    unreadable = next(finding for finding in report.findings if finding.kind is Kind.UNREADABLE)
    assert (unreadable.line, unreadable.offset) == (6, len(first))
    assert "Input/output error" in unreadable.sentence


def test_single_day_is_not_judged_at_its_borders(log: Log, tmp_path: Path) -> None:
    """What lies before and behind the day read is in days that were not, and the report says so."""
    log.emit(EVE, DAY)
    log.end(EVE, NEXT_DAY)
    log.write(tmp_path)
    for date in ("2025-11-21", "2025-11-22"):
        report = verify(tmp_path, dates=[date])
        assert (report.findings, report.partial, report.files) == ((), True, 1)


def test_gap_within_a_single_day_is_missing(log: Log, tmp_path: Path) -> None:
    """Between two records of the day everything is judged."""
    del log.files[NEXT_DAY][4]
    report = verify(log.write(tmp_path), dates=["2025-11-22"])
    assert range_of(only(report)) == (ADA, 15, 15)


def test_unread_day_between_two_that_are_read_excuses_a_gap(tmp_path: Path) -> None:
    """The first and the third day cannot tell what the second has; without a second they can."""
    third = "2025-11-23.jsonl"
    log = Log()
    for name in (DAY, NEXT_DAY, third):
        for _ in range(3):
            log.emit(ADA, name)
    log.write(tmp_path)
    dates = ["2025-11-21", "2025-11-23"]
    assert verify(tmp_path, dates=dates).ok
    (tmp_path / NEXT_DAY).unlink()
    assert range_of(only(verify(tmp_path, dates=dates))) == (ADA, 4, 6)


@pytest.mark.parametrize(
    ("first", "third", "missing"), [((1, 2, 3), (4, 5, 6), [7]), ((4, 5, 6), (1, 2, 3), [])]
)
def test_unread_day_excuses_only_what_may_be_in_it(
    tmp_path: Path, first: tuple[int, ...], third: tuple[int, ...], missing: list[int]
) -> None:
    """A gap is excused if an unread day lies between the days of the records around it, and only then."""
    days = {"21": first, "22": (), "23": third, "24": (8,)}
    for day, numbers in days.items():
        lines = b"".join(record(ADA, number) for number in numbers)
        (tmp_path / f"2025-11-{day}.jsonl").write_bytes(lines)
    report = verify(tmp_path, dates=["2025-11-21", "2025-11-23", "2025-11-24"])
    assert [finding.first_action_number for finding in report.findings] == missing


def test_date_covers_all_files_of_its_day(tmp_path: Path) -> None:
    """Hours, parts and instances belong to their day."""
    names = ["2025-11-21T14.jsonl", "2025-11-21T15.1.jsonl", "2025-11-21.i1a2b3c4d.jsonl", NEXT_DAY]
    for name in names:
        (tmp_path / name).touch()
    assert verify(tmp_path, dates=["2025-11-21"]).files == 3


def add_lane(log_dir: Path, producer: str) -> None:
    """Leave a lane that waits to be drained."""
    lane = log_dir / ".pipeline" / "lanes" / "key" / producer
    lane.mkdir(parents=True)
    (lane / "alive").touch()


def test_line_that_is_being_written_is_not_torn(log: Log, tmp_path: Path) -> None:
    """While a lane is there its records are on their way, and a half line is one of them."""
    log.files[NEXT_DAY].append(record(EVE, 1)[:40])
    add_lane(log.write(tmp_path), EVE)
    report = verify(tmp_path)
    assert (report.findings, report.unfinished) == ((), 1)
    assert ends(report) == {"closed": 2, "died": 1, "queued": 1}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_lane_that_is_there_for_a_moment_only_is_seen(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A lane may be drained and removed, or created, while the sizes are taken."""
    log.files[NEXT_DAY].append(record(EVE, 1)[:40])
    log.write(tmp_path)
    lane = tmp_path / ".pipeline" / "lanes" / "key" / EVE
    take = verdict.take_snapshot

    def take_while_the_lane_changes(*arguments: Any) -> files.Snapshot:
        lane.rmdir() if moment == "before" else lane.mkdir(parents=True)
        return take(*arguments)

    if moment == "before":
        lane.mkdir(parents=True)
    monkeypatch.setattr(verdict, "take_snapshot", take_while_the_lane_changes)
    assert verify(tmp_path).findings == ()


def test_tail_that_lies_in_a_lane_is_not_missing(log: Log, tmp_path: Path) -> None:
    """The death of a producer may be stored before its last records are."""
    del log.files[DAY][log.index(DAY, BOB, 10)]
    log.write(tmp_path)
    assert range_of(only(verify(tmp_path))) == (BOB, 10, 10)
    add_lane(tmp_path, BOB)
    assert verify(tmp_path).findings == ()


def test_gap_is_missing_even_while_the_producer_lives(log: Log, tmp_path: Path) -> None:
    """Lanes are drained in order: what comes before a stored number is in no lane."""
    del log.files[DAY][log.index(DAY, BOB, 4)]
    add_lane(log.write(tmp_path), BOB)
    assert range_of(only(verify(tmp_path))) == (BOB, 4, 4)


@pytest.mark.parametrize("look", [1, 2])
@pytest.mark.parametrize(
    "late", [[record(WRITER, 4, "producer_died", subject=EVE, last_action_number=2)], [record(EVE, 3)]]
)
def test_writing_while_the_sizes_are_taken_is_no_finding(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int, late: list[bytes]
) -> None:
    """A record whose size was taken late never makes one missing whose file was looked at early."""
    log.files[NEXT_DAY] = [line for line in log.files[NEXT_DAY] if b"pipeline_stopped" not in line]
    log.files[DAY].append(record(EVE, 1))
    log.write(tmp_path)
    describe, looks = files.describe, []

    def describe_while_the_writer_writes(path: Path) -> files.LogFile | None:
        looks.append(path)
        if len(looks) == 2 * look:
            append(looks[-2], [record(EVE, 2)])
            append(path, late)
        return describe(path)

    monkeypatch.setattr(files, "describe", describe_while_the_writer_writes)
    report = verify(tmp_path)
    assert len(looks) == 4
    assert report.findings == ()


def append(path: Path, lines: list[bytes]) -> None:
    """Append lines to a file."""
    with path.open("ab") as file:
        file.write(b"".join(lines))


def test_report_says_the_same_as_json(log: Log, tmp_path: Path) -> None:
    """The dictionary is plain JSON with every promised field."""
    log.files[DAY].insert(3, b"[5]\n")
    report = json.loads(json.dumps(verify(log.write(tmp_path)).as_dict()))
    assert report.pop("findings") == [
        {
            "kind": "unparsable",
            "sentence": "JSON, but no object: '[5]'",
            "file": DAY,
            "line": 4,
            "offset": len(b"".join(log.files[DAY][:3])),
            "length": 3,
            "producer": None,
            "first_action_number": None,
            "last_action_number": None,
            "check": "lines",
        }
    ]
    size = report.pop("bytes")
    assert sum(part["length"] for part in report.pop("unproven")) == size
    assert report == {
        "ok": False,
        "exit_code": 1,
        "log_dir": str(tmp_path),
        "partial": False,
        "files": 2,
        "records": 34,
        "unfinished": 0,
        "producers": {"closed": 2, "died": 1, "live": 0, "queued": 0, "open": 0},
        "open": [],
        "counts": {"unparsable": 1},
        "proven_bytes": 0,
        "expired": {},
        "fallback_records": 0,
        "head": "",
    }


def test_progress_ends_with_everything_read(log: Log, tmp_path: Path) -> None:
    """Progress rises to the total, also for packed files."""
    packed = zstandard.compress(b"".join(log.files.pop(DAY)))
    log.write(tmp_path)
    (tmp_path / f"{DAY}.zst").write_bytes(packed)
    told: list[tuple[int, int]] = []
    verify(tmp_path, progress=lambda done, total: told.append((done, total)))
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert told == sorted(told)
    assert told[-1] == (total, total)
