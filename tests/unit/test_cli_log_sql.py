"""`pipeline log --sql` and `--export parquet`, which need the extra `query`."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.day_files import DAY, record, write_day

from pipeline.cli import group, guarded

pytest.importorskip("duckdb")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def log_dir(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give a log directory, which is the usual one of this process."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
    monkeypatch.setenv("PIPELINE_LOG_DIR", str(tmp_path))
    types = ["tool_call", "tool_error", "tool_call"]
    lines = [record(n, name, tool_name="bash\x1b[2J", duration_ms=n) for n, name in enumerate(types, 1)]
    write_day(tmp_path, lines)
    return tmp_path


def run(*arguments: str) -> Result:
    """Run the command over the day."""
    result = CliRunner().invoke(group, ["log", "--date", DAY, *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_rows_of_a_select_are_shown_in_every_form() -> None:
    """A table by itself; JSON and CSV as asked for. Filters come before the select."""
    select = "select action_type, count(*) as n, null as status from records group by 1 order by 1"
    assert "│ tool_call   │ 2 │        │" in run("--sql", select).stdout
    rows = [
        {"action_type": "tool_call", "n": 2, "status": None},
        {"action_type": "tool_error", "n": 1, "status": None},
    ]
    assert json.loads(run("--sql", select, "--format", "json").stdout) == rows
    assert [
        json.loads(line) for line in run("--sql", select, "--format", "jsonl").stdout.splitlines()
    ] == rows
    assert run("--sql", select, "--export", "csv", "--action-type", "tool_call").stdout == (
        "action_type,n,status\ntool_call,2,\n"
    )


def test_values_of_every_kind_have_a_form() -> None:
    """Decimals, times, blobs and structs in a table as in JSON."""
    select = "select 1.5::decimal(5,2) d, timestamptz '2020-01-01 00:00:00Z' t, "
    select += "{'a': date '2020-01-01'} s, '\x1b' e"
    assert json.loads(run("--sql", select, "--format", "jsonl").stdout)["s"] == {"a": "2020-01-01"}
    shown = run("--sql", select).stdout
    assert "1.50" in shown
    assert r"\x1b" in shown
    assert "\x1b" not in shown


def test_wrong_select_is_refused_with_what_duckdb_says(capsys: pytest.CaptureFixture[str]) -> None:
    """One error, exit code 2, and no traceback."""
    command = ["log", "--date", DAY, "--sql", "selec 1"]
    assert guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False)) == 2
    assert "selec" in capsys.readouterr().err


def test_parquet_is_a_file_with_every_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Into a file, and into a pipe."""
    target = tmp_path_factory.mktemp("out") / "day.parquet"
    assert run("--export", "parquet", "--output", str(target)).stdout == ""
    assert pq.read_table(target).column("action_number").to_pylist() == [1, 2, 3]
    piped = run("--export", "parquet", "--limit", "2").stdout_bytes
    target.write_bytes(piped)
    assert pq.read_table(target).num_rows == 2


def test_without_the_extra_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    command = ["log", "--date", DAY, "--sql", "select 1"]
    assert guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False)) == 2
    assert "lossless-pipeline[query]" in capsys.readouterr().err
