"""The same questions to jq and DuckDB, over the same files, give the same answers."""

import gc
import json
import subprocess
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.forms import line_of, record, write_day

from pipeline import LogQueryEngine
from pipeline.query import sql

pytest.importorskip("duckdb", reason="the extra `query` is not installed")

TYPES = ["tool_call", "tool_result", "tool_error", "log", "system_warning"]
PLAIN = st.sampled_from(["bash", "read", "ü", 'a"b', "a\\b", "", "x y"])
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES), "second": st.integers(0, 59)},
        optional={
            "status": st.sampled_from(["error", "success", "pending"]),
            "session_id": PLAIN,
            "duration_ms": st.one_of(st.integers(0, 2000), st.floats(0, 10)),
            "level": st.sampled_from(["ERROR", "INFO"]),
        },
    ),
    max_size=25,
)


def fields_of(one: dict) -> dict:
    """Return the fields of a record that was drawn."""
    return {name: value for name, value in one.items() if name not in ("type", "second")}


def made(drawn: list[dict]) -> list[dict]:
    """Return records out of what was drawn."""
    return [
        record(n, f"2025-11-21T10:00:{one['second']:02d}.000001Z", one["type"], **fields_of(one))
        for n, one in enumerate(drawn, 1)
    ]


@given(drawn=RECORDS, session=PLAIN, status=st.sampled_from(["error", "success", "pending"]))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_jq_selects_the_same_records(
    drawn: list[dict], session: str, status: str, need_tool: Callable[[str], str]
) -> None:
    """What a person would write in jq for a filter finds the same lines, in the same order."""
    jq = need_tool("jq")
    program = (
        'def status: .status // (if (.action_type | endswith("_error")) then "error"'
        ' elif .action_type == "system_warning" then "warning" else "success" end);'
        " select(.session_id == $session and status == $status)"
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        write_day(Path(place), "2025-11-21", list(map(line_of, made(drawn))))
        command = [jq, "-c", "--arg", "session", session, "--arg", "status", status, program]
        output = subprocess.run(
            [*command, f"{place}/2025-11-21.jsonl"], capture_output=True, check=True
        ).stdout
        engine = LogQueryEngine(place).filter(session_id=session, status=status)
        assert engine.execute() == [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("form", ["plain", "zst", "gz", "half", "twins", "parts", "frames"])
def test_sql_sees_the_records_that_iter_gives(tmp_path: Path, form: str) -> None:
    """Whatever form a day is in, filtered or not, DuckDB counts what the engine counts."""
    drawn = [{"type": TYPES[n % 5], "second": n % 60, "duration_ms": n} for n in range(300)]
    write_day(tmp_path, "2025-11-21", list(map(line_of, made(drawn))), form)
    engine = LogQueryEngine(tmp_path)
    for chosen in (engine, engine.filter(action_types="log"), engine.filter(date_range="2025-11-22")):
        select = "SELECT action_type, count(*), sum(duration_ms) FROM records GROUP BY 1"
        expected = {
            key: (int(group), sum(one["duration_ms"] for one in chosen.filter(action_types=key).iter()))
            for key, group in chosen.group_by("action_type").items()
        }
        assert {row[0]: row[1:] for row in chosen.sql(select).fetchall()} == expected


@given(drawn=RECORDS)
@settings(max_examples=10, deadline=None)
def test_groups_and_quantiles_are_those_of_duckdb(drawn: list[dict]) -> None:
    """Counts are the same; durations are what DuckDB says, to three digits."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        write_day(Path(place), "2025-11-21", list(map(line_of, made(drawn))))
        engine = LogQueryEngine(place)
        groups = engine.group_by("action_type")
        select = (
            "SELECT action_type, count(*), quantile_disc(duration_ms, 0.5), quantile_disc(duration_ms, 0.95)"
            " FROM records GROUP BY 1"
        )
        answers = engine.sql(select).fetchall()
        assert {row[0]: row[1] for row in answers} == groups
        for name, _, median, high in answers:
            assert groups[name].p50 == (None if median is None else pytest.approx(median, rel=0.006))
            assert groups[name].p95 == (None if high is None else pytest.approx(high, rel=0.006))


def test_a_rare_field_and_one_of_two_kinds_are_not_lost_in_sql(tmp_path: Path) -> None:
    """DuckDB looks at the first records only: what comes later is asked for again, and never NULL."""
    lines = [line_of(record(n, "2025-11-21T10:00:00.000001Z", "log", size=n)) for n in range(1, 25_000)]
    lines.append(line_of(record(25_000, "2025-11-21T10:00:00.000001Z", "log", size="large", rare=7)))
    write_day(tmp_path, "2025-11-21", lines)
    engine = LogQueryEngine(tmp_path)
    assert engine.sql("SELECT rare FROM records WHERE rare IS NOT NULL").fetchall() == [(7,)]
    sizes = engine.sql("SELECT count(*), count(size) FROM records").fetchall()
    assert sizes == [(25_000, 25_000)]
    assert "rare" in engine.sql("SELECT * FROM records LIMIT 1").columns


def test_a_usual_field_that_no_record_has_is_null_in_sql(tmp_path: Path) -> None:
    """Who asks for the errors of a day without any gets none, and no error."""
    for day, more in (("2025-11-21", {"x_1": 1}), ("2025-11-22", {})):
        write_day(tmp_path, day, [line_of(record(1, f"{day}T10:00:00.000001Z", "log", Level="a", **more))])
    engine = LogQueryEngine(tmp_path).filter(date_range="2025-11-22")
    rows = engine.sql("SELECT status, session_id, timestamp FROM records WHERE level = 'a'").fetchall()
    assert rows == [(None, None, datetime(2025, 11, 22, 10, 0, 0, 1))]  # noqa: DTZ001 - it is UTC
    assert LogQueryEngine(tmp_path).sql("SELECT sum(x_1) FROM records").fetchall() == [(1,)]
    assert "status" not in LogQueryEngine(tmp_path).sql("SELECT * FROM records").columns


def test_arrow_and_parquet_hold_every_record(tmp_path: Path) -> None:
    """What is exported is what was found, with times as times."""
    pytest.importorskip("pyarrow", reason="the extra `query` is not installed")
    drawn = [{"type": TYPES[n % 5], "second": n % 60, "session_id": 'a"b'} for n in range(100)]
    write_day(tmp_path, "2025-11-21", list(map(line_of, made(drawn))))
    engine = LogQueryEngine(tmp_path).filter(action_types=["log", "tool_call"])
    table = engine.to_arrow()
    assert table.num_rows == 40
    assert str(table.schema.field("timestamp").type) == "timestamp[us]"
    assert table.column("action_number").to_pylist() == [one["action_number"] for one in engine.iter()]
    assert engine.to_parquet(tmp_path / "out.parquet") == 40
    assert (tmp_path / "out.parquet").read_bytes()[:4] == b"PAR1"


def test_sql_goes_to_the_disk_and_beyond_its_bound_only_where_it_must(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A bound that is too small for the question is lifted; what was put on the disk is gone afterwards."""
    monkeypatch.setattr(sql, "MEMORY", "1MB")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines = [line_of(record(n, "2025-11-21T10:00:00.000001Z", "log", text="x" * 500)) for n in range(5000)]
    write_day(tmp_path / "logs", "2025-11-21", lines)
    engine = LogQueryEngine(tmp_path / "logs")
    found = engine.sql("SELECT * FROM records ORDER BY action_number DESC").fetchall()
    assert len(found) == 5000
    assert engine.filter(keyword="x").sql("SELECT count(*) FROM records").fetchall() == [(5000,)]
    del found
    gc.collect()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("pipeline-query-")]


def test_sql_without_duckdb_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything else of the engine works without the extra."""
    import sys

    from pipeline.errors import QueryError

    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(QueryError, match=r"duckdb is not installed.*lossless-pipeline\[query\]"):
        LogQueryEngine(tmp_path).sql("SELECT 1")


def test_sql_that_duckdb_does_not_take_is_an_error_of_ours(tmp_path: Path) -> None:
    """Callers catch one kind of error, and it says what DuckDB says."""
    from pipeline.errors import QueryError

    write_day(tmp_path, "2025-11-21", [line_of(record(1, "2025-11-21T10:00:00.000001Z", "log"))])
    for text in ("SELEC 1", "SELECT nothing FROM records"):
        with pytest.raises(QueryError, match="DuckDB does not take this"):
            LogQueryEngine(tmp_path).sql(text)
    assert orjson.dumps(LogQueryEngine(tmp_path).group_by("action_type")) == b'{"log":1}'
