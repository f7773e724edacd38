"""Commands over a volume that does not answer: they say so, and end when they are told to."""

import io
import os
import select
import subprocess
import threading
from collections.abc import Iterator

import pytest
from support.commands import PIPELINE
from support.fuse_rules import RuledDirectory
from support.waiting import HANG_SEC

from pipeline.cli import log_command, standstill
from pipeline.cli.exit_codes import Exit

pytestmark = pytest.mark.faults


class Hanging:
    """An empty log directory that hangs, and the commands over it."""

    def __init__(self, ruled: RuledDirectory) -> None:
        self.ruled = ruled
        self.log_dir = self.ruled.path / "logs"
        self.log_dir.mkdir()
        self.ruled.set("* /logs* hang")
        self._started: list[subprocess.Popen[str]] = []

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        env = os.environ | {"PIPELINE_RUNTIME_ROOT": str(self.ruled.behind)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [*PIPELINE, *arguments, "--dir", str(self.log_dir)]
        self._started.append(subprocess.Popen(command, env=env, **pipes))
        return self._started[-1]

    def heal(self) -> None:
        """Let it answer."""
        self.ruled.set()

    def end(self) -> None:
        """Let all that hangs go on, and end it."""
        self.heal()
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def hanging(ruled: RuledDirectory) -> Iterator[Hanging]:
    """Give one that is healed in the end."""
    made = Hanging(ruled)
    yield made
    made.end()


def first_line(running: subprocess.Popen[str]) -> str:
    """Return what a command says first on stderr."""
    assert select.select([running.stderr], [], [], HANG_SEC)[0], "it says nothing"
    return running.stderr.readline()


@pytest.mark.parametrize("command", ["verify", "status", "log", "account"])
def test_a_command_gives_up_on_a_disk_that_does_not_answer(hanging: Hanging, command: str) -> None:
    """In the time that it is given, with a message that says why."""
    running = hanging.begin(command, "--timeout", "2")
    said = first_line(running)
    assert "the disk has not answered for" in said, said
    assert "It gives up" in said, said
    assert running.wait(HANG_SEC) == Exit.NOT_POSSIBLE


def test_a_command_that_waits_says_so_and_goes_on(hanging: Hanging) -> None:
    """Once; when there is an answer it does its work."""
    running = hanging.begin("verify")
    assert "It goes on as soon as there is an answer" in first_line(running)
    hanging.heal()
    assert running.wait(HANG_SEC) == Exit.DONE


@pytest.mark.parametrize("line", ["/log", "/log --timeout 1"])
def test_inside_of_an_application_nothing_is_watched(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Its process is not ours to fork or to end."""
    monkeypatch.setattr(standstill, "Standstill", lambda *_: pytest.fail("somebody watches"))
    hanging.heal()
    before, pid = threading.active_count(), os.getpid()
    code = log_command(line, log_dir=hanging.log_dir, stream=io.StringIO())
    assert os.getpid() == pid
    assert code == Exit.DONE
    assert threading.active_count() == before


def test_a_command_with_time_enough_ends_as_it_would_without(hanging: Hanging) -> None:
    """With its exit code, and what it prints."""
    hanging.heal()
    running = hanging.begin("account", "--timeout", "60", "--json")
    assert '"ok": true' in running.communicate(timeout=HANG_SEC)[0]
    assert running.returncode == Exit.DONE
