"""
What people and their tools do to the files under the writer: nothing accepted is lost or stored twice.

Removed, moved, rotated, truncated, appended to; and the directories of the queue removed under load.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from crash.points import rolling, small
from support import oracle

from pipeline.host import processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.ground import Ground


def changes_told(ground: Ground) -> set[str]:
    """Return the kinds of change that the stream tells of."""
    lines = [line for path in oracle.files_in(ground.log_dir) for line in path.read_bytes().splitlines()]
    records = [_parsed(line) for line in lines if b'"file_changed"' in line]
    return {record["change"] for record in records}


def _parsed(line: bytes) -> dict[str, Any]:
    import json

    return json.loads(line)


def settle(ground: Ground) -> None:
    """Wait until the writer has gone on for a while."""
    ground.until_stored(ground.lines() + 400)


def until_quiet(ground: Ground, path: Path) -> None:
    """Wait until a file has not grown for a while."""
    seen = (-1, 0.0)

    def is_quiet() -> bool:
        nonlocal seen
        size = path.stat().st_size
        if size != seen[0]:
            seen = (size, time.monotonic())
        return time.monotonic() - seen[1] > 0.5

    ground.until(is_quiet, "the file to stay as it is")


def test_a_day_file_that_is_moved_away_keeps_what_it_has(ground: Ground) -> None:
    """`mv` under the writer: writing goes on in a new file; both together hold each record once."""
    ground.start(small())
    ground.until_stored(300)
    path = ground.day_file()
    path.rename(path.with_name(path.name + ".old"))
    settle(ground)
    ground.finish()
    ground.check()
    assert changes_told(ground) == {"moved"}


def test_a_day_file_that_is_deleted_loses_only_what_was_durable_in_it(ground: Ground) -> None:
    """`rm` under the writer: what was not yet synced is written again."""
    plan = small()
    plan.settings |= {"fsync_interval_sec": 3600}
    ground.start(plan)
    ground.until_stored(300)
    ground.day_file().unlink()
    settle(ground)
    ground.finish()
    ground.check()
    assert changes_told(ground) == {"deleted"}


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["a-line", "half-a-line"])
def test_bytes_of_others_in_a_day_file_are_left_alone(ground: Ground, newline: bytes) -> None:
    """`echo >>`, with and without -n: writing goes on in a part, and what stands there stays."""
    ground.start(small())
    ground.until_stored(300)
    path = ground.day_file()
    stranger = b"2025 a person wrote this"
    ground.foreign.add(stranger)
    producers = [*ground.kill("app", signal.SIGSTOP), *ground.kill("spawned", signal.SIGSTOP)]
    until_quiet(ground, path)  # between the writer's look and its append half a line would still be hit
    with path.open("ab") as file:
        file.write(stranger + newline)
    for pid in producers:
        os.kill(pid, signal.SIGCONT)
    settle(ground)
    ground.finish()
    if not newline:
        assert path.read_bytes().endswith(stranger)
        with path.open("ab") as file:
            file.write(b"\n")
    ground.check()
    assert changes_told(ground) == {"foreign_bytes"}
    assert stranger in path.read_bytes()
    assert len(oracle.files_in(ground.log_dir)) == 2


def test_a_day_file_that_is_truncated_by_a_person_goes_on_at_its_new_end(ground: Ground) -> None:
    """`truncate` to a line's end: what was cut away is the person's; all else is stored once."""
    ground.start(small())
    ground.until_stored(300)
    writer = ground.one("writer")
    os.kill(writer, signal.SIGSTOP)
    ground.until(lambda: processes.state_letter(writer) == "T", "the writer to stand still")
    path = ground.day_file()
    data = path.read_bytes()
    keep = data[: len(data) // 2].rfind(b"\n") + 1
    os.truncate(path, keep)
    os.kill(writer, signal.SIGCONT)
    settle(ground)
    ground.finish()
    with path.open("r+b") as file:  # put back what the person took, so that the rest can be judged
        rest = file.read()[keep:]
        file.seek(keep)
        file.write(data[keep:] + rest)
    ground.has_tampered = True
    ground.check()
    assert changes_told(ground) == {"truncated"}


@pytest.mark.parametrize("kind", ["create", "copytruncate"])
def test_logrotate_and_the_writer_keep_every_record(
    ground: Ground, tmp_path: Path, need_tool: Callable[[str], str], kind: str
) -> None:
    """Rotated twice while producers emit; the rotated and the new files together hold each record once."""
    ground.start(small())
    ground.until_stored(300)
    config = tmp_path / "logrotate.conf"
    config.write_text(f"{ground.log_dir}/*.jsonl {{\n rotate 9\n {kind}\n nocompress\n su root root\n}}\n")
    config.chmod(0o644)
    command = [need_tool("logrotate"), "--force", "--state", str(tmp_path / "state"), str(config)]
    for _ in range(2):
        with stopped(ground) if kind == "copytruncate" else running():
            subprocess.run(command, check=True, timeout=60)
        settle(ground)
    ground.finish()
    ground.check()
    assert changes_told(ground) == {"moved" if kind == "create" else "truncated"}


class running:  # noqa: N801 - reads as a state
    """The writer runs meanwhile."""

    def __enter__(self) -> None:
        return

    def __exit__(self, *_error: object) -> None:
        return


class stopped:  # noqa: N801 - reads as a state
    """
    The writer stands still meanwhile.

    What it appends between the copy and the truncation of copytruncate is lost, with any program, as
    logrotate's own manual says; that moment is taken out here.
    """

    def __init__(self, ground: Ground) -> None:
        self._pid = ground.one("writer")

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_error: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("what", "fills"),
    [
        ("runtime", "fast"),
        ("lanes", "slowly"),
        pytest.param("runtime", "slowly", marks=pytest.mark.soak),
        pytest.param("lanes", "fast", marks=pytest.mark.soak),
        pytest.param("one-lane", "slowly", marks=pytest.mark.soak),
        pytest.param("one-lane", "fast", marks=pytest.mark.soak),
    ],
)
def test_a_queue_that_is_removed_under_load_loses_nothing(ground: Ground, what: str, fills: str) -> None:
    """`rm -r` of the runtime directory or of lanes, and at once `kill -9` of all producers."""
    ground.start(small() if fills == "slowly" else rolling())
    ground.until_stored(300)
    runtime = ground.runtime_dir()
    lanes = runtime / "lanes"
    some = {"runtime": [runtime], "lanes": [lanes], "one-lane": sorted(lanes.iterdir())[:1]}[what]
    for path in some:
        shutil.rmtree(path, ignore_errors=True)
    ground.kill("app")
    ground.finish()
    ground.check(unacknowledged_max=3)


def test_a_queue_that_is_removed_under_load_is_used_on(ground: Ground) -> None:
    """`rm -r` of the runtime directory while everybody lives: they all go on, and nothing is lost."""
    ground.start(small())
    for _ in range(2):
        ground.until_stored(ground.lines() + 300)
        shutil.rmtree(ground.runtime_dir(), ignore_errors=True)
        ground.until_accepted(ground.begun() + 300)
    ground.until_stored(ground.lines() + 300)
    ground.finish()
    ground.check()


def test_a_removed_runtime_directory_costs_no_writer(ground: Ground) -> None:
    """Its heartbeat goes with it, and comes back: a writer that works is not taken for a hung one."""
    plan = small()
    plan.settings |= {"heartbeat_timeout_sec": 1.0}
    ground.start(plan)
    ground.until_stored(200)
    writer, begun = ground.one("writer"), time.monotonic()
    ground.until(lambda: time.monotonic() - begun > 2, "twice the heartbeat timeout")
    for _ in range(4):
        shutil.rmtree(ground.runtime_dir(), ignore_errors=True)
        settle(ground)
        ground.until((ground.runtime_dir() / "writer.beat").exists, "a heartbeat")
    assert ground.pids("writer") == [writer]
    ground.finish()
    ground.check()


def test_a_queue_that_is_removed_while_nobody_writes_is_rescued_by_its_producers(ground: Ground) -> None:
    """`kill -9` of the workers and `rm -r` of the runtime directory: producers hand in what they hold."""
    ground.start(replace(small(), burst=4, pause_sec=0.02, small_chars=50, big_share=0.0))
    ground.until_stored(100)
    ground.kill("supervisor")
    ground.kill("writer")
    ground.until_accepted(ground.begun() + 20)
    late = ground.ledger.row(2).pid
    os.kill(late, signal.SIGSTOP)  # this one comes when the next writer has long begun
    shutil.rmtree(ground.runtime_dir(), ignore_errors=True)
    ground.until_stored(ground.lines() + 200)
    os.kill(late, signal.SIGCONT)
    ground.until_stored(ground.lines() + 200)
    ground.finish()
    ground.may_end_open = True  # the lane of the killed writer was removed, so nobody can tell how it ended
    ground.check()


def test_a_removed_state_directory_under_load_loses_nothing(ground: Ground) -> None:
    """`rm -r` of `.pipeline`, disk lanes and all, and at once `kill -9` of all producers."""
    plan = small()
    plan.settings |= {"lanes": "disk"}
    ground.start(plan)
    ground.until_stored(300)
    shutil.rmtree(ground.log_dir / ".pipeline", ignore_errors=True)
    ground.kill("app")
    ground.finish()
    ground.check(unacknowledged_max=3)


def test_a_half_line_that_fits_many_records_is_completed_in_order(ground: Ground) -> None:
    """A write cut short in the timestamp, and no page: no record is stored before its predecessors."""
    ground.start(small())
    ground.until_stored(200)
    supervisor = ground.one("supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    ground.kill("writer")
    begun = time.time()
    ground.until(lambda: time.time() - begun > 1.5, "another second in the timestamps")
    ground.until_accepted(ground.begun() + 100)
    with ground.day_file().open("ab") as file:
        file.write(time.strftime('{"timestamp":"%Y-%m-%dT%H:%M:%S.', time.gmtime()).encode())
    (ground.runtime_dir() / "control").write_bytes(b"")
    os.kill(supervisor, signal.SIGCONT)
    ground.until_stored(ground.lines() + 300)
    ground.finish()
    ground.check()
