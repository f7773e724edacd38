"""`pipeline log`: what each option shows, in each form, and what it refuses."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.day_files import DAY, ago, record, today, write_day

from pipeline.cli import group, guarded

BOTH = f"{DAY}:2025-11-22"


@pytest.fixture(autouse=True)
def _no_pipeline_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
    for name in ("PIPELINE_LOG_DIR", "PIPELINE_TIMEZONE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Give a log directory with two days of an agent."""
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    first = [
        record(1, "user_input", "09:00:00.000000", session_id="s-1", content="authentication, please"),
        record(2, "tool_call", "14:35:22.456000", session_id="s-1", tool_use_id="u1", tool_name="read_file"),
        record(
            3,
            "tool_error",
            "14:35:23.000000",
            session_id="s-1",
            tool_use_id="u1",
            error_message="Failed to open",
        ),
        record(4, "tool_call", "15:00:00.000000", session_id="s-2", tool_name="bash", args={"command": "ls"}),
        record(
            5,
            "tool_error",
            "15:00:01.500000",
            session_id="s-2",
            tool_name="bash",
            error_message="Command not found",
        ),
        record(6, "llm_response", "16:00:00.000000", trace_id="t-1", duration_ms=1200, level="INFO"),
    ]
    second = [
        record(
            7,
            "system_warning",
            "2025-11-22T00:30:00.000000Z",
            content="disk",
            producer="3k9m00000002",
            level="WARNING",
        ),
        record(8, "llm_request", "2025-11-22T10:00:00.000000Z", model="m-1", status="pending"),
    ]
    write_day(log_dir, first)
    write_day(log_dir, second, "2025-11-22.jsonl")
    return log_dir


def run(log_dir: Path, *arguments: object, code: int = 0) -> Result:
    """Run the command in this process; it has to end with `code`."""
    result = CliRunner().invoke(group, ["log", "--dir", str(log_dir), *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def numbers(log_dir: Path, *arguments: object) -> list[int]:
    """Return the numbers of the records that are shown."""
    result = run(log_dir, "--format", "jsonl", *arguments)
    return [json.loads(line)["action_number"] for line in result.stdout.splitlines()]


def refusal(log_dir: Path, *arguments: object, capsys: Any) -> str:
    """Return the one line that says why something cannot be done; the exit code is 2."""
    command = ["log", "--dir", str(log_dir), *map(str, arguments)]
    assert guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--date", DAY], [1, 2, 3, 4, 5, 6]),
        (["--date-range", BOTH], [1, 2, 3, 4, 5, 6, 7, 8]),
        (["--date-range", "2025-11-22:"], [7, 8]),
        (["--date-range", f":{DAY}", "--limit", 2], [1, 2]),
        (["--date-range", BOTH, "--tail", 3], [6, 7, 8]),
        (["--date-range", BOTH, "--tail", 0], []),
        (["--date-range", BOTH, "--action-type", "tool_call"], [2, 4]),
        (["--date-range", BOTH, "--action-type", "llm_request,llm_response"], [6, 8]),
        (["--date-range", BOTH, "--action-type", "llm_request", "--action-type", "tool_call"], [2, 4, 8]),
        (["--date-range", BOTH, "--session-id", "s-1"], [1, 2, 3]),
        (["--date-range", BOTH, "--status", "error"], [3, 5]),
        (["--date-range", BOTH, "--status", "success"], [1, 2, 4, 6]),
        (["--date-range", BOTH, "--status", "warning,pending"], [7, 8]),
        (["--date-range", BOTH, "--tool-name", "bash"], [4, 5]),
        (["--date", DAY, "--action-type", "tool_error", "--tool-name", "read_file"], [3]),
        (["--date", DAY, "--keyword", "authentication"], [1]),
        (["--date", DAY, "--content-match", "^Failed .* open$"], [3]),
        (["--date-range", BOTH, "--level", "WARNING"], [7]),
        (["--date-range", BOTH, "--trace-id", "t-1"], [6]),
        (["--date-range", BOTH, "--producer", "3k9m00000002"], [7]),
        (["--date-range", BOTH, "--where", "duration_ms > 500 or model = m-1"], [6, 8]),
        (["--date-range", BOTH, "--where", "status = error", "--where", "tool_name = bash"], [5]),
        (["--since", f"{DAY}T15:00:00Z", "--until", "2025-11-22T01:00"], [4, 5, 6, 7]),
        (["--since", f"{DAY}T15:00:01.5", "--until", DAY], [5, 6]),
        (["--date", "2025-11-22", "--timezone", "Asia/Tokyo"], [4, 5, 6, 7]),
        (["--date", "1999-01-01"], []),
    ],
    ids=str,
)
def test_option_chooses_records(log_dir: Path, arguments: list[object], found: list[int]) -> None:
    """Options narrow each other; several names in one widen it; limits are the first or the last."""
    if "Asia/Tokyo" in arguments:
        found = [*found, 8]  # in Tokyo the 22nd began at 15:00 UTC, and still goes on at 10:00
    assert numbers(log_dir, *arguments) == found


def test_table_has_the_shape_that_was_asked_for(log_dir: Path) -> None:
    """The tool of an error is known by its call, and the footer counts the whole day."""
    lines = run(log_dir, "--date", DAY, "--status", "error").stdout.splitlines()
    assert lines == [
        "┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓",
        "┃ Timestamp    ┃ Action Type ┃ Tool      ┃ Status ┃ Message           ┃",
        "┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩",
        "│ 14:35:23.000 │ tool_error  │ read_file │ error  │ Failed to open    │",
        "│ 15:00:01.500 │ tool_error  │ bash      │ error  │ Command not found │",
        "└──────────────┴─────────────┴───────────┴────────┴───────────────────┘",
        "",
        "Showing 2 of 6 total actions",
    ]


def test_call_far_before_its_error_is_found_for_the_table(log_dir: Path) -> None:
    """Also where only the error itself is shown, and in a table of all."""
    for count in (["--tail", 1], ["--all"]):
        shown = run(log_dir, "--date", DAY, "--keyword", "Failed", *count).stdout
        assert "│ read_file │ error" in shown


def test_without_options_the_last_fifty_of_today_are_shown(log_dir: Path) -> None:
    """Older days are not, and the order is that of the file."""
    stamp = f"{today()}T00:00:00.%06dZ"
    write_day(log_dir, [record(n, at=stamp % n) for n in range(1, 71)], f"{today()}.jsonl")
    assert numbers(log_dir) == list(range(21, 71))
    assert run(log_dir).stdout.endswith("Showing 50 of 70 total actions\n")
    assert numbers(log_dir, "--all") == list(range(1, 71))
    assert numbers(log_dir, "--limit", 2) == [1, 2]


def test_since_reaches_back_over_midnight(log_dir: Path) -> None:
    """`--since 15m` is about moments, in whichever file they are."""
    stamps = [ago(minutes=20), ago(minutes=10), ago(seconds=1)]
    for number, stamp in enumerate(stamps, 1):
        with (log_dir / f"{stamp[:10]}.jsonl").open("ab") as file:
            file.write(record(number, at=stamp))
    assert numbers(log_dir, "--since", "15m") == [2, 3]


def test_json_is_an_array_of_the_stored_lines(log_dir: Path) -> None:
    """Byte for byte: an escape that orjson would not write, and a number that no float is."""
    line = (
        record(1)[:-2]
        + rb',"note":"\u0041\ud83d\ude42","big":1.10,"text":"'
        + "\x85\u202e".encode()
        + b'"}\n'
    )
    write_day(log_dir, [line, record(2)])
    array = run(log_dir, "--date", DAY, "--format", "json").stdout_bytes
    assert array == b"[\n" + line[:-1] + b",\n" + record(2) + b"]\n"
    assert run(log_dir, "--date", DAY, "--format", "jsonl").stdout_bytes == line + record(2)
    assert run(log_dir, "--date", "1999-01-01", "--format", "json").stdout == "[]\n"


def test_fields_are_chosen_in_every_form(log_dir: Path) -> None:
    """Columns of a table, members of an object, columns of CSV; dots lead into objects."""
    chosen = ["--date", DAY, "--tool-name", "bash", "--fields", "action_number,args.command,tool_name"]
    rows = [
        {"action_number": 4, "args.command": "ls", "tool_name": "bash"},
        {"action_number": 5, "tool_name": "bash"},
    ]
    assert [
        json.loads(line) for line in run(log_dir, *chosen, "--format", "jsonl").stdout.splitlines()
    ] == rows
    assert json.loads(run(log_dir, *chosen, "--format", "json").stdout) == rows
    assert "│ 4             │ ls           │ bash      │" in run(log_dir, *chosen).stdout
    assert run(log_dir, *chosen, "--export", "csv").stdout.splitlines()[1] == "4,ls,bash"


def test_summary_counts_everything_and_the_disk(log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the last fifty; and the retention is named."""
    write_day(log_dir, [record(n) for n in range(1, 101)], f"{today()}.jsonl")
    shown = run(log_dir, "--format", "summary").stdout
    size = (log_dir / f"{today()}.jsonl").stat().st_size / 1024
    for line in (
        f"=== Log statistics summary ({today()}) ===",
        "Total actions: 100",
        "- tool_call: 100 (100%)",
        f"- Today's log: {size:.1f} KB",
    ):
        assert line in shown.splitlines()
    assert shown.rstrip().endswith("(30 days)")
    monkeypatch.setenv("PIPELINE_RETENTION_DAYS", "0")
    assert run(log_dir, "--format", "summary").stdout.rstrip().endswith("(kept for ever)")


def test_chart_shows_when_and_how_long(log_dir: Path) -> None:
    """Counts over time by status, and percentiles by type."""
    shown = run(log_dir, "--date-range", BOTH, "--format", "chart").stdout
    assert f"=== {DAY} to 2025-11-22: 8 records ===" in shown
    assert "█ success" in shown
    assert "llm_response" in shown
    assert "1.20 s" in shown


def test_export_to_csv_has_every_field(log_dir: Path) -> None:
    """Columns in the order in which fields come, objects as JSON, names of tools completed."""
    rows = list(csv.DictReader(io.StringIO(run(log_dir, "--date", DAY, "--export", "csv").stdout)))
    assert [row["action_number"] for row in rows] == list("123456")
    assert rows[2]["tool_name"] == "read_file"
    assert json.loads(rows[3]["args"]) == {"command": "ls"}
    assert rows[0]["args"] == ""


def test_export_has_no_limit_of_its_own(log_dir: Path) -> None:
    """It is all of them, unless a number is asked for."""
    write_day(log_dir, [record(n) for n in range(1, 121)])
    assert len(json.loads(run(log_dir, "--date", DAY, "--export", "json").stdout)) == 120
    assert len(json.loads(run(log_dir, "--date", DAY, "--export", "json", "--tail", 7).stdout)) == 7


def test_csv_of_a_thousand_different_fields_is_bounded(log_dir: Path) -> None:
    """The fields that get no column of their own are together in one."""
    write_day(log_dir, [record(n, **{f"field_{n}_{i}": i for i in range(40)}) for n in range(1, 31)])
    rows = list(csv.DictReader(io.StringIO(run(log_dir, "--date", DAY, "--export", "csv").stdout)))
    assert len(rows[0]) == 1001
    assert rows[0]["field_1_3"] == "3"
    assert json.loads(rows[-1]["other_fields"])["field_30_39"] == 39


def test_output_is_a_file_as_a_whole_or_not_at_all(log_dir: Path, tmp_path: Path, capsys: Any) -> None:
    """It takes the place of what was there only when all is written; none is left beside it."""
    target = tmp_path / "out.csv"
    target.write_text("before")
    result = run(log_dir, "--date", DAY, "--export", "csv", "--output", target)
    assert result.stdout == ""
    assert target.read_text().count("\n") == 7
    refusal(log_dir, "--date", DAY, "--where", "((", "-o", target, capsys=capsys)
    assert target.read_text().count("\n") == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "out.csv"]


def test_output_never_goes_into_the_log_directory(log_dir: Path, tmp_path: Path, capsys: Any) -> None:
    """A day file that is written over is a day that is lost, also by another name."""
    before = (log_dir / f"{DAY}.jsonl").read_bytes()
    (tmp_path / "link").symlink_to(log_dir / f"{DAY}.jsonl")
    for target in (log_dir / f"{DAY}.jsonl", log_dir / "new.csv", tmp_path / "link"):
        assert "in the log directory" in refusal(log_dir, "-o", target, capsys=capsys)
    assert (log_dir / f"{DAY}.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--date", "tomorrow"], "2025-11-21, today or yesterday"),
        (["--date-range", DAY], "FIRST:LAST"),
        (["--since", "soon"], "15m"),
        (["--since", "1h", "--until", "2h"], "not before"),
        (["--date", DAY, "--since", "1h"], "--date, --since or --until"),
        (["--limit", "1", "--tail", "1"], "--limit, --tail"),
        (["--format", "json", "--export", "csv"], "--format, --export"),
        (["--follow", "--format", "summary"], "--follow goes on"),
        (["--follow", "--limit", "3"], "--follow goes on"),
        (["--sql", "select 1", "--format", "chart"], "--sql has rows"),
        (["--limit", "0"], "--limit"),
        (["--timezone", "Mars"], "no time zone 'Mars'"),
        (["--content-match", "(("], "content_match"),
        (["--where", "status = "], "^"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(
    log_dir: Path, arguments: list[str], words: str, capsys: Any
) -> None:
    """One error that says what to do; nothing on stdout."""
    assert words in refusal(log_dir, *arguments, capsys=capsys)


def test_no_log_directory_is_said(tmp_path: Path) -> None:
    """With the exit code of what does not run."""
    command = ["log", "--dir", str(tmp_path / "nowhere")]
    assert guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False)) == 3


def test_empty_answer_about_today_says_that_it_is_about_today(log_dir: Path) -> None:
    """A person who looks for yesterday's session learns where to look."""
    assert "only today was looked at" in run(log_dir, "--session-id", "s-1").stderr
    assert run(log_dir, "--session-id", "s-9", "--date", DAY).stderr == ""
    assert run(log_dir).stdout == "Showing 0 of 0 total actions\n"


def test_file_that_cannot_be_read_is_named_and_the_rest_is_shown(log_dir: Path) -> None:
    """Half an answer says that it is one, with exit code 1."""
    (log_dir / f"{DAY}.1.jsonl.gz").write_bytes(b"no gzip at all")
    result = run(log_dir, "--date", DAY, "--format", "jsonl", code=1)
    assert result.stdout.count("\n") == 6
    assert f"{DAY}.1.jsonl.gz could not be read" in result.stderr


def test_half_a_line_at_the_end_is_not_shown(log_dir: Path) -> None:
    """It is a record that is being written."""
    with (log_dir / f"{DAY}.jsonl").open("ab") as file:
        file.write(record(7)[:-20])
    assert numbers(log_dir, "--date", DAY) == [1, 2, 3, 4, 5, 6]


def test_colours_are_for_terminals_unless_asked_for(log_dir: Path) -> None:
    """`--color always` is for less -R."""
    assert "\x1b" not in run(log_dir, "--date", DAY).stdout
    assert "\x1b[91merror" in run(log_dir, "--date", DAY, "--color", "always").stdout


def test_times_are_shown_in_the_zone(log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is asked for, else that of the setting."""
    one = ["--date", DAY, "--keyword", "Failed"]
    assert "23:35:23.000" in run(log_dir, *one, "--timezone", "Asia/Tokyo").stdout
    monkeypatch.setenv("PIPELINE_TIMEZONE", "Europe/Berlin")
    assert "15:35:23.000" in run(log_dir, *one).stdout


def test_without_any_stdout_it_ends_well(log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started with `>&-`, Python has none."""
    monkeypatch.setattr("sys.stdout", None)
    command = ["log", "--dir", str(log_dir), "--date", DAY]
    assert guarded(lambda: group.main(command, prog_name="pipeline", standalone_mode=False)) == 0
