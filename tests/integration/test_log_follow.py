"""`pipeline log --follow`: what comes later, in whichever file it comes."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import PIPELINE
from support.day_files import record, today
from support.waiting import HANG_SEC


@contextmanager
def following(log_dir: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; its output is a pipe."""
    command = [*PIPELINE, "log", "--dir", str(log_dir), "--follow", "--format", "jsonl", *arguments]
    environment = {**os.environ, "PIPELINE_RUNTIME_ROOT": str(log_dir.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def next_number(process: subprocess.Popen[bytes]) -> int:
    """Wait for a line and return its number; pytest's timeout ends a test that waits in vain."""
    return json.loads(process.stdout.readline())["action_number"]


def append(path: Path, line: bytes) -> None:
    """Append to a file as the writer does, in two halves: half a line is never shown."""
    with path.open("ab", buffering=0) as file:
        file.write(line[:30])
        file.write(line[30:])


@pytest.mark.timeout(2 * HANG_SEC)
def test_following_goes_on_over_rotation_parts_and_instances(tmp_path: Path) -> None:
    """The last ones first, then what passes the filters, also on the days after today."""
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    day, error = log_dir / f"{today()}.jsonl", "tool_error"
    for number in range(1, 5):
        append(day, record(number, error, f"{today()}T00:00:00.00000{number}Z"))
    with following(log_dir, "--tail", "2", "--status", "error") as process:
        assert [next_number(process) for _ in range(2)] == [3, 4]
        files = [
            day,
            log_dir / f"{today()}.1.jsonl",
            log_dir / f"{today()}.i1a2b3c4d.jsonl",
            log_dir / f"{today()}.r1.jsonl",
            log_dir / "2999-01-01.jsonl",
            log_dir / "2999-01-02.jsonl",
            day,
        ]
        for number, path in enumerate(files, 5):
            append(path, record(100 + number, "tool_call", f"{today()}T23:59:59.000000Z"))
            append(path, record(number, error, f"{today()}T23:59:59.000000Z"))
            assert next_number(process) == number


@pytest.mark.timeout(2 * HANG_SEC)
def test_following_shows_each_record_once_while_many_are_written(tmp_path: Path) -> None:
    """None is lost and none comes twice between the last ones and those that follow."""
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    day = log_dir / f"{today()}.jsonl"
    append(day, record(1, at=f"{today()}T00:00:00.000001Z"))
    with following(log_dir, "--tail", "100000") as process:
        for number in range(2, 1501):
            append(day, record(number, at=f"{today()}T00:00:00.{number:06d}Z"))
        assert [next_number(process) for _ in range(1500)] == list(range(1, 1501))


@pytest.mark.timeout(2 * HANG_SEC)
def test_following_ends_with_its_reader_though_nothing_comes(tmp_path: Path) -> None:
    """`pipeline log --follow | head -1` does not wait for a second record."""
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    day = log_dir / f"{today()}.jsonl"
    append(day, record(1, at=f"{today()}T00:00:00.000001Z"))
    with following(log_dir, "--tail", "1") as process:
        assert next_number(process) == 1
        process.stdout.close()
        assert process.wait(HANG_SEC) == 141
