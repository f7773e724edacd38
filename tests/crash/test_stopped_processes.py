"""
Writers and supervisors that are stopped or frozen, and not dead: there are never two appenders.

The append lock is looked at by a witness all the time; that nothing is stored twice or lost says the rest.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash.points import small
from support.waiting import until

from pipeline.host import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.ground import Ground

FREEZER = Path("/sys/fs/cgroup/freezer")


class Witness:
    """Notes, many times a second, which processes have the newest day file open for appending and can run."""

    def __init__(self, ground: Ground) -> None:
        self.seen: list[set[int]] = []
        self._ground = ground
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Return the largest number of processes that had a day file open at one moment."""
        self._is_over.set()
        self._thread.join()
        return max(map(len, self.seen), default=0)

    def _watch(self) -> None:
        while not self._is_over.is_set():
            self.seen.append({pid for pid in self._ground.pids("writer") if self._has_day_file(pid)})
            time.sleep(0.01)

    def _has_day_file(self, pid: int) -> bool:
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(str(self._ground.log_dir) in link and ".jsonl" in link for link in links)


def plan(**settings: object):
    """Return producers over a pipeline that takes a writer without heartbeat for hung after a second."""
    found = small()
    found.settings |= {"heartbeat_timeout_sec": 1.0} | settings
    return found


def test_a_stopped_writer_is_replaced_and_never_appends_beside_its_successor(ground: Ground) -> None:
    """SIGSTOP beyond the heartbeat timeout: a successor takes over, whenever the old one is continued."""
    ground.start(plan())
    ground.until_stored(200)
    witness = Witness(ground)
    for _ in range(2):
        stopped = ground.one("writer")
        os.kill(stopped, signal.SIGSTOP)
        until(lambda old=stopped: old not in ground.pids("writer"), "the end of the stopped writer", 60)
        ground.until_stored(ground.lines() + 200)
    appenders = witness.stop()
    ground.finish()
    ground.check()
    assert appenders == 1


@pytest.mark.smoke
def test_a_writer_that_is_stopped_for_a_moment_goes_on(ground: Ground) -> None:
    """SIGSTOP and SIGCONT within the heartbeat timeout: the same writer goes on, and nothing is lost."""
    ground.start(plan(heartbeat_timeout_sec=60))
    ground.until_stored(200)
    writer = ground.one("writer")
    for _ in range(3):
        os.kill(writer, signal.SIGSTOP)
        ground.until_accepted(ground.begun() + 300)
        os.kill(writer, signal.SIGCONT)
        ground.until_stored(ground.lines() + 300)
    assert ground.pids("writer") == [writer]
    ground.finish()
    ground.check()


def test_a_stopped_supervisor_finds_its_writer_again(ground: Ground) -> None:
    """The supervisor is stopped, the writer killed meanwhile: when it is continued there is one writer."""
    ground.start(plan())
    ground.until_stored(200)
    supervisor = ground.one("supervisor")
    witness = Witness(ground)
    os.kill(supervisor, signal.SIGSTOP)
    ground.kill("writer")
    ground.until_accepted(ground.begun() + 500)
    os.kill(supervisor, signal.SIGCONT)
    ground.until_stored(ground.lines() + 300)
    appenders = witness.stop()
    ground.finish()
    ground.check()
    assert appenders == 1


def test_a_stopped_pair_of_supervisor_and_writer_goes_on_where_it_was(ground: Ground) -> None:
    """Both are stopped for long: the supervisor was late itself, and gives the writer time."""
    ground.start(plan())
    ground.until_stored(200)
    writer = ground.one("writer")
    pair = [ground.one("supervisor"), writer]
    for pid in pair:
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    ground.until(lambda: time.monotonic() - begun > 4, "four times the heartbeat timeout")
    for pid in pair:
        os.kill(pid, signal.SIGCONT)
    ground.until_stored(ground.lines() + 300)
    assert ground.pids("writer") == [writer]
    ground.finish()
    ground.check()


def test_a_stopped_producer_keeps_its_lane(ground: Ground) -> None:
    """Producers that stand still are not taken for dead: each ends once, at its true last number."""
    ground.start(plan())
    ground.until_stored(200)
    producers = ground.kill("app", signal.SIGSTOP)
    begun = time.monotonic()
    ground.until(
        lambda: time.monotonic() - begun > 4, "twice the time after which a lane without a lock is given up"
    )
    for pid in producers:
        os.kill(pid, signal.SIGCONT)
    ground.until_accepted(ground.begun() + 300)
    ground.finish()
    ground.check()
    assert {row.pid for row in ground.ledger.rows()} > set(producers)
    told = [record["pid"] for record in ground.ends()]
    assert sorted(told) == sorted({row.pid for row in ground.ledger.rows()})


def test_two_pipelines_over_one_log_directory_append_one_after_the_other(ground: Ground) -> None:
    """With two runtime directories there are two writers: the second waits for the append lock."""
    ground.start(replace(small(), main=[0], forked=[]))
    ground.until_stored(200)
    second = ground.root / "second"
    second.mkdir()
    ground.start(replace(small(), main=[1], forked=[]), root=second.name)
    ground.until(lambda: ground.ledger.row(1).begun > 500, "records of the second")
    ground.until(lambda: len(ground.pids("writer")) == 2, "a second writer")
    ground.until_stored(ground.lines() + 200)
    assert b'"source":1,' not in ground.day_file().read_bytes()
    ground.ledger.stop()
    ground.until_alone()
    second.rmdir()
    ground.finish()
    ground.check()
    assert len(list(ground.log_dir.glob("*.jsonl"))) == 1


@pytest.fixture
def freezer() -> Iterator[Path]:
    """Give a cgroup whose processes can be frozen, so that even SIGKILL waits."""
    group = FREEZER / f"pipeline-crash-{os.getpid()}"
    group.mkdir()
    yield group
    (group / "freezer.state").write_text("THAWED")
    until(lambda: not (group / "cgroup.procs").read_text().strip(), "an empty cgroup", 60)
    group.rmdir()


@pytest.mark.faults
def test_the_successor_of_a_frozen_writer_waits_for_the_append_lock(ground: Ground, freezer: Path) -> None:
    """A frozen writer survives SIGKILL until it thaws: its successor appends only after that."""
    ground.start(plan())
    ground.until_stored(200)
    frozen = ground.one("writer")
    (freezer / "cgroup.procs").write_text(str(frozen))
    (freezer / "freezer.state").write_text("FROZEN")
    ground.until(lambda: (freezer / "freezer.state").read_text().strip() == "FROZEN", "a frozen writer")
    lines = ground.lines()
    ground.until(lambda: "SIGABRT" in ground.told(), "the supervisor to miss the heartbeat")
    os.kill(frozen, signal.SIGKILL)
    ground.until_accepted(ground.begun() + 1000)
    begun = time.monotonic()
    ground.until(lambda: time.monotonic() - begun > 3, "three times the heartbeat timeout")
    assert processes.state_letter(frozen) not in ("", "Z")
    assert ground.lines() == lines
    (freezer / "freezer.state").write_text("THAWED")
    ground.until_stored(lines + 300)
    ground.finish()
    ground.check()
