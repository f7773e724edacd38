"""Shell completion: the scripts, and what is offered for the values of options."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.commands import PIPELINE
from support.day_files import DAY, record, write_day

from pipeline.cli import group
from pipeline.cli.completion import SHELLS
from pipeline.cli.listing.completion import complete


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Give a log directory with a packed day and a live one."""
    (tmp_path / "2025-11-20.jsonl.zst").write_bytes(b"")
    lines = [
        record(1, "my_type", session_id="s-1", tool_name="bash", nested={"a": 1}),
        record(2, "user_input", session_id="s-2", trace_id="t-1"),
        record(3, "a\x1b[2Jb", session_id="$(reboot)"),
    ]
    write_day(tmp_path, [*lines, record(4)[:-30]])
    return tmp_path


def offered(option: str, log_dir: Path, begun: str = "") -> list[str]:
    """Return the words that are offered."""
    return [item.value for item in complete(option, str(log_dir), begun)]


def test_values_are_what_was_recorded_lately(log_dir: Path) -> None:
    """Days, sessions, tools and traces of the directory; types that the library knows as well."""
    assert offered("date", log_dir) == ["2025-11-20", DAY, "today", "yesterday"]
    assert offered("session-id", log_dir) == ["s-1", "s-2"]
    assert offered("tool-name", log_dir, "ba") == ["bash"]
    assert offered("trace-id", log_dir) == ["t-1"]
    assert {"my_type", "tool_call"} <= set(offered("action-type", log_dir))
    assert {"nested", "timestamp"} <= set(offered("fields", log_dir))
    assert offered("level", log_dir, "E") == ["ERROR"]
    assert "Europe/Berlin" in offered("timezone", log_dir, "Europe/B")
    assert offered("keyword", log_dir) == []


def test_last_of_several_names_is_completed(log_dir: Path) -> None:
    """What was typed before the comma stays."""
    assert offered("action-type", log_dir, "tool_call,my") == ["tool_call,my_type"]


def test_nothing_is_offered_that_a_shell_or_a_terminal_would_obey(log_dir: Path) -> None:
    """A session id may hold anything; what needs quotes is left out."""
    words = [word for option in ("session-id", "action-type", "fields") for word in offered(option, log_dir)]
    assert all(word.isprintable() and not set(word) & set("$`;&|<>()'\" *") for word in words)


def test_large_file_is_read_at_its_end_alone(tmp_path: Path) -> None:
    """A day of gigabytes costs as much as one of 256 KiB."""
    path = write_day(tmp_path, [record(1, session_id="s-late")])
    end = path.read_bytes()
    with path.open("wb") as file:
        file.truncate(1 << 36)  # 64 GiB of holes
        file.seek(0, 2)
        file.write(b"\n" + end)
    assert offered("session-id", tmp_path) == ["s-late"]


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_no_files_are_no_error(tmp_path: Path, missing: str) -> None:
    """A traceback in the middle of a command line helps nobody."""
    (tmp_path / "empty").mkdir()
    assert offered("session-id", tmp_path / missing) == []
    assert offered("date", tmp_path / missing) == ["today", "yesterday"]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_printed_and_understood_by_its_shell(shell: str, need_tool: Callable[[str], str]) -> None:
    """As far as the shell itself can be asked."""
    script = CliRunner().invoke(group, ["completion", shell]).output
    assert "_PIPELINE_COMPLETE" in script
    if shell == "bash":
        subprocess.run([need_tool("bash"), "-n"], input=script, text=True, check=True)


def test_shell_gets_words_from_the_command_itself(log_dir: Path) -> None:
    """The way from the shell's question to the words and exit code 0."""
    asked = {"COMP_WORDS": f"pipeline log --dir {log_dir} --session-id s-", "COMP_CWORD": "5"}
    result = subprocess.run(
        PIPELINE,
        env={**asked, "_PIPELINE_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["plain,s-1", "plain,s-2"]
    assert result.stderr == ""


def test_bash_completes_with_the_script_that_is_printed(
    log_dir: Path, tmp_path_factory: pytest.TempPathFactory, need_tool: Callable[[str], str]
) -> None:
    """In a real bash: an option's name, and a session that was recorded lately."""
    script = tmp_path_factory.mktemp("shell") / "completion"
    script.write_text(CliRunner().invoke(group, ["completion", "bash"]).output)
    asking = f"""
        source {script}
        complete -p pipeline
        COMP_WORDS=(pipeline log --session); COMP_CWORD=2; _pipeline_completion {PIPELINE[0]}
        echo "${{COMPREPLY[@]}}"
        COMPREPLY=(); COMP_WORDS=(pipeline log --dir {log_dir} --session-id s-); COMP_CWORD=5
        _pipeline_completion {PIPELINE[0]}
        echo "${{COMPREPLY[@]}}"
    """
    told = subprocess.run([need_tool("bash"), "-c", asking], capture_output=True, text=True, check=True)
    registered, options, sessions = told.stdout.splitlines()
    assert "_pipeline_completion" in registered
    assert (options, sessions) == ("--session-id", "s-1 s-2")
    assert told.stderr == ""
