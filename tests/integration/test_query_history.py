"""
Real records: this project's own history, brought into files by bench/query/history.py through the public API.

Their texts are messages and patches as people wrote them. Filters are drawn at random, and asked of the
engine, of jq and of DuckDB, over the same file: each has to find the same records in the same order.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings, strategies as st

from pipeline import LogQueryEngine

duckdb = pytest.importorskip("duckdb", reason="the extra `query` is not installed")

ROOT = Path(__file__).parents[2]
COMMITS = "100"
STATUS = (
    """def status: .status // (if (.action_type | endswith("_error")) then "error" else "success" end);"""
)


@dataclass(frozen=True)
class Condition:
    """The same condition in three languages; jq's and SQL's are of a record as $r and as j."""

    filter: dict[str, Any]
    jq: str
    sql: str


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the newest commits of this checkout, as the one day of a log directory."""
    if not (ROOT / ".git").exists():
        pytest.skip("these tests are not in a git checkout: there is no history to ask about")
    log_dir = tmp_path_factory.mktemp("history") / "logs"
    command = [sys.executable, "-m", "bench.query.history", str(ROOT), str(log_dir), COMMITS]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    return log_dir


@pytest.fixture(scope="module")
def records(history: Path) -> list[dict]:
    """Give its records as the standard library reads them."""
    [day] = history.glob("*.jsonl")
    return list(map(json.loads, day.read_bytes().splitlines()))


def conditions(records: list[dict]) -> st.SearchStrategy[list[Condition]]:
    """Draw one to three conditions, most of which hold for a record that was drawn before."""
    moments = st.sampled_from([one["timestamp"] for one in records])

    def about(one: dict) -> st.SearchStrategy[list[Condition]]:
        texts = st.sampled_from(["session_id", "trace_id", "author", "path", "producer"])
        # In the bytes, which DuckDB is asked about, a new line and `ew` are `\new`.
        words = [
            word for word in one.get("message", "x").split() if word.isalnum() and word[0] not in "bfnrtu"
        ]
        kind = st.lists(st.sampled_from([one["action_type"], "merge", "nothing"]), min_size=1, max_size=2)
        drawn = st.one_of(
            texts.map(lambda name: equal(name, one.get(name, "nobody"))),
            kind.map(of_types),
            st.just(of_status(one.get("status", "success"))),
            st.sampled_from(words or ["x"]).map(of_keyword),
            moments.map(lambda other: between(*sorted((one["timestamp"], other)))),
            st.integers(0, int(one.get("duration_ms", 0))).map(at_least),
            st.sampled_from(["^pipeline/", "test_.*[.]py$", "a.c", "Q"]).map(path_like),
        )
        return st.lists(drawn, min_size=1, max_size=3)

    return st.sampled_from(records).flatmap(about)


def equal(name: str, value: str) -> Condition:
    """Ask that a field is this text."""
    chosen = (
        {name: value} if name in ("session_id", "trace_id", "producer") else {"where": f'{name} = "{value}"'}
    )
    return Condition(chosen, f".{name} == {json.dumps(value)}", f"j->>'$.{name}' = '{value}'")


def of_types(types: list[str]) -> Condition:
    """Ask that the type is one of these."""
    jq = " or ".join(f".action_type == {json.dumps(one)}" for one in types)
    sql = " OR ".join(f"j->>'$.action_type' = '{one}'" for one in types)
    return Condition({"action_types": types}, f"({jq})", f"({sql})")


def of_status(status: str) -> Condition:
    """Ask for a status; without one it is by the type, none of which is an error here."""
    return Condition(
        {"status": status}, f'status == "{status}"', f"coalesce(j->>'$.status', 'success') = '{status}'"
    )


def of_keyword(word: str) -> Condition:
    """Ask that a word is anywhere in the record."""
    return Condition(
        {"keyword": word}, f"(tostring | contains({json.dumps(word)}))", f"contains(j, '{word}')"
    )


def between(since: str, until: str) -> Condition:
    """Ask that it was at the first moment or later, and before the second."""
    return Condition(
        {"since": since, "until": until},
        f'.timestamp >= "{since}" and .timestamp < "{until}"',
        f"j->>'$.timestamp' >= '{since}' AND j->>'$.timestamp' < '{until}'",
    )


def at_least(duration: int) -> Condition:
    """Ask that it took so long."""
    return Condition(
        {"where": f"duration_ms >= {duration}"},
        f"(.duration_ms | numbers // -1) >= {duration}",
        f"(j->'$.duration_ms')::DOUBLE >= {duration}",
    )


def path_like(regex: str) -> Condition:
    """Ask that the path is like this."""
    return Condition(
        {"where": f'path ~ "{regex}"'},
        f'(.path // "" | test("{regex}"))',
        f"regexp_matches(j->>'$.path', '{regex}')",
    )


def found_by_jq(jq: str, day: Path, wanted: list[Condition]) -> list[dict]:
    """Return the records that jq selects."""
    program = f"{STATUS} select({' and '.join(one.jq for one in wanted)})"
    output = subprocess.run([jq, "-c", program, day], capture_output=True, check=True).stdout
    return list(map(json.loads, output.splitlines()))


def found_by_duckdb(day: Path, wanted: list[Condition]) -> list[dict]:
    """Return the records that DuckDB selects, a line as one text."""
    table = f"(SELECT json::VARCHAR AS j FROM read_ndjson_objects('{day}'))"
    select = f"SELECT j FROM {table} WHERE {' AND '.join(one.sql for one in wanted)}"
    return [json.loads(row[0]) for row in duckdb.sql(select).fetchall()]


def test_three_readers_find_the_same_records(
    history: Path, records: list[dict], need_tool: Callable[[str], str], tmp_path: Path
) -> None:
    """Over random filters of one to three conditions; and the engine again when the day is packed."""
    [day] = history.glob("*.jsonl")
    (tmp_path / f"{day.name}.zst").write_bytes(zstandard.compress(day.read_bytes()))
    jq, counts = need_tool("jq"), list[int]()

    @given(wanted=conditions(records))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def asked(wanted: list[Condition]) -> None:
        engine, packed = LogQueryEngine(history), LogQueryEngine(tmp_path)
        for one in wanted:
            engine, packed = engine.filter(**one.filter), packed.filter(**one.filter)
        found = engine.execute()
        assert found == found_by_jq(jq, day, wanted)
        assert found == found_by_duckdb(day, wanted)
        assert found == packed.execute()
        assert engine.count() == packed.count() == len(found)
        counts.append(len(found))

    asked()
    assert sum(map(bool, counts)) > len(counts) // 4


def test_the_history_is_what_git_says(
    history: Path, records: list[dict], need_tool: Callable[[str], str]
) -> None:
    """One record a commit, with its id, its parents and its message; and one a file that it changed."""
    git = [need_tool("git"), "-C", str(ROOT), "log", "--reverse", f"--max-count={COMMITS}"]
    commits = subprocess.run([*git, "--format=%H"], capture_output=True, check=True, text=True).stdout.split()
    assert [one["commit"] for one in records if "commit" in one] == commits
    names = ["--name-only", "--no-renames", "--format=", "-z"]
    paths = subprocess.run([*git, *names], capture_output=True, check=True, text=True).stdout
    assert [one["path"] for one in records if "path" in one] == [one for one in paths.split("\0") if one]


def test_the_benchmark_finds_that_all_answers_agree(tmp_path: Path) -> None:
    """`python -m bench.query` runs, over made records and over these, and its exit status says so."""
    asked = [
        "--rounds",
        "1",
        "--dir",
        str(tmp_path),
        "--only",
        "errors",
        "tail 50",
        "--beside",
        "grep -c",
        "jq",
    ]
    for data in (["--mb", "1"], ["--git", str(ROOT), "--commits", COMMITS, "--cold"]):
        command = [sys.executable, "-m", "bench.query", *data, *asked, "tail -n 50"]
        output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=100)
        assert output.stdout.count("ours") == 2
        assert "DIFFER" not in output.stdout
