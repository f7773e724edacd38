"""The parts of the oracle, each on its own: lines, shapes, numbers, testimony, lanes."""

import fcntl
import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, strategies as st

from pipeline.verification import files, testimony
from pipeline.verification.files import take_snapshot
from pipeline.verification.findings import Findings, Kind, excerpt, visible
from pipeline.verification.lines import HEAD_BYTES, LineReader, Place
from pipeline.verification.live import Lanes, find_lanes, live_producers
from pipeline.verification.opener import Chunk, read_chunks
from pipeline.verification.sequence import Numbers, Run
from pipeline.verification.shape import examine
from pipeline.verification.testimony import without

GOOD = b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a","action_number":7,"producer":"p"}'


def lines_of(pieces: list[bytes]) -> list[tuple[bytes, int, int, int]]:
    """Return each line with its number, offset and length, and last what follows the last newline."""
    reader = LineReader(Chunk(piece, is_settled=True, disk_bytes=len(piece)) for piece in pieces)
    found = []
    for block in reader:
        places = [block.place(0, index) for index in range(len(block.lines))]
        found += [(line, *place[1:]) for line, place in zip(block.lines, places, strict=True)]
    return [*found, (reader.rest.kept(), reader.line, reader.offset, reader.rest.length)]


# At most 60 bytes: of a longer line that cannot be a record only the beginning is kept (see below).
@given(st.lists(st.binary(max_size=10).map(lambda data: data.replace(b"\x07", b"\n")), max_size=6))
def test_lines_and_places_are_the_same_however_the_bytes_are_cut(pieces: list[bytes]) -> None:
    """Lines end at newlines only, and offsets count every byte, wherever chunks begin and end."""
    whole = b"".join(pieces)
    expected, offset = [], 0
    for number, line in enumerate(whole.split(b"\n"), 1):
        expected.append((line, number, offset, len(line)))
        offset += len(line) + 1
    assert lines_of(pieces) == expected


def test_carriage_return_ends_no_line() -> None:
    """A lone carriage return is a byte of the line, as for every JSONL reader."""
    assert [line for line, *_ in lines_of([b"a\rb\n"])] == [b"a\rb", b""]


def test_long_block_of_nuls_is_measured_but_not_kept() -> None:
    """A hole of any size that spans chunks costs no memory, and the place behind it is right."""
    found = lines_of([b"\0" * 500_000] * 3 + [b"\n" + GOOD + b"\n"])
    (head, line, offset, length), (good, *place), _ = found
    assert (len(head), line, offset, length) == (HEAD_BYTES, 1, 0, 1_500_000)
    assert (good, *place) == (GOOD, 2, 1_500_001, len(GOOD))


def test_record_that_spans_many_chunks_is_kept_whole() -> None:
    """A record may be larger than a chunk."""
    record = b'{"a":"' + b"x" * 1_000_000 + b'"}'
    pieces = [record[start : start + 1000] for start in range(0, len(record), 1000)]
    assert lines_of([*pieces, b"\n"])[0] == (record, 1, 0, len(record))


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        GOOD.replace(b'"a"', rb'"a\"b\u00e9"'),
        GOOD.replace(b"Z", b"+09:00"),
        GOOD.replace(b"}", b',"producers":[{"producer":"q"}]}'),
    ],
)
def test_record_as_the_library_writes_it_has_nothing_wrong(line: bytes) -> None:
    """Escapes in a text, another time zone and nested fields of the same name are fine."""
    kind, sentence, record = examine(line)
    assert (kind, sentence) == (None, "")
    assert record is not None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "empty"),
        (b"\0\0\0", "block of NUL"),
        (b"\0\0" + GOOD, "NUL bytes in"),
        (b"hello\x1b[2J", r"hello\x1b[2J"),
        (b'{"a":"\xff\xfe"}', "not JSON"),
        (GOOD[:-1], "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "no object"),
        (b"7", "no object"),
    ],
)
def test_line_that_is_no_object_is_unparsable(line: bytes, words: str) -> None:
    """The sentence says what is there instead, and a terminal obeys none of it."""
    kind, sentence, record = examine(line)
    assert (kind, record) == (Kind.UNPARSABLE, None)
    assert words in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("line", "words", "is_counted"),
    [
        (b"{}", '"timestamp" is missing', False),
        (GOOD.replace(b',"producer":"p"', b""), '"producer" is missing', False),
        (GOOD.replace(b"7", b"7.0"), "whole number", False),
        (GOOD.replace(b"7", b"true"), "whole number", False),
        (GOOD.replace(b"7", b'"7"'), "whole number", False),
        (GOOD.replace(b"7", b"0"), "whole number", False),
        (GOOD.replace(b"7", b"-7"), "whole number", False),
        (GOOD.replace(b'"p"', b"5"), '"producer" is not', False),
        (GOOD.replace(b'"p"', b'""'), '"producer" is not', False),
        (GOOD.replace(b'"a"', b"null"), '"action_type" is not', True),
        (GOOD.replace(b"2025-11-21T", b"2025-11-21 "), "not a time", True),
        (GOOD.replace(b"2025-11", b"2025-13"), "not a time", True),
        (GOOD.replace(b"123456Z", b"\xd9\xa123456Z"), "not a time", True),
        (GOOD.replace(b"{", b'{"x":1,'), "does not begin", True),
        (GOOD.replace(b":7", b": 7"), "space", True),
        (GOOD + b" ", "space", True),
        (GOOD + b"\r", "CR LF", True),
        (GOOD.replace(b"}", b',"action_number":8}'), "stands twice", False),
        (GOOD.replace(b"}", rb',"\u0070roducer":"q"}'), "stands twice", False),
        (GOOD.replace(b"}", b',"timestamp":"2025-11-22T14:32:15.123456Z"}'), "stands twice", False),
    ],
)
def test_object_that_is_no_record_is_a_wrong_field(line: bytes, words: str, *, is_counted: bool) -> None:
    """The sentence names what is wrong; the number counts wherever it cannot be mistaken."""
    kind, sentence, record = examine(line)
    assert kind is Kind.WRONG_FIELD
    assert words in sentence
    assert (record is not None) == is_counted


def test_shown_text_has_no_control_characters() -> None:
    """What a damaged file contains is shown, and neither moves the cursor nor turns the text around."""
    assert visible("a\x1b[31m\u202eb\n\x07\ud800") == r"a\x1b[31m\u202eb\n\x07\ud800"
    assert visible(b"\xff\xc3\xa9") == r"\xffé"
    assert excerpt(b"x" * 100) == f"'{'x' * 60}…'"


def enter(numbers: list[list[int]]) -> tuple[Numbers, Findings]:
    """Read files with these numbers of one producer."""
    known, findings = Numbers("p"), Findings()
    names = [f"{index}.jsonl" for index in range(len(numbers))]
    for index, in_file in enumerate(numbers):
        run = Run(known)
        for line, number in enumerate(in_file, 1):
            if number == run.next < run.barrier:
                run.next += 1
                continue
            run.end(names, findings, is_settled=True)
            run.begin(number, Place(index, line, 0, 0))
        run.end(names, findings, is_settled=True)
    return known, findings


@given(st.lists(st.lists(st.integers(1, 30), max_size=12), max_size=5))
def test_stretches_are_what_a_set_of_all_numbers_would_say(numbers: list[list[int]]) -> None:
    """Stretches, gaps, repeats and disorder agree with the plainest possible model."""
    known, findings = enter(numbers)
    seen: set[int] = set()
    repeated, disordered = [], []
    for in_file in numbers:
        highest = 0
        for number in in_file:
            if number in seen:
                repeated.append(number)
            elif number < highest:
                disordered.append(number)
            seen.add(number)
            highest = max(highest, number)

    def reported(kind: Kind) -> list[int]:
        ranges = [(f.first_action_number, f.last_action_number) for f in findings.kept if f.kind is kind]
        return sorted(number for first, last in ranges for number in range(first, last + 1))

    assert [n for s in known.stretches for n in range(s.first, s.last + 1)] == sorted(seen)
    gaps = [number for gap in known.gaps() for number in range(gap.first, gap.last + 1)]
    assert gaps == sorted(set(range(1, max(seen, default=0))) - seen)
    assert reported(Kind.REPEATED) == sorted(repeated)
    assert reported(Kind.OUT_OF_ORDER) == sorted(disordered)


def test_complete_numbers_over_many_files_take_one_stretch() -> None:
    """Memory follows the damage, not the number of records or files."""
    known, findings = enter([list(range(start, start + 100)) for start in range(1, 2001, 100)])
    assert [(stretch.first, stretch.last) for stretch in known.stretches] == [(1, 2000)]
    assert not findings.kept


def test_file_that_is_there_twice_is_one_finding_a_producer() -> None:
    """A copied file is reported as the range it repeats, and not a million times."""
    _, findings = enter([list(range(1, 1001)), list(range(1, 1001))])
    (found,) = findings.kept
    assert (found.kind, found.first_action_number, found.last_action_number) == (Kind.REPEATED, 1, 1000)
    assert (found.file, found.line) == ("1.jsonl", 1)


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: (min(pair), max(pair))),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: (min(pair), max(pair)))),
)
def test_dropped_ranges_are_taken_out_of_a_gap(gap: tuple[int, int], dropped: list[tuple[int, int]]) -> None:
    """What is left is exactly what no dropped range names, as the shortest list of ranges."""
    left = list(without(gap, dropped))
    excused = {number for first, last in dropped for number in range(first, last + 1)}
    expected = set(range(gap[0], gap[1] + 1)) - excused
    assert [number for first, last in left for number in range(first, last + 1)] == sorted(expected)
    assert all(earlier[1] + 1 < later[0] for earlier, later in itertools.pairwise(left))


@pytest.mark.parametrize(
    "fields",
    [
        {"action_type": "producer_died", "last_action_number": 3},
        {"action_type": "producer_died", "subject": "", "last_action_number": 3},
        {"action_type": "producer_closed", "subject": "q"},
        {"action_type": "producer_closed", "subject": "q", "last_action_number": "3"},
        {"action_type": "records_dropped", "subject": "q", "first_action_number": 3},
        {"action_type": "records_dropped", "subject": "q", "first_action_number": 3, "last_action_number": 2},
    ],
)
def test_testimony_that_says_nothing_usable_excuses_nothing(fields: dict[str, object]) -> None:
    """A record of ours with wrong fields is a finding, and no proof of anything."""
    heard = testimony.Testimony()
    record = {"producer": "w", "action_number": 1, **fields}
    assert heard.hear(record, Place(0, 1, 0, 0), is_settled=True)
    assert (heard.ends, heard.dropped, heard.stopped) == ({}, {}, {})


def test_highest_statement_binds_in_whatever_order_they_are_read() -> None:
    """A writer that is killed may tell an end twice, and files are not read in the order of writing."""
    for numbers in ([3, 5], [5, 3]):
        heard = testimony.Testimony()
        for number in numbers:
            place = Place(0, number, 0, 0)
            died = {"action_type": "producer_died", "subject": "q", "last_action_number": number}
            stopped = {"action_type": "pipeline_stopped"}
            for fields in (died, stopped):
                record = {"producer": "w", "action_number": number, **fields}
                assert not heard.hear(record, place, is_settled=True)
        assert (heard.ends["q"].last, heard.stopped) == (5, {"w": 5})


def test_findings_are_all_counted_but_not_all_kept() -> None:
    """A ruined directory cannot fill the memory with findings."""
    _, findings = enter([[1] * 5000])
    assert findings.counts[Kind.REPEATED] == 4999
    assert len(findings.kept) == 1000


def test_files_are_recognised_by_their_names(tmp_path: Path) -> None:
    """Days, hours, parts, instances, replay parts and packed files are read; nothing else is."""
    ours = [
        "2025-11-21.jsonl",
        "2025-11-21.1.jsonl",
        "2025-11-21.2.jsonl",
        "2025-11-21.10.jsonl",
        "2025-11-21.r1.jsonl",
        "2025-11-21.i1a2b3c4d.jsonl",
        "2025-11-21.i1a2b3c4d.1.jsonl",
        "2025-11-21T14.jsonl",
        "2025-11-22.jsonl.zst",
        "2025-11-23.jsonl.gz",
    ]
    others = ["metadata.json", "2025-11-21.jsonl.tmp", "notes.jsonl", "2025-11-21.json", ".2025-11-21.jsonl"]
    for name in [*ours, *others]:
        (tmp_path / name).touch()
    assert [file.name for file in take_snapshot(tmp_path).files] == ours


def test_file_that_is_there_plain_and_packed_is_read_once(tmp_path: Path) -> None:
    """While a day is being packed both are there, and neither is a duplicate."""
    for suffix in ("", ".zst", ".gz"):
        (tmp_path / f"2025-11-21.jsonl{suffix}").touch()
    assert [file.name for file in take_snapshot(tmp_path).files] == ["2025-11-21.jsonl"]


@pytest.mark.parametrize(("suffix", "compress"), [("zst", zstandard.compress), ("gz", gzip.compress)])
def test_file_that_is_packed_after_the_look_is_read_all_the_same(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    """A day that was packed between the look and the reading is not lost."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    (file,) = take_snapshot(tmp_path).files
    plain.with_name(f"{plain.name}.{suffix}").write_bytes(compress(GOOD))
    plain.unlink()
    assert b"".join(chunk.data for chunk in read_chunks(file)) == GOOD


def test_file_is_read_up_to_its_size_at_the_look_and_no_further(tmp_path: Path) -> None:
    """What is appended while we read belongs to the next verification."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(b"before")
    (file,) = take_snapshot(tmp_path).files
    with plain.open("ab") as appended:
        appended.write(b"after")
    assert b"".join(chunk.data for chunk in read_chunks(file)) == b"before"


def test_bytes_that_came_between_the_two_looks_are_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read, since older bytes may follow from them, but nothing is demanded because of them."""
    (tmp_path / "2025-11-21.jsonl").write_bytes(b"before")
    look, looks = files._look, []

    def look_while_somebody_writes(log_dir: Path) -> Iterator[files.LogFile]:
        if looks:
            (log_dir / "2025-11-21.jsonl").write_bytes(b"before, and after")
            (log_dir / "2025-11-22.jsonl").write_bytes(b"new")
        looks.append(log_dir)
        return look(log_dir)

    monkeypatch.setattr(files, "_look", look_while_somebody_writes)
    old, new = take_snapshot(tmp_path).files
    assert [(chunk.data, chunk.is_settled) for chunk in read_chunks(old)] == [
        (b"before", True),
        (b", and after", False),
    ]
    assert [(chunk.data, chunk.is_settled) for chunk in read_chunks(new)] == [(b"new", False)]


def pack(plain: Path) -> None:
    """Put a packed file in the place of a plain one."""
    plain.with_name(f"{plain.name}.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    plain.unlink()


def test_file_that_is_packed_between_listing_and_size_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is listed, and gone when its size is asked for."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    pack(plain)
    monkeypatch.setattr("pipeline.verification.files.os.listdir", lambda _: [plain.name])
    (file,) = take_snapshot(tmp_path).files
    assert b"".join(chunk.data for chunk in read_chunks(file)) == GOOD


def test_file_that_is_packed_between_the_two_looks_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packed file is never appended to: all of it may be relied on, new as it is."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    look, looks = files._look, []

    def look_while_somebody_packs(log_dir: Path) -> Iterator[files.LogFile]:
        if looks:
            pack(plain)
        looks.append(log_dir)
        return look(log_dir)

    monkeypatch.setattr(files, "_look", look_while_somebody_packs)
    (file,) = take_snapshot(tmp_path).files
    assert (file.name, file.settled) == ("2025-11-21.jsonl.zst", file.size)


HOLDER = """
import fcntl, sys
held = open(sys.argv[1], "r+b")
fcntl.lockf(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

PROBE = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("held")
"""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a runtime directory that belongs to `tmp_path / "logs"`."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    log_dir, directory = tmp_path / "logs", tmp_path / "pipeline-7" / "key"
    log_dir.mkdir()
    directory.mkdir(parents=True)
    home = {"log_dir": str(log_dir), "state_dir": str(tmp_path / "state"), "instance": "i00000000"}
    (directory / "home.json").write_text(json.dumps(home))
    return directory


def add_lane(place: Path, producer: str) -> Path:
    """Create a lane and return its `alive` file."""
    (place / producer).mkdir(parents=True)
    (place / producer / "alive").touch()
    return place / producer / "alive"


def test_producer_is_live_while_its_lock_is_held_and_queued_afterwards(runtime: Path) -> None:
    """The lock decides, since pids lie; a lane without it waits to be drained."""
    alive = add_lane(runtime / "lanes", "p")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, alive], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert live_producers(runtime, ()) == Lanes(live=frozenset({"p"}))
        holder.communicate()
    assert live_producers(runtime, ()) == Lanes(queued=frozenset({"p"}))


def test_asking_does_not_take_this_process_own_lock_away(runtime: Path) -> None:
    """Closing a descriptor drops this process's own lock on the file; a producer may verify its logs."""
    alive = add_lane(runtime / "lanes", "p")
    with alive.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert live_producers(runtime, ()) == Lanes(live=frozenset({"p"}))
        probe = subprocess.run([sys.executable, "-c", PROBE, alive], capture_output=True, check=True)
    assert probe.stdout == b"held\n"


def test_lanes_are_found_in_memory_and_on_both_disks(runtime: Path, tmp_path: Path) -> None:
    """A lane may be in the runtime directory, in the log directory or in the state directory."""
    log_dir = tmp_path / "logs"
    add_lane(runtime / "lanes", "memory")
    add_lane(log_dir / ".pipeline" / "lanes" / "key", "disk")
    add_lane(tmp_path / "state" / "lanes" / "other", "state")
    assert find_lanes(log_dir).queued == {"memory", "disk", "state"}


def test_producer_seen_alive_at_one_moment_counts_as_live() -> None:
    """Lanes are looked up twice; a life that ends or begins in between is a life."""
    live, queued = Lanes(live=frozenset({"p"})), Lanes(queued=frozenset({"p", "q"}))
    assert live | queued == queued | live == Lanes(frozenset({"p"}), frozenset({"q"}))


def test_runtime_directory_of_a_user_who_owns_no_log_is_ignored(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's lanes must not excuse what is missing from the files."""
    add_lane(runtime / "lanes", "p")
    stranger = frozenset({runtime.stat().st_uid + 1})
    monkeypatch.setattr("pipeline.verification.live._owners", lambda _: stranger)
    assert not find_lanes(tmp_path / "logs")


@pytest.mark.parametrize("content", ['{"log_dir": "/elsewhere"}', '{"log_dir": 5}', "[]", "{", "\udcff"])
def test_runtime_directory_of_somebody_else_is_ignored(runtime: Path, tmp_path: Path, content: str) -> None:
    """A directory that does not name this log directory, or is damaged, says nothing about it."""
    add_lane(runtime / "lanes", "p")
    (runtime / "home.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert not find_lanes(tmp_path / "logs")


def test_runtime_directory_behind_a_link_is_ignored(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where anybody may create names, a link must not bring in lanes that excuse what is missing."""
    add_lane(runtime / "lanes", "p")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "pipeline-8").symlink_to(runtime.parent)
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path / "public"))
    assert not find_lanes(tmp_path / "logs")
