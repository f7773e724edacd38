"""
Outages that take longer than a test of every day may: a write that never returns, memory that is short.

As in test_outages: the log directory is on a small file system of its own, and in the end nothing is lost and
nothing is there twice.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.hanging import until_durable, until_gone, until_stuck
from support.obeying import OBEYING, StateSite, emits, flushes, started
from support.outages import HEAL_SEC, begun, ends_well, goes_on, until_in_fallback, until_replayed
from support.waiting import until

from pipeline.host import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fuse_rules import RuledDirectory
    from support.volumes import Volumes

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

MIB = 1 << 20
CGROUP = Path("/sys/fs/cgroup/memory")


def test_a_write_that_does_not_return_is_left_to_a_successor(
    ruled: RuledDirectory, state_site: StateSite
) -> None:
    """
    Every write of the volume hangs, all settings are as they are by default: a stand-in takes over.

    When the write returns at last, the stuck one is dead, and the files have had one appender.
    """
    try:
        app = begun(state_site, ruled.path / "logs")
        until_durable(state_site)
        stuck = state_site.writer()
        ruled.set("write * hang")
        goes_on(app, "hanging")
        state_site.until_reason("heartbeat_stale", timeout_sec=60)
        state_site.until_reason("writer_stuck", timeout_sec=60)
        until_in_fallback(state_site)
        assert state_site.writer() != stuck
        goes_on(app, "with_a_successor")
        ruled.set()
        until_gone(stuck)
        goes_on(app, "mended")
        until_replayed(state_site)
        flushes(app)
        ends_well(state_site, app)
    finally:
        ruled.set()


def test_a_fallback_that_hangs_too_gets_no_more_than_three_writers(
    ruled: RuledDirectory, state_site: StateSite
) -> None:
    """Each successor is stuck as the one before; then none comes, health says so, and records are queued."""
    try:
        app = begun(
            state_site,
            ruled.path / "logs",
            fallback_dir=str(ruled.path / "fallback"),
            heartbeat_timeout_sec=2.5,
        )
        until_durable(state_site)
        ruled.set("* * hang")
        goes_on(app, "hanging")
        until(lambda: len(state_site.workers("writer")) == 3, "three writers", HEAL_SEC)
        state_site.until_reason("writer_stuck")
        state_site.until_reason("writer_down", timeout_sec=HEAL_SEC)
        assert len(state_site.workers("writer")) == 3
        goes_on(app, "queued")
        ruled.set()
        goes_on(app, "mended")
        state_site.until_reason("writer_stuck", holds=False, timeout_sec=HEAL_SEC)
        until_replayed(state_site)
        ends_well(state_site, app)
    finally:
        ruled.set()


def test_a_pipeline_is_stopped_while_its_volume_hangs(ruled: RuledDirectory, state_site: StateSite) -> None:
    """The stop does not wait for the volume; the next start goes on where this one was, hanging or not."""
    try:
        app = begun(state_site, ruled.path / "logs", heartbeat_timeout_sec=2.5)
        until_durable(state_site)
        stuck = state_site.writer()
        ruled.set("* * hang")
        goes_on(app, "hanging")
        until_stuck(state_site, stuck)
        until_in_fallback(state_site)
        supervisor = state_site.supervisor()
        os.kill(supervisor, signal.SIGTERM)
        until(lambda: processes.is_condemned(supervisor) or not processes.start_ticks(supervisor), "its end")
        goes_on(app, "stopped")
        until_stuck(state_site, stuck)
        assert state_site.supervisor() != supervisor
        ruled.set()
        until_gone(stuck)
        state_site.until_reason("writer_stuck", holds=False)
        until_replayed(state_site)
        ends_well(state_site, app)
    finally:
        ruled.set()


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Path]:
    """Give a memory group with a limit of 256 MiB."""
    if not os.access(CGROUP, os.W_OK):
        pytest.skip("there are no memory groups (v1) to be made here")
    group = CGROUP / f"pipeline-test-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(256 * MIB))
    yield group
    until(lambda: not (group / "cgroup.procs").read_text().split(), "an empty group")
    (group / "memory.force_empty").write_text("0")
    group.rmdir()


def test_a_memory_limit_while_the_log_volume_is_down(
    state_site: StateSite, volumes: Volumes, cgroup: Path
) -> None:
    """Neither the application nor its restart is killed for memory: lanes are charged to its group."""
    volume = volumes.disk("logs", size=1024 * MIB)  # one in memory would be charged to the group too
    state_site.log_dir = volume.point / "logs"
    state_site.log_dir.mkdir()
    volume.forbid(state_site.log_dir)
    fallback = volumes.disk("fallback")
    fallback.forbid(fallback.point)
    options = {"fallback_dir": str(fallback.point), "state_dir": str(state_site.home / "state")}
    state_site.state_dir = options["state_dir"]
    for life in range(2):
        join = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs; exec "$@"', "sh")
        app = state_site.command(
            [*join, sys.executable, str(state_site.script(OBEYING))],
            SITE_OPTIONS=json.dumps(options),
        )
        app.expect("ready")
        for part in range(10):
            assert emits(app, f"life{life}_{part}", 20_000, 900) == 20_000
        app.tell("end")
        assert app.wait() == 0
    volume.allow()
    fallback.allow()
    app = started(state_site, **options)
    goes_on(app, "healed")
    flushes(app)
    state_site.until_reason("append_failing", holds=False)
    until_replayed(state_site)
    ends_well(state_site, app)
