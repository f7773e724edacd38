"""The oracle's sums: which numbers were seen, and which of the others the pipeline's own records excuse."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pipeline.verification import testimony
from pipeline.verification.files import LogFile
from pipeline.verification.findings import Findings, Kind
from pipeline.verification.lines import Place
from pipeline.verification.ranges import joined, minus
from pipeline.verification.reading import Reading, Spot, Stretch
from pipeline.verification.scan import Scan
from pipeline.verification.sequence import Numbers
from pipeline.verification.survey import Part, Sheet


def enter(numbers: list[list[int]]) -> tuple[Numbers, Findings]:
    """Read files with these numbers of one producer."""
    names = [f"2025-11-{index + 1:02d}.jsonl" for index in range(len(numbers))]
    files = [LogFile(name, Path(name), name[:10], ("", "", False, 0), "", 0, 0) for name in names]
    scan = Scan(files, is_live=False, findings=Findings())
    for index, in_file in enumerate(numbers):
        reading = Reading()
        for line, number in enumerate(in_file):
            last = reading.stretches[-1] if reading.stretches else None
            if last is not None and number == last.last + 1:
                reading.stretches[-1] = last._replace(last=number)
            else:
                reading.stretches.append(Stretch("p", number, number, Spot(line, 0, 1), is_settled=True))
        scan.take(index, Sheet(files[index], None, parts=[Part(0, 0, reading=reading)]))
    return scan.producers.get("p", Numbers("p")), scan.findings


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
    assert (found.file, found.line) == ("2025-11-02.jsonl", 1)


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: (min(pair), max(pair))),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: (min(pair), max(pair)))),
)
def test_dropped_ranges_are_taken_out_of_a_gap(gap: tuple[int, int], dropped: list[tuple[int, int]]) -> None:
    """What is left is exactly what no dropped range names, as the shortest list of ranges."""
    left = minus([gap], joined(dropped))
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
    assert (heard.ends, heard.drops, heard.stopped) == ({}, {}, {})


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


_RECORDS = [
    {
        "action_type": "producer_closed",
        "producer": "w",
        "action_number": 3,
        "subject": "a",
        "last_action_number": 7,
    },
    {
        "action_type": "producer_died",
        "producer": "w",
        "action_number": 4,
        "subject": "b",
        "last_action_number": 2,
    },
    {"action_type": "pipeline_stopped", "producer": "w", "action_number": 9, "reason": "idle"},
    {
        "action_type": "records_dropped",
        "producer": "w",
        "action_number": 5,
        "subject": "a",
        "reason": "drop_oldest",
        "first_action_number": 2,
        "last_action_number": 6,
        "kept": [4],
    },
    {
        "action_type": "quarantined",
        "producer": "w",
        "action_number": 6,
        "subject": "b",
        "first_action_number": 1,
        "last_action_number": 1,
        "file": "x",
    },
]


def test_what_records_say_outlives_them_unchanged() -> None:
    """In the entry of a file that has left; what had no numbers is in no balance, and is left out."""
    refused = {
        "action_type": "records_dropped",
        "producer": "w",
        "action_number": 1,
        "subject": "a",
        "count": 3,
    }
    direct, later = testimony.Testimony(), testimony.Testimony()
    for record in _RECORDS:
        assert not direct.hear(record, Place(0, 1, 0, 0), is_settled=True)
    for record in testimony.heard(testimony.said_of([*_RECORDS, refused])):
        assert not later.hear(record, Place(0, 1, 0, 0), is_settled=True)
    assert vars(later) == vars(direct)


@pytest.mark.parametrize(
    "said", [None, [], {"producer_closed": 3}, {"records_dropped": [[1], 2]}, {"x": {"a": 1}}]
)
def test_what_says_nothing_is_passed_over(said: object) -> None:
    """An entry may be forged, or of a later release."""
    assert not list(testimony.heard(said))
