"""Order, groups and memory: sorting in runs, merging the files of a period, tool names that are completed."""

import random
import tracemalloc
from pathlib import Path

import pytest
from support.forms import line_of, record, write_day

from pipeline import LogQueryEngine
from pipeline.errors import QueryError
from pipeline.query import Report, ordering, tool_names
from pipeline.query.grouping import Durations


def stamp(second: int) -> str:
    """Return a moment of the day."""
    return f"2025-11-21T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000000Z"


def numbers(engine: LogQueryEngine) -> list[int]:
    """Return the numbers of the records that are found."""
    return [one["action_number"] for one in engine.iter()]


@pytest.mark.parametrize("is_descending", [False, True])
def test_sorting_in_runs_is_sorting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, is_descending: bool
) -> None:
    """What does not fit the memory goes to files, which are merged when there are many."""
    monkeypatch.setattr(ordering, "MEMORY_BYTES", 2000)
    monkeypatch.setattr(ordering, "RUNS_MAX", 4)
    drawn = random.Random(seed)
    records = [
        record(n, stamp(drawn.randrange(50)), "log", drawn.choice(["aaaaaaaaaaaa", "bbbbbbbbbbbb"]))
        for n in range(1, 400)
    ]
    write_day(tmp_path, "2025-11-21", list(map(line_of, records)))
    expected = sorted(
        records,
        key=lambda one: (one["timestamp"], one["producer"], one["action_number"]),
        reverse=is_descending,
    )
    engine = LogQueryEngine(tmp_path).order_by_time(descending=is_descending)
    assert engine.execute() == expected
    assert engine.limit(7).execute() == expected[:7]
    assert engine.tail(7).execute() == expected[-7:]


def test_files_of_a_period_are_merged_by_time_from_both_ends(tmp_path: Path) -> None:
    """Two instances wrote at once: the last records are the latest, whoever wrote them."""
    for first, name in ((0, "2025-11-21"), (1, "2025-11-21.i1a2b3c4d"), (2, "2025-11-21.r1")):
        write_day(tmp_path, name, [line_of(record(n, stamp(n), "log")) for n in range(first, 90, 3)])
    engine = LogQueryEngine(tmp_path)
    assert numbers(engine) == [*range(90)]
    assert numbers(engine.tail(5)) == [*range(85, 90)]
    assert numbers(engine.limit(5)) == [*range(5)]


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    """A day behind the limit is not opened."""
    for day in (20, 21, 22):
        write_day(
            tmp_path, f"2025-11-{day}", [line_of(record(day, f"2025-11-{day}T10:00:00.000000Z", "log"))]
        )
    report = Report()
    assert len(LogQueryEngine(tmp_path).limit(1).execute(report)) == 1
    assert report.files == 1
    report = Report()
    assert len(LogQueryEngine(tmp_path).tail(1).execute(report)) == 1
    assert report.files == 1


def test_a_long_day_needs_little_memory(tmp_path: Path) -> None:
    """However long the day is: one piece of it is in memory."""
    lines = [line_of(record(n, stamp(n % 86400), "log", text="x" * 900)) for n in range(1500)]
    with (tmp_path / "2025-11-21.jsonl").open("wb") as file:
        for _ in range(6):
            file.writelines(lines)
    engine = LogQueryEngine(tmp_path)
    engine.limit(1).execute()
    tracemalloc.start()
    try:
        for one in (engine, engine.filter(keyword="nowhere"), engine.filter(since="2025-11-21T00:30")):
            one.count()
        engine.tail(5).execute()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_progress_goes_from_nothing_to_everything(tmp_path: Path) -> None:
    """A bar that is drawn from the report ends full."""
    lines = [line_of(record(n, stamp(n), "log", text="x" * 900)) for n in range(3000)]
    write_day(tmp_path, "2025-11-21", lines)
    seen: list[tuple[int, int]] = []
    report = Report(on_progress=lambda one: seen.append((one.bytes_read, one.bytes_total)))
    LogQueryEngine(tmp_path).filter(keyword="nowhere").count(report)
    size = (tmp_path / "2025-11-21.jsonl").stat().st_size
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    assert len(seen) > 2


def test_results_are_named_by_their_calls_within_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names come from calls before; the oldest calls are forgotten."""
    monkeypatch.setattr(tool_names, "CALLS_MAX", 1)
    lines = [
        line_of(record(n, stamp(n), "tool_call", tool_use_id=f"u{n}", tool_name="bash")) for n in range(1, 4)
    ]
    lines += [line_of(record(n + 3, stamp(n + 3), "tool_result", tool_use_id=f"u{n}")) for n in range(1, 4)]
    write_day(tmp_path, "2025-11-21", lines)
    engine = LogQueryEngine(tmp_path)
    assert numbers(engine.filter(tool_name="bash", action_types="tool_result")) == [5, 6]
    assert numbers(engine.filter(where="tool_name = bash").tail(2)) == [5, 6]
    assert engine.group_by("tool_name") == {"bash": 5, None: 1}
    assert [one.get("tool_name") for one in engine.complete_tool_names().tail(3).iter()] == [
        None,
        "bash",
        "bash",
    ]
    assert [one.get("tool_name") for one in engine.tail(3).iter()] == [None, None, None]


def test_groups_are_of_values_time_and_several_fields(tmp_path: Path) -> None:
    """The most frequent first, with durations."""
    lines = [
        line_of(record(n, stamp(n * 60), "log", level="INFO" if n % 3 else "ERROR", duration_ms=n))
        for n in range(1, 100)
    ]
    write_day(tmp_path, "2025-11-21", lines)
    engine = LogQueryEngine(tmp_path)
    groups = engine.group_by("level")
    assert list(groups.items()) == [("INFO", 66), ("ERROR", 33)]
    assert (groups["ERROR"].p50, groups["ERROR"].p95, groups["ERROR"].p99) == (51, 96, 99)
    assert engine.group_by("time/1h", "level")["2025-11-21T01:00:00Z", "ERROR"] == 14
    assert engine.filter(level="NONE").group_by("level") == {}
    for wrong in ((), ("time/0m",)):
        with pytest.raises(QueryError):
            engine.group_by(*wrong)


def test_durations_are_exact_to_three_digits() -> None:
    """In a space that does not grow with their number."""
    durations = Durations()
    for value in range(1, 100_001):
        durations.add(value)
    assert durations.quantile(0.5) == pytest.approx(50_000, rel=0.005)
    assert durations.quantile(0.99) == pytest.approx(99_000, rel=0.005)
    assert len(durations._counts) < 3000
