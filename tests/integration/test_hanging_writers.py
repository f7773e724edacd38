"""
A writer that hangs in the kernel and outlives its SIGKILL, under live producers.

Its successor keeps off the volume that hangs, and delivers to the fallback store; when the hanging one is
gone another one goes back to the files. Nothing is lost, nothing is there twice, and `verify` says so.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.freezer import Freezer, need_freezer
from support.hanging import (
    FATE_SEC,
    is_more_in_fallback,
    kill,
    stand_in,
    until_durable,
    until_gone,
    until_stuck,
)
from support.outages import begun, ends_well, goes_on, until_in_fallback, until_replayed
from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.fuse_rules import RuledDirectory
    from support.obeying import StateSite

pytestmark = pytest.mark.faults

PATIENCE: dict[str, Any] = {"heartbeat_timeout_sec": 2.5}


@pytest.fixture
def freezer() -> Iterator[Freezer]:
    """Give a group of processes that can be frozen."""
    need_freezer()
    with Freezer() as freezer:
        yield freezer


@pytest.mark.parametrize(
    ("rule", "killed"),
    [("write *.jsonl hang", ["writer"]), ("* * hang", ["writer", "supervisor"])],
    ids=["a_write", "everything"],
)
def test_a_write_that_hangs_is_left_to_a_stand_in(
    ruled: RuledDirectory, state_site: StateSite, rule: str, killed: list[str]
) -> None:
    """
    The writer is stuck in a write; its successor, and everybody's after kills, deliver to the fallback alone.

    When the write returns at last, the stuck one is dead, and the files have had one appender.
    """
    try:
        app = begun(state_site, ruled.path / "logs", **PATIENCE)
        until_durable(state_site)
        stuck = state_site.writer()
        ruled.set(rule)
        goes_on(app, "hanging")
        until_stuck(state_site, stuck)
        until_in_fallback(state_site)
        assert stand_in(state_site) != stuck
        for role in killed:
            before = state_site.health()["fallback"]["records"]
            kill(state_site, role)
            goes_on(app, f"without_{role}")
            until(lambda before=before: is_more_in_fallback(state_site, before), f"a new {role}", FATE_SEC)
        until_stuck(state_site, stuck)
        ruled.set()
        until_gone(stuck)
        goes_on(app, "mended")
        state_site.until_reason("writer_stuck", holds=False)
        until_replayed(state_site)
        ends_well(state_site, app)
    finally:
        ruled.set()


def test_a_frozen_writer_is_left_to_a_stand_in(
    state_site: StateSite, tmp_path: Path, freezer: Freezer
) -> None:
    """No disk hangs, but the writer neither works nor dies; thawed, it runs no instruction any more."""
    app = begun(state_site, tmp_path / "logs", **PATIENCE)
    until_durable(state_site)
    frozen = state_site.writer()
    freezer.freeze(frozen)
    goes_on(app, "frozen")
    until_stuck(state_site, frozen)
    until_in_fallback(state_site)
    os.kill(stand_in(state_site), signal.SIGKILL)
    goes_on(app, "without_a_stand_in")
    freezer.thaw()
    until_gone(frozen)
    goes_on(app, "thawed")
    state_site.until_reason("writer_stuck", holds=False)
    until_replayed(state_site)
    ends_well(state_site, app)
