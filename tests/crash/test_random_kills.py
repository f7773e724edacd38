"""A bounded number of the rounds that `python -m tests.crash` plays by hand, and the long run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from crash.harness import play_all

if TYPE_CHECKING:
    from pathlib import Path


def _failures(seed: int, rounds: int, home: Path) -> str:
    failed = play_all(seed, range(rounds), 3, home, is_quiet=True)
    return "\n".join(f"{story}\n{story.failure}" for story in failed)


@pytest.mark.timeout(600)
def test_kills_at_random_moments_and_points_lose_and_repeat_nothing(seed: int, tmp_path: Path) -> None:
    """App, children, writer, supervisor or all are killed: accepted = stored, nothing is left."""
    assert not _failures(seed, 8, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_three_hundred_rounds_lose_and_repeat_nothing(seed: int, tmp_path: Path) -> None:
    """The same, for as long as a person waits for it."""
    assert not _failures(seed, 300, tmp_path)
