"""A minute of chaos; by hand it goes on for as long as one likes: see chaos.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from crash.chaos import soak
from crash.chaos_schedule import COMMANDS, FALLBACK, KEEPERS, KILLS, STOPS, VOLUME, schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_minute_of_chaos_loses_and_repeats_nothing(
    seed: int, tmp_path: Path, need_tool: Callable[[str], str]
) -> None:
    """Kills, stops, a full volume, unmounts and more under four applications: accepted = stored."""
    verdict = soak(tmp_path, seed, 60.0, need_tool)
    assert verdict.accepted > 1000


def test_the_schedule_of_a_soak_is_a_function_of_its_seed(seed: int) -> None:
    """The same events at the same times, of every kind sooner or later."""
    events = schedule(seed, 6000.0)
    assert events == schedule(seed, 6000.0)
    assert {event.kind for event in events} == {*VOLUME, *FALLBACK, *KILLS, *STOPS, *COMMANDS, *KEEPERS}
    assert events != schedule(seed + 1, 6000.0)
