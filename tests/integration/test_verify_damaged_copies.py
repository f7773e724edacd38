"""
The oracle on whole directories: it passes clean ones, and finds every kind of damage in copies of them.

A test here damages one thing and says what has to be found, where, and that nothing else is.
"""

import gzip
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, strategies as st

from pipeline.verification import Finding, Kind, Report, files, opener, verdict, verify

DAY, NEXT_DAY = "2025-11-21.jsonl", "2025-11-22.jsonl"
WRITER = "writer000000"
ADA, BOB, EVE = "ada000000000", "bob000000000", "eve000000000"


@pytest.fixture(autouse=True, scope="module")
def _no_pipeline_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
        yield


def record(producer: str, number: int, action_type: str = "tool_call", **fields: object) -> bytes:
    """Return one line."""
    first = f'"timestamp":"2025-11-21T14:32:15.{number % 1_000_000:06d}Z","action_type":"{action_type}"'
    rest = json.dumps(fields)[1:-1]
    more = f",{rest}" if rest else ""
    return f'{{{first},"action_number":{number},"producer":"{producer}"{more}}}\n'.encode()


@dataclass
class Log:
    """Files in the making: lists of lines, damaged at will and then written."""

    files: dict[str, list[bytes]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def emit(self, producer: str, file: str, action_type: str = "tool_call", **fields: object) -> None:
        """Append a producer's next record to a file."""
        self.numbers[producer] = self.numbers.get(producer, 0) + 1
        line = record(producer, self.numbers[producer], action_type, **fields)
        self.files.setdefault(file, []).append(line)

    def end(self, producer: str, file: str, action_type: str = "producer_closed") -> None:
        """Let the writer say that the producer has ended."""
        self.emit(WRITER, file, action_type, subject=producer, last_action_number=self.numbers[producer])

    def drop(self, producer: str, count: int, file: str) -> None:
        """Skip numbers, and let the writer say so."""
        first, last = self.numbers[producer] + 1, self.numbers[producer] + count
        self.numbers[producer] = last
        self.emit(
            WRITER,
            file,
            "records_dropped",
            subject=producer,
            first_action_number=first,
            last_action_number=last,
        )

    def index(self, file: str, producer: str, number: int) -> int:
        """Return where in a file a record stands."""
        return self.files[file].index(record(producer, number))

    def write(self, directory: Path) -> Path:
        """Write all files."""
        for name, lines in self.files.items():
            (directory / name).write_bytes(b"".join(lines))
        return directory


def clean_log() -> Log:
    """Two days: ada closes on the second, bob dies on the first, the pipeline stops."""
    log = Log()
    log.emit(WRITER, DAY, "pipeline_started", pid=1)
    for _ in range(10):
        log.emit(ADA, DAY)
        log.emit(BOB, DAY)
    log.end(BOB, DAY, "producer_died")
    for _ in range(10):
        log.emit(ADA, NEXT_DAY)
    log.end(ADA, NEXT_DAY)
    log.emit(WRITER, NEXT_DAY, "pipeline_stopped", reason="stopped")
    return log


@pytest.fixture
def log() -> Log:
    """Give a clean log that is not written yet."""
    return clean_log()


def only(report: Report) -> Finding:
    """Return the one finding there is."""
    assert sum(report.counts.values()) == 1, [finding.sentence for finding in report.findings]
    return report.findings[0]


def range_of(finding: Finding) -> tuple[str | None, int | None, int | None]:
    """Return the producer and the numbers of a finding."""
    return finding.producer, finding.first_action_number, finding.last_action_number


def kinds(report: Report) -> dict[str, int]:
    """Return the findings by kind."""
    return {kind.value: count for kind, count in report.counts.items()}


def ends(report: Report) -> dict[str, int]:
    """Return how producers ended, without the ways in which none did."""
    return {end.value: count for end, count in report.producers.items() if count}


def test_clean_directory_has_nothing_wrong(log: Log, tmp_path: Path) -> None:
    """Every record is counted, every end is proven, and there is no finding."""
    report = verify(log.write(tmp_path))
    assert report.findings == ()
    assert (report.ok, report.exit_code, report.partial) == (True, 0, False)
    assert (report.files, report.records) == (2, 34)
    assert report.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert ends(report) == {"closed": 2, "died": 1}


def test_empty_directory_and_empty_file_have_nothing_wrong(tmp_path: Path) -> None:
    """A pipeline that has recorded nothing yet has lost nothing."""
    assert verify(tmp_path).ok
    (tmp_path / DAY).touch()
    report = verify(tmp_path)
    assert (report.ok, report.files, report.records) == (True, 1, 0)


def test_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """No directory is no proof that nothing is missing."""
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nowhere")


def test_parts_instances_and_replay_parts_count_as_one_history(tmp_path: Path) -> None:
    """Numbers may lie in any file; across files only the set matters."""
    log = Log()
    names = ["2025-11-21.1.jsonl", DAY, "2025-11-21.r1.jsonl", "2025-11-21.i1a2b3c4d.jsonl", NEXT_DAY]
    for name in names * 3:
        for _ in range(4):
            log.emit(ADA, name)
    log.end(ADA, NEXT_DAY)
    report = verify(log.write(tmp_path))
    assert (report.findings, report.records) == ((), 61)
    (tmp_path / "2025-11-21.i1a2b3c4d.jsonl").unlink()
    assert [range_of(f)[1:] for f in verify(tmp_path).findings] == [(13, 16), (33, 36), (53, 56)]


def test_two_instances_keep_their_producers_apart(tmp_path: Path) -> None:
    """The same numbers of two producers are no duplicates."""
    log = Log()
    for _ in range(5):
        log.emit(ADA, DAY)
        log.emit(BOB, "2025-11-21.i1a2b3c4d.jsonl")
    report = verify(log.write(tmp_path))
    assert (report.ok, ends(report)) == (True, {"open": 2})
    assert report.open == (ADA, BOB)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("zst", zstandard.compress), ("gz", gzip.compress)], ids=["zst", "gz"]
)
def test_packed_day_is_judged_like_a_plain_one(
    log: Log, tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """Several frames in one file, and damage inside, are read as in the plain file."""
    log.files[DAY][5] = log.files[DAY][5].replace(b'"', b"!", 1)
    first, rest = b"".join(log.files[DAY][:3]), b"".join(log.files[DAY][3:])
    del log.files[DAY]
    log.write(tmp_path)
    (tmp_path / f"{DAY}.{suffix}").write_bytes(pack(first) + pack(rest))
    report = verify(tmp_path)
    assert kinds(report) == {"unparsable": 1, "missing": 1}
    assert report.findings[0].line == 6


@pytest.mark.parametrize(
    ("suffix", "pack"), [("zst", zstandard.compress), ("gz", gzip.compress)], ids=["zst", "gz"]
)
@pytest.mark.parametrize("kept", [0, 0.5], ids=["nothing", "half"])
def test_packed_day_that_is_cut_off_is_unreadable(
    log: Log, tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], kept: float
) -> None:
    """A frame without its end is found even where the library that unpacks it says nothing."""
    packed = pack(b"".join(log.files.pop(DAY)))
    log.write(tmp_path)
    (tmp_path / f"{DAY}.{suffix}").write_bytes(packed[: int(len(packed) * kept)])
    assert kinds(verify(tmp_path))["unreadable"] == 1


def test_packed_day_with_a_flipped_byte_is_unreadable(log: Log, tmp_path: Path) -> None:
    """The checksum of the packing is heeded."""
    packed = bytearray(gzip.compress(b"".join(log.files.pop(DAY))))
    packed[-6] ^= 1
    log.write(tmp_path)
    (tmp_path / f"{DAY}.gz").write_bytes(packed)
    assert kinds(verify(tmp_path))["unreadable"] == 1


def test_flipped_byte_is_found_with_its_place(log: Log, tmp_path: Path) -> None:
    """The finding names file, line, offset and length of the line that is no JSON any more."""
    at = log.index(DAY, ADA, 4)
    line = log.files[DAY][at]
    log.files[DAY][at] = line.replace(b'"tool', b"\x00tool")
    report = verify(log.write(tmp_path))
    broken, missing = report.findings
    assert (broken.kind, broken.place, broken.length) == (Kind.UNPARSABLE, f"{DAY}:{at + 1}", len(line) - 1)
    assert broken.offset == len(b"".join(log.files[DAY][:at]))
    assert (missing.kind, *range_of(missing)) == (Kind.MISSING, ADA, 4, 4)


def test_deleted_line_is_missing(log: Log, tmp_path: Path) -> None:
    """The finding stands at the record that follows the gap."""
    del log.files[DAY][log.index(DAY, ADA, 4)]
    after = log.index(DAY, ADA, 5)
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.MISSING, ADA, 4, 4)
    assert finding.place == f"{DAY}:{after + 1}"


def test_first_record_of_a_producer_is_missing_when_it_begins_later(tmp_path: Path) -> None:
    """Numbers begin with 1."""
    (tmp_path / DAY).write_bytes(record(ADA, 3))
    assert range_of(only(verify(tmp_path))) == (ADA, 1, 2)


@pytest.mark.parametrize("action_type", ["producer_closed", "producer_died"])
def test_tail_that_a_record_promised_is_missing(tmp_path: Path, action_type: str) -> None:
    """Cutting off the last records of a producer is found by what the pipeline said of its end."""
    log = Log()
    for _ in range(9):
        log.emit(ADA, DAY)
    log.end(ADA, NEXT_DAY, action_type)
    del log.files[DAY][-3:]
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.MISSING, ADA, 7, 9)
    assert finding.place == f"{NEXT_DAY}:1"


def test_tail_that_nobody_promised_leaves_the_producer_open(tmp_path: Path) -> None:
    """What cannot be proven is said, and is not called a failure."""
    log = Log()
    for _ in range(9):
        log.emit(ADA, DAY)
    del log.files[DAY][-3:]
    report = verify(log.write(tmp_path))
    assert (report.ok, report.open) == (True, (ADA,))


def test_producer_of_which_nothing_is_left_is_missing(log: Log, tmp_path: Path) -> None:
    """All records of a producer are gone, but not the one that told of its death."""
    log.files[DAY] = [line for line in log.files[DAY] if f'"producer":"{BOB}"'.encode() not in line]
    assert range_of(only(verify(log.write(tmp_path)))) == (BOB, 1, 10)


def test_record_behind_a_producers_last_one_contradicts_its_end(tmp_path: Path) -> None:
    """A producer that has died emits no more."""
    log = Log()
    log.emit(ADA, DAY)
    log.end(ADA, DAY, "producer_died")
    log.emit(ADA, DAY)
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.WRONG_FIELD, ADA, 1, 2)


def test_writer_that_goes_on_after_it_stopped_is_open(log: Log, tmp_path: Path) -> None:
    """`pipeline_stopped` proves an end only where it is the last record."""
    log.emit(WRITER, NEXT_DAY, "writer_restarted")
    assert verify(log.write(tmp_path)).open == (WRITER,)


def test_line_that_stands_twice_is_repeated(log: Log, tmp_path: Path) -> None:
    """A duplicate is named with the place of the second one."""
    at = log.index(DAY, BOB, 6)
    log.files[DAY].insert(at + 4, log.files[DAY][at])
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.REPEATED, BOB, 6, 6)
    assert finding.place == f"{DAY}:{at + 5}"


def test_records_that_are_in_two_files_are_repeated(log: Log, tmp_path: Path) -> None:
    """A replay that ran twice is one finding, with the file where the records stand first."""
    log.files["2025-11-21.r1.jsonl"] = [record(ADA, number) for number in (3, 4, 5)]
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.REPEATED, ADA, 3, 5)
    assert finding.file == "2025-11-21.r1.jsonl"
    assert DAY in finding.sentence


def test_two_lines_that_changed_places_are_out_of_order(log: Log, tmp_path: Path) -> None:
    """Within one file a producer's numbers rise."""
    lines, one, other = log.files[DAY], log.index(DAY, ADA, 4), log.index(DAY, ADA, 5)
    lines[one], lines[other] = lines[other], lines[one]
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, *range_of(finding)) == (Kind.OUT_OF_ORDER, ADA, 4, 4)


def test_last_line_without_newline_is_torn(log: Log, tmp_path: Path) -> None:
    """Where no lane is left nobody will finish the line."""
    log.files[DAY].append(record(EVE, 1)[:40])
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, finding.line, finding.length) == (Kind.TORN, len(log.files[DAY]), 40)


def test_last_line_that_lost_its_newline_only_is_torn(log: Log, tmp_path: Path) -> None:
    """A complete object without its newline is not a stored record: its rest may be missing too."""
    log.files[NEXT_DAY].append(record(EVE, 1)[:-1])
    assert only(verify(log.write(tmp_path))).kind is Kind.TORN


def test_day_that_was_removed_is_missing(log: Log, tmp_path: Path) -> None:
    """What the other days and the pipeline's own records know of it is missing."""
    del log.files[DAY]
    report = verify(log.write(tmp_path))
    assert {range_of(finding) for finding in report.findings} == {(ADA, 1, 10), (WRITER, 1, 2)}


def test_block_of_nuls_is_found(log: Log, tmp_path: Path) -> None:
    """What a power cut leaves of a page swallows the record behind it, and that one only."""
    at = log.index(DAY, ADA, 4)
    log.files[DAY].insert(at, b"\0" * 4096)
    report = verify(log.write(tmp_path))
    assert kinds(report) == {"unparsable": 1, "missing": 1}
    nuls = next(finding for finding in report.findings if finding.kind is Kind.UNPARSABLE)
    assert (nuls.line, nuls.length) == (at + 1, 4096 + len(record(ADA, 4)) - 1)


@pytest.mark.parametrize("line", [b"hello\n", b"\n", b"\xff\xfe\n", b"[]\n", b"\r\n"])
def test_line_of_a_stranger_is_found(log: Log, tmp_path: Path, line: bytes) -> None:
    """Somebody's `echo` into the file is reported, and costs nothing else."""
    log.files[DAY].insert(3, line)
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, finding.line) == (Kind.UNPARSABLE, 4)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"tool_call"', b"null"),
        (b"2025-11-21T", b"yesterday "),
        (b".000004Z", b".00000xZ"),
        (b".000004Z", b".00000\xd9\xa4Z"),
        (b'","action_type"', b'", "action_type"'),
        (b"}\n", b"}\r\n"),
    ],
)
def test_wrong_field_is_found_and_the_number_still_counts(
    log: Log, tmp_path: Path, old: bytes, new: bytes
) -> None:
    """One altered line is one finding: its record is not reported missing as well."""
    at = log.index(DAY, ADA, 4)
    log.files[DAY][at] = log.files[DAY][at].replace(old, new)
    finding = only(verify(log.write(tmp_path)))
    assert (finding.kind, finding.line) == (Kind.WRONG_FIELD, at + 1)


@pytest.mark.parametrize("number", [b'"4"', b"4.0", b"true", b"-4", b"0", b"1e400", b"18446744073709551616"])
def test_number_of_a_wrong_type_is_found(log: Log, tmp_path: Path, number: bytes) -> None:
    """What is no whole number above 0 counts as none."""
    at = log.index(DAY, ADA, 4)
    log.files[DAY][at] = log.files[DAY][at].replace(b'number":4', b'number":' + number)
    report = verify(log.write(tmp_path))
    assert report.counts[Kind.MISSING] == 1
    assert {finding.line for finding in report.findings if finding.kind is not Kind.MISSING} == {at + 1}


def test_gap_that_a_record_names_is_legal(tmp_path: Path) -> None:
    """Dropped ranges excuse gaps in the middle, at the tail, in pieces, wherever the record stands."""
    log = Log()
    log.emit(ADA, DAY)
    log.drop(ADA, 3, NEXT_DAY)
    log.drop(ADA, 2, DAY)
    log.emit(ADA, DAY)
    log.drop(ADA, 4, DAY)
    log.end(ADA, NEXT_DAY)
    log.emit(WRITER, NEXT_DAY, "records_dropped", subject=BOB, count=5, reason="quota")
    assert verify(log.write(tmp_path)).findings == ()


@pytest.mark.parametrize(("subject", "first", "last", "left"), [(ADA, 2, 4, (5, 6)), (BOB, 2, 6, (2, 6))])
def test_gap_that_no_record_names_is_missing(
    tmp_path: Path, subject: str, first: int, last: int, left: tuple[int, int]
) -> None:
    """A range that is too short, or somebody else's, excuses only what it names."""
    drop = {"subject": subject, "first_action_number": first, "last_action_number": last}
    lines = [record(ADA, 1), record(ADA, 7), record(WRITER, 1, "records_dropped", **drop)]
    (tmp_path / DAY).write_bytes(b"".join(lines))
    assert range_of(only(verify(tmp_path))) == (ADA, *left)


def test_critical_record_kept_inside_a_dropped_range_is_legal(tmp_path: Path) -> None:
    """Of a dropped segment the critical records stay, and its range still names them."""
    log = Log()
    log.emit(ADA, DAY)
    log.drop(ADA, 5, DAY)
    log.files[DAY].append(record(ADA, 4))
    log.emit(ADA, DAY)
    assert verify(log.write(tmp_path)).findings == ()


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


def test_thousand_producers_in_turn_are_kept_apart(tmp_path: Path) -> None:
    """Many producers in one file are judged each for itself."""
    producers = [f"p{index:011d}" for index in range(1000)]
    lines = [record(producer, number) for number in range(1, 6) for producer in producers]
    (tmp_path / DAY).write_bytes(b"".join(lines))
    report = verify(tmp_path)
    assert (report.ok, report.records, ends(report)) == (True, 5000, {"open": 1000})
    del lines[2500]
    (tmp_path / DAY).write_bytes(b"".join(lines))
    assert range_of(only(verify(tmp_path))) == (producers[500], 3, 3)


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
    describe, looks = files._describe, []

    def describe_while_the_writer_writes(path: Path) -> files.LogFile | None:
        looks.append(path)
        if len(looks) == 2 * look:
            append(looks[-2], [record(EVE, 2)])
            append(path, late)
        return describe(path)

    monkeypatch.setattr(files, "_describe", describe_while_the_writer_writes)
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
        }
    ]
    report.pop("bytes")
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


@st.composite
def histories(draw: st.DrawFn) -> Log:
    """Draw a clean history: producers in turn, spread over files, each with a proven end."""
    names = [DAY, "2025-11-21.1.jsonl", "2025-11-21.r1.jsonl", NEXT_DAY, "2025-11-22.i1a2b3c4d.jsonl"]
    chance = random.Random(draw(st.integers(0, 2**32)))
    producers = [ADA, BOB, EVE][: draw(st.integers(1, 3))]
    log = Log()
    for _ in range(draw(st.integers(1, 40))):
        log.emit(chance.choice(producers), chance.choice(names))
        if chance.random() < 0.1:
            log.drop(
                chance.choice(list(log.numbers.keys() - {WRITER})), chance.randint(1, 3), chance.choice(names)
            )
    for producer in sorted(log.numbers.keys() - {WRITER}):
        log.end(producer, chance.choice(names), chance.choice(["producer_closed", "producer_died"]))
    log.emit(WRITER, NEXT_DAY, "pipeline_stopped", reason="stopped")
    return log


def verified(log: Log) -> Report:
    """Write the history to a directory of its own and verify it."""
    with tempfile.TemporaryDirectory() as directory:
        return verify(log.write(Path(directory)))


def delete(log: Log, chance: random.Random) -> Kind:
    """Delete any line but the last, whose loss leaves the writer open."""
    places = [(name, at) for name, lines in log.files.items() for at in range(len(lines))]
    name, at = chance.choice(
        [place for place in places if b"pipeline_stopped" not in log.files[place[0]][place[1]]]
    )
    del log.files[name][at]
    return Kind.MISSING


def duplicate(log: Log, chance: random.Random) -> Kind:
    """Copy any line to any place of any file."""
    line = chance.choice([line for lines in log.files.values() for line in lines])
    lines = log.files[chance.choice(sorted(log.files))]
    lines.insert(chance.randint(0, len(lines)), line)
    return Kind.REPEATED


def swap(log: Log, chance: random.Random) -> Kind | None:
    """Exchange two lines of one producer in one file, if there are two."""
    lines = log.files[chance.choice(sorted(log.files))]
    producer = json.loads(chance.choice(lines))["producer"]
    own = [at for at, line in enumerate(lines) if json.loads(line)["producer"] == producer]
    if len(own) == 1:
        return None
    one, other = chance.sample(own, 2)
    lines[one], lines[other] = lines[other], lines[one]
    return Kind.OUT_OF_ORDER


@given(histories())
def test_any_clean_history_has_nothing_wrong(log: Log) -> None:
    """However records are spread over files, a clean history is clean and proven to its end."""
    report = verified(log)
    assert report.findings == ()
    assert report.open == ()


@pytest.mark.parametrize("damage", [delete, duplicate, swap])
@given(log=histories(), number=st.integers(0, 2**32))
def test_any_single_damage_to_a_history_is_found(
    damage: Callable[[Log, random.Random], Kind | None], log: Log, number: int
) -> None:
    """Whichever line is deleted, copied or exchanged: it is found, and called by its name."""
    kind = damage(log, random.Random(number))
    report = verified(log)
    if kind is None:
        assert report.ok
    else:
        assert report.counts[kind] >= 1
