"""
SIGKILL between every two steps of emit, append, commit, sync, release, rotate, recovery and the end.

Each case lets one named place kill, several times in a row where that can be, and shows by the log of the
kills that it was reached. Afterwards accepted = stored, and nothing is left behind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash.points import CASES, LONG_CASES, names_in_source

if TYPE_CHECKING:
    from crash.points import Case
    from support.ground import Ground

HANG_SEC = 300.0


SMOKE = {"writer.append.partial", "writer.recover.before", "emit.append.body", "emit.segment.created"}


def _marked(case: Case) -> object:
    return pytest.param(case, id=case.id, marks=[pytest.mark.smoke] if case.id in SMOKE else [])


@pytest.mark.timeout(HANG_SEC)
@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
def test_a_kill_at_this_point_loses_and_repeats_nothing(case: Case, ground: Ground) -> None:
    """Killed there, once or several times in a row: each accepted record is stored once, in order."""
    case.run(ground)


@pytest.mark.soak
@pytest.mark.timeout(HANG_SEC)
@pytest.mark.parametrize("case", LONG_CASES, ids=lambda case: case.id)
def test_kills_in_a_row_at_this_point_lose_and_repeat_nothing(case: Case, ground: Ground) -> None:
    """The same three times in a row where that can be, with lanes on disk, and early in a writer's life."""
    case.run(ground)


def test_every_fail_point_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    # Those of the fallback store and of replay are in test_replay_killed.py, those of files that leave in
    # test_leaving_killed.py, those of packing in test_keeper_killed.py, and counted there; those on the way
    # into an outage and out of it need a disk that refuses at will.
    names = ["outage_in_process", "recovery_after_losses", "stores_of_gone_pipelines", "keeper"]
    paths = [Path(__file__).parents[1] / "integration" / f"test_{name}.py" for name in names]
    texts = [path.read_text("utf-8") for path in [*paths, Path(__file__).with_name("test_leaving_killed.py")]]
    elsewhere = re.findall(r'"((?:writer|supervisor)\.[a-z_.]+)"', "".join(texts))
    of_others = ("replay.", "fallback.", "leave.", "keeper.")
    of_writers = {name for name in names_in_source() if not name.startswith(of_others)}
    assert of_writers - {case.name for case in CASES} <= set(elsewhere)
