"""
SIGKILL between every two steps of emit, append, commit, sync, release, rotate, recovery and the end.

Each case lets one named place kill, several times in a row where that can be, and shows by the log of the
kills that it was reached. Afterwards accepted = stored, and nothing is left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from crash.points import CASES, names_in_source

if TYPE_CHECKING:
    from concurrent.futures import Future

    from crash.points import Case

HANG_SEC = 110.0


def _marked(case: Case):
    return pytest.param(case, id=case.id, marks=[pytest.mark.soak] if case.is_slow else [])


@pytest.mark.timeout(HANG_SEC * 4)
@pytest.mark.parametrize("case", [_marked(case) for case in CASES])
def test_a_kill_at_this_point_loses_and_repeats_nothing(case: Case, beside: dict[str, Future]) -> None:
    """Killed there, as often as the case says: each accepted record is stored once, in order."""
    beside[case.id].result(HANG_SEC * 3)


def test_every_fail_point_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    assert names_in_source() <= {case.name for case in CASES}
