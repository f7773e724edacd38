"""`pipeline verify` as a command: what it prints, and with which status it exits."""

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import group

DAY = "2025-11-21.jsonl"


@pytest.fixture(autouse=True)
def _no_pipeline_of_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))


def records(*numbers: int) -> bytes:
    """Return lines of one producer."""
    return b"".join(
        b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a","action_number":%d,"producer":"ada"}\n'
        % number
        for number in numbers
    )


def run(*arguments: object) -> Result:
    """
    Run the command in this process.

    By its group: click keeps a command's help option as it was first asked for, the reference page's too.
    """
    return CliRunner().invoke(group, ["verify", *(str(argument) for argument in arguments)])


def test_clean_directory_is_ok(tmp_path: Path) -> None:
    """The summary counts what was read, and the last line is the verdict."""
    (tmp_path / DAY).write_bytes(records(1, 2, 3))
    result = run("--dir", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("OK: 3 records")
    assert {"files      1", "records    3", "producers  1 (1 open)"} <= set(result.stdout.splitlines())


def test_verdict_claims_no_more_than_was_proven(tmp_path: Path) -> None:
    """While an end is open the verdict says so; once all are proven it makes no reservation."""
    (tmp_path / DAY).write_bytes(records(1, 2))
    assert "as far as can be proven" in run("--dir", tmp_path).stdout
    (tmp_path / DAY).write_bytes(records(1) + records(2).replace(b'"a"', b'"pipeline_stopped"'))
    assert "as far as can be proven" not in run("--dir", tmp_path).stdout


def test_directory_without_files_is_ok_and_says_so(tmp_path: Path) -> None:
    """Nothing recorded yet is nothing lost."""
    result = run("--dir", tmp_path)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "OK: there is nothing to verify yet")


def test_findings_fail_with_a_sentence_each(tmp_path: Path) -> None:
    """Each finding begins with FILE:LINE, and the exit status is 1."""
    (tmp_path / DAY).write_bytes(records(1, 4, 2))
    result = run("--dir", tmp_path)
    assert result.exit_code == 1
    assert f"{DAY}:2: missing: number 3 of ada missing before its number 4" in result.stdout
    assert f"{DAY}:3: out_of_order: number 2 of ada behind its number 4 in the same file" in result.stdout
    assert result.stdout.splitlines()[-1] == "FAILED: 1 missing, 1 out_of_order"


def test_damaged_line_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Control characters of a file are shown as escapes."""
    (tmp_path / DAY).write_bytes(
        b"\x1b[2J\x07\xe2\x80\xae\n" + records(1).replace(b"ada", rb"a\u001b[2J") * 2
    )
    result = run("--dir", tmp_path)
    assert r"\x1b[2J\x07\u202e" in result.stdout
    assert r"a\x1b[2J" in result.stdout
    assert all(line.isprintable() for line in result.stdout.splitlines())


def test_many_findings_are_cut_and_counted(tmp_path: Path) -> None:
    """A screen is not flooded, and what is left out is counted."""
    (tmp_path / DAY).write_bytes(b"hello\n" * 1500)
    lines = run("--dir", tmp_path).stdout.splitlines()
    assert sum("unparsable:" in line for line in lines) == 100
    assert "… and 1,400 more (--json has the first 1,000 of each kind)" in lines
    assert lines[-1] == "FAILED: 1,500 unparsable"


def test_json_is_one_object_with_the_same_exit_status(tmp_path: Path) -> None:
    """Scripts read the report and nothing beside it."""
    (tmp_path / DAY).write_bytes(records(2))
    result = run("--dir", tmp_path, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["exit_code"], report["counts"]) == (1, 1, {"missing": 1})


def test_date_limits_what_is_read(tmp_path: Path) -> None:
    """Only the days asked for are read, and the output says that the proof is partial."""
    (tmp_path / DAY).write_bytes(records(2))
    (tmp_path / "2025-11-22.jsonl").write_bytes(b"hello\n")
    result = run("--dir", tmp_path, "2025-11-21")
    assert result.exit_code == 0
    assert "only some days were read" in result.stdout
    assert run("--dir", tmp_path, "2025-11-22").exit_code == 1


def test_unfinished_line_is_a_note(tmp_path: Path) -> None:
    """A line that is being written is told, and is no failure."""
    (tmp_path / DAY).write_bytes(records(1) + b'{"timestamp')
    (tmp_path / ".pipeline" / "lanes" / "key" / "ada").mkdir(parents=True)
    result = run("--dir", tmp_path)
    assert result.exit_code == 0
    assert "1 last line(s) still being written" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dir", "{}/nowhere"], "no log directory at"),
        (["--dir", "{}/" + DAY], "no log directory at"),
        (["--dir", "$PIPELINE_TEST_NOT_SET/logs"], "variable that is not set"),
        (["--dir", "{}", "yesterday"], "is no date"),
        (["--dir", "{}", "../secret"], "is no date"),
        (["--dir", "{}", "2025-11-30"], "no file of 2025-11-30"),
        (["--dir", "{}", "2025-11-21", "2025-11-30"], "no file of 2025-11-30"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_status_2(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """A usage error is no verdict: it says what is wrong and what to do."""
    (tmp_path / DAY).write_bytes(records(1))
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_directory_that_cannot_be_listed_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission nothing can be said about the records."""

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pipeline.verification.files.os.listdir", refuse)
    result = run("--dir", tmp_path)
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr


def test_head_is_one_line_to_be_kept_and_given_back(tmp_path: Path) -> None:
    """`--head` prints what `--against` takes; one that does not hold any more is a finding."""
    write_manifest(tmp_path)
    head = run("--dir", tmp_path, "--head")
    assert (head.exit_code, head.stdout.count("\n")) == (0, 1)
    assert run("--dir", tmp_path, "--against", head.stdout.strip()).exit_code == 0
    other = run("--dir", tmp_path, "--against", f"1:{'0' * 64}")
    assert other.exit_code == 1
    assert "entry 1 of the manifests, which the head that was kept names, is another one now" in other.stdout


@pytest.mark.parametrize("arguments", [["--against", "hello"], ["--head"]])
def test_head_that_is_none_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    """Neither is a head printed where there is no manifest, nor nonsense taken for one."""
    (tmp_path / DAY).write_bytes(records(1))
    result = run("--dir", tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_what_no_digest_proves_is_a_note(tmp_path: Path) -> None:
    """How many bytes are proven is said, and of the others why they are not."""
    write_manifest(tmp_path)
    with (tmp_path / DAY).open("ab") as file:
        file.write(records(3))
    result = run("--dir", tmp_path, "--full")
    assert result.exit_code == 0
    assert f"proven     {len(records(1, 2))} bytes by their digests" in result.stdout
    assert f"not proven: {len(records(3))} bytes of {DAY}, it has no entry in a manifest yet" in result.stdout


def write_manifest(log_dir: Path) -> None:
    """Write a day of two records with a manifest."""
    data = records(1, 2)
    (log_dir / DAY).write_bytes(data)
    block = {
        "serial": 1,
        "file": DAY,
        "kind": "block",
        "offset": 0,
        "length": len(data),
        "lines": 2,
        "producers": {"ada": [[1, 2]]},
        "digest": hashlib.sha256(data).hexdigest(),
        "previous": "0" * 64,
    }
    manifests = log_dir / ".pipeline" / "manifests"
    manifests.mkdir(parents=True)
    (manifests / f"{DAY}.manifest").write_text(json.dumps(block) + "\n")


def test_help_shows_examples_and_every_exit_status() -> None:
    """`--help` is enough to use the command in a script."""
    text = run("--help").stdout
    assert "Examples:" in text
    assert "Exit status:" in text
    assert "pipeline verify 2025-11-21" in text


def test_progress_goes_to_the_terminal_and_leaves_the_output_clean(tmp_path: Path) -> None:
    """With stderr on a terminal a bar is drawn there; stdout is the report alone."""
    (tmp_path / DAY).write_bytes(records(1))
    program = "from pipeline.cli.verify import command; command()"
    ours, theirs = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
        arguments = [sys.executable, "-c", program, "--dir", str(tmp_path), "--json"]
        result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True)
        drawn = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert json.loads(result.stdout)["records"] == 1
    assert b"verifying" in drawn
