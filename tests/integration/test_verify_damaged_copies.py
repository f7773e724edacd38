"""
The oracle on whole directories: it passes clean ones, and finds every kind of damage in copies of them.

A test here damages one thing and says what has to be found, where, and that nothing else is.
"""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

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

from pipeline.verification import Kind, verify


@pytest.fixture(autouse=True, scope="module")
def _no_pipeline_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture
def log() -> Log:
    """Give a clean log that is not written yet."""
    return clean_log()


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
