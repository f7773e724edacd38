"""The command line used wrongly, or in wrong surroundings: one clear line, a documented exit code."""

import os
import re
import subprocess
import sys

import pytest
from support.apps import Site
from support.commands import PIPELINE

from pipeline.cli import COMMANDS, group, guarded
from pipeline.cli.exit_codes import EXIT_CODES
from pipeline.errors import NotRunningError, PipelineError, SettingsError

WITHOUT_DIR = ("completion", "config", "demo", "mask", "schema", "verify")
"""Commands that have none themselves, or say it in words of their own."""


def pipeline(site: Site, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command with exactly these arguments."""
    command = [*PIPELINE, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=site.env(**env), timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "words", "attempt"),
    [
        (["stat"], "no command 'stat'", "pipeline status"),
        (["quux"], "no command 'quux'", "pipeline --help"),
        (["record", "--tpye", "x"], "--type", "pipeline record --help"),
        (["stop", "--timeout", "soon"], "soon", "pipeline stop --help"),
        (["status", "extra"], "extra", "pipeline status --help"),
        (["verify", "--dirr", "x"], "--dir", "pipeline verify --help"),
    ],
)
def test_usage_error_says_what_to_try(site: Site, arguments: list[str], words: str, attempt: str) -> None:
    """What is wrong, then what to try; exit code 2, nothing on stdout."""
    result = pipeline(site, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.splitlines()[-1] == f"Try: {attempt}"
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_DIR])
def test_directory_that_cannot_be_named_is_one_line(site: Site, name: str) -> None:
    """A variable that is not set would become a directory called `$NAME`."""
    result = pipeline(site, name, "--dir", "$PIPELINE_TEST_NOT_SET/logs")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: log_dir names a variable that is not set")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("wrong"), 2),
        (NotRunningError("none"), 3),
        (PipelineError("cannot"), 4),
        (PermissionError(13, "Permission denied", "somewhere"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_error_with_a_reason_is_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything that can be expected is told without a traceback, with its own exit code."""

    def fail() -> None:
        raise error

    assert guarded(fail) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"Error: .+\n", told.err)
    assert code in EXIT_CODES


def test_defect_shows_its_traceback_and_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody expected is told whole, and a script does not take it for `verify` findings."""
    assert guarded(lambda: 1 // 0) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_closed_pipe_ends_it_quietly(site: Site) -> None:
    """`pipeline status | head -0` is no error to talk about."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*PIPELINE, "status", "--dir", str(site.log_dir)]
    result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, env=site.env(), check=False)
    os.close(write_end)
    assert (result.returncode, result.stderr) == (141, b"")


def test_help_lists_every_command_and_imports_none() -> None:
    """`pipeline --help` is quick: no subcommand, and nothing heavy, is imported for it."""
    program = (
        "import sys\nfrom pipeline.cli import group\n"
        "group.main(['--help'], standalone_mode=False)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('pipeline.cli.') or name == 'rich'))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *page, modules = result.stdout.splitlines()
    assert modules == "pipeline.cli.exit_codes"
    for name, line in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", "\n".join(page), re.MULTILINE)


def test_every_command_takes_dir_and_help_in_both_forms() -> None:
    """--dir and -h work everywhere."""
    for name in COMMANDS:
        found = group.get_command(None, name)
        assert found.name == name
        commands = getattr(found, "commands", {name: found}).values()
        has_dir = any("--dir" in option.opts for each in commands for option in each.params)
        assert has_dir or name in WITHOUT_DIR


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_root_acts_as_the_owner_of_the_log_directory(site: Site) -> None:
    """The pipeline of a user is found by that user only, so root becomes that user for the command."""
    site.log_dir.mkdir()
    for path in (site.log_dir, site.root):
        os.chown(path, 65534, 65534)
        path.chmod(0o755)
    program = (
        "import os\nfrom pipeline.cli.options import places_of\n"
        f"places = places_of({str(site.log_dir)!r})\nprint(os.geteuid(), places.runtime_dir.parent.name)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=site.env(), check=True
    )
    assert result.stdout.split() == ["65534", "pipeline-65534"]
