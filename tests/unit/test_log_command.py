"""`pipeline.cli.log_command`: `pipeline log` inside of somebody else's program."""

import io
import os
import signal
import threading
from pathlib import Path

import pytest
from support.day_files import DAY, record, write_day

from pipeline.cli import log_command


@pytest.fixture(autouse=True)
def log_dir(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Give a log directory, which is the usual one of this process."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path_factory.mktemp("runtime")))
    monkeypatch.setenv("PIPELINE_LOG_DIR", str(tmp_path))
    write_day(tmp_path, [record(n, content=f"number {n}") for n in range(1, 6)])
    return tmp_path


@pytest.mark.parametrize(
    "line", ["/log --date {} --tail 2", "log --date {} --tail 2", "  --date {} --tail 2"]
)
def test_line_is_understood_with_and_without_its_first_word(line: str) -> None:
    """What was typed goes to the same parser, and the answer to the stream."""
    stream = io.StringIO()
    assert log_command(line.format(DAY), stream=stream) == 0
    assert stream.getvalue().count("number ") == 2
    assert stream.getvalue().endswith("Showing 2 of 5 total actions\n")


def test_quotes_hold_words_together() -> None:
    """As in a shell, but without one: nothing is expanded."""
    stream = io.StringIO()
    assert log_command(f"--date {DAY} --keyword 'number 3' --format jsonl", stream=stream) == 0
    assert stream.getvalue().encode() == record(3, content="number 3")
    assert log_command(f"--date {DAY} --keyword '$HOME `id`' --format jsonl", stream=stream) == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--limit", 2),
        ("--limit 'unfinished", 2),
        ("--date nonsense", 2),
        ("--nonsense", 2),
        ("--where '(('", 2),
        ("--dir /nowhere/at/all", 3),
        ("--date 1999-01-01", 0),
        ("--help", 0),
    ],
)
def test_nothing_that_is_typed_ends_the_program(
    line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is a line on stderr and a code; SystemExit never comes out."""
    stream = io.StringIO()
    assert log_command(line, stream=stream) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ") == (code != 0)


def test_help_goes_to_the_stream() -> None:
    """As everything else."""
    stream = io.StringIO()
    log_command("-h", stream=stream)
    assert "--content-match" in stream.getvalue()


def test_directory_of_the_program_is_the_default(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And `--dir` in the line goes before it."""
    other = tmp_path_factory.mktemp("other")
    write_day(other, [record(9, content="other")])
    stream = io.StringIO()
    log_command(f"--date {DAY}", log_dir=str(other), stream=stream)
    assert "other" in stream.getvalue()
    log_command(f"--date {DAY} --dir {os.environ['PIPELINE_LOG_DIR']}", log_dir=str(other), stream=stream)
    assert "number 5" in stream.getvalue()


def test_program_keeps_its_user_signals_and_stdout() -> None:
    """Also in a thread, and as root over somebody else's directory, where the command changes its user."""

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"changes the process: {arguments}")

    if os.getuid() == 0:
        os.chown(os.environ["PIPELINE_LOG_DIR"], 12345, 12345)
    before, codes = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: codes.append(log_command(f"--date {DAY}", stream=io.StringIO())))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("setuid", "setgid", "setgroups", "initgroups", "dup2", "_exit"):
            patch.setattr(os, name, refuse)
        patch.setattr(os, "geteuid", lambda: 0)
        thread.start()
        thread.join()
    assert codes == [0]
    assert signal.getsignal(signal.SIGINT) is before


def test_reader_that_goes_away_is_a_code() -> None:
    """The host decides what to do about its own broken stream."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    assert log_command(f"--date {DAY}", stream=Gone()) == 141


def test_interruption_is_a_code_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C ends the query and not the program."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cli.listing.call.answer", interrupt)
    assert log_command("", stream=io.StringIO()) == 130
