"""`pipeline log` at a terminal: what is sent to it, the pager, Ctrl+C, and what a pipe gets instead."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.commands import PIPELINE
from support.day_files import DAY, record, today, write_day
from support.screen import Screen

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\x85\u202eevil\u2066\u200b\ufeff\x7f\r\b\x00\u3164"
COLORS = re.compile(rb"\x1b\[[0-9;]*m")
"""What we send ourselves: Select Graphic Rendition, and no other command."""


@pytest.fixture(autouse=True)
def _no_pipeline_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Give an empty log directory."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def command(log_dir: Path, *arguments: object) -> list[str]:
    """Return the command over the directory."""
    return ["log", "--dir", str(log_dir), *map(str, arguments)]


def hostile_record(number: int) -> bytes:
    """Return a record whose every name and value would command the terminal."""
    # orjson writes no lone surrogate; ours does neither, so that in a file it is an escape at most.
    fields: dict[str, Any] = {
        "status": HOSTILE,
        "tool_name": HOSTILE,
        "session_id": HOSTILE,
        "content": HOSTILE,
        HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}],
        "duration_ms": 5,
        "level": "ERROR",
    }
    return record(number, f"type{HOSTILE}", **fields)


def test_no_record_commands_the_terminal_in_any_form(log_dir: Path) -> None:
    """Each form is sent with escapes that can be read; colours, which are ours, are all that is obeyed."""
    write_day(log_dir, [hostile_record(n) for n in range(1, 4)])
    ways = [
        ["--format", "table"],
        ["--format", "json"],
        ["--format", "jsonl"],
        ["--format", "summary"],
        ["--format", "chart"],
        ["--fields", f"content,{HOSTILE.replace(chr(0), '')}"],
        ["--fields", "content", "--format", "jsonl"],
        ["--export", "csv"],
        ["--export", "json"],
        ["--color", "never"],
        ["--where", f"{HOSTILE.replace(chr(0), '')} ="],
        ["--timezone", HOSTILE.replace("\x00", "")],
    ]
    with Screen(*(command(log_dir, "--date", DAY, *way) for way in ways), cwd=log_dir) as screen:
        sent = screen.rest()
    assert sent.count(b"<exit 0>") == len(ways) - 2
    assert sent.count(b"<exit 2>") == 2
    text = COLORS.sub(b"", sent).replace(b"\r\n", b"").decode()
    assert [char for char in text if not char.isprintable() or char == "\u3164"] == []
    assert text.count("\\x1b[2J\\x1b]0;title\\x07") > 10
    assert text.count("\\u001b[2J\\u001b]0;title\\u0007") > 10


def test_json_on_a_terminal_is_the_same_json(log_dir: Path) -> None:
    """What is copied from the screen is the record."""
    line = hostile_record(1)
    write_day(log_dir, [line])
    with Screen(command(log_dir, "--date", DAY, "--format", "jsonl"), cwd=log_dir, columns=2000) as screen:
        shown = screen.rest().split(b"\r\n")[0]
    assert json.loads(shown) == json.loads(line)


def test_a_file_gets_the_bytes_as_they_are_stored(log_dir: Path) -> None:
    """Redirected, nothing is escaped, coloured, paged or told."""
    lines = [hostile_record(n) for n in range(1, 100)]
    write_day(log_dir, lines)
    arguments = command(log_dir, "--date", DAY, "--format", "jsonl", "--all")
    result = subprocess.run([*PIPELINE, *arguments], capture_output=True, check=True)
    assert (result.stdout, result.stderr) == (b"".join(lines), b"")


def test_colours_follow_the_terminal_and_no_color(log_dir: Path) -> None:
    """auto: at a terminal; never with NO_COLOR, where `--color always` still has its way."""
    write_day(log_dir, [record(1, "tool_error")])
    one = command(log_dir, "--date", DAY)
    with Screen(one, [*one, "--color", "never"], cwd=log_dir) as screen:
        with_color, without, _ = screen.rest().split(b"<exit 0>")
    assert b"\x1b[91merror" in with_color
    assert b"\x1b" not in without
    with Screen(one, [*one, "--color", "always"], cwd=log_dir, NO_COLOR="1") as screen:
        without, with_color, _ = screen.rest().split(b"<exit 0>")
    assert b"\x1b[91merror" in with_color
    assert b"\x1b[91m" not in without


def test_long_answers_go_to_the_pager_and_short_ones_do_not(log_dir: Path, tmp_path: Path) -> None:
    """What does not fit the screen; `--no-pager` never; a pager that is left early is no error."""
    write_day(log_dir, [record(n) for n in range(1, 2001)])
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\nhead -n 5 | sed "s/^/PAGED /"\n')
    pager.chmod(0o755)
    few, many = command(log_dir, "--date", DAY, "--tail", 5), command(log_dir, "--date", DAY, "--all")
    with Screen(few, [*many, "--no-pager"], many, cwd=log_dir, lines=20, PAGER=str(pager)) as screen:
        short, unpaged, long, _ = screen.rest().split(b"<exit 0>")
    assert b"PAGED" not in short
    assert b"PAGED" not in unpaged
    assert long.count(b"PAGED") == 5
    assert unpaged.count(b"tool_call") == 2000
    assert "PAGED ┏━━━".encode() in long


def test_ctrl_c_ends_following_without_a_word(log_dir: Path) -> None:
    """What was shown stays, the exit code is 130, and there is no traceback."""
    write_day(log_dir, [record(1, at=f"{today()}T00:00:00.000001Z", content="first")], f"{today()}.jsonl")
    with Screen(command(log_dir, "--follow"), cwd=log_dir) as screen:
        screen.until(b"first")
        screen.press(b"\x03")
        sent = screen.rest()
    assert b"<exit 130>" in sent
    assert b"Traceback" not in sent
    assert b"Error" not in sent


def test_reader_that_goes_away_ends_it_without_a_word(log_dir: Path) -> None:
    """`pipeline log | head -1`."""
    write_day(log_dir, [record(n, content="x" * 500) for n in range(1, 3001)])
    arguments = [*PIPELINE, *command(log_dir, "--date", DAY, "--all", "--format", "jsonl")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_terminal_without_utf8_gets_what_it_can_show(log_dir: Path) -> None:
    """Borders of ASCII, and escapes for the rest; JSON stays UTF-8 as it is stored."""
    write_day(log_dir, [record(1, content="東京 \x1b")])
    table, lines = command(log_dir, "--date", DAY), command(log_dir, "--date", DAY, "--format", "jsonl")
    with Screen(table, cwd=log_dir, PYTHONIOENCODING="ascii") as screen:
        sent = screen.rest()
    assert sent.isascii()
    assert rb"\u6771\u4eac \x1b" in sent
    arguments = [*PIPELINE, *lines]
    result = subprocess.run(arguments, capture_output=True, check=True, env={"PYTHONIOENCODING": "ascii"})
    assert result.stdout == record(1, content="東京 \x1b")
