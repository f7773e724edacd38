"""
Real file systems that lose their power under real producers and a real writer, at random moments.

Each cut takes everything: what was not on the disk, all processes, and the lanes in memory. Afterwards all
that `durable=True` acknowledged is there, the rest of each source is a prefix of what it emitted, nothing is
there twice, and the next start needs nobody's help. An unlinked segment may come back, a renamed checkpoint
may vanish.
"""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest
from support.power import Round
from support.volumes import KINDS, Volumes

if TYPE_CHECKING:
    from pathlib import Path


def play(volumes: Volumes, kind: str, home: Path, seed: int, rounds: int) -> None:
    """Cut the power in each round once to three times, and judge."""
    volume = volumes.disk("disk", kind)
    dice = random.Random(f"{seed}/{kind}")
    for number in range(rounds):
        with Round(volume, dice, home / f"round{number}", cuts=dice.choice([1, 1, 2, 3])).play() as ground:
            verdict = ground.check(unacknowledged_max=100)
        shutil.rmtree(volume.point / f"round{number}", ignore_errors=True)
        print(f"{kind} round {number}: {verdict}", flush=True)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_loses_nothing_that_was_on_the_disk(
    volumes: Volumes, tmp_path: Path, seed: int, kind: str
) -> None:
    """Some cuts, at random moments."""
    play(volumes, kind, tmp_path, seed, rounds=6)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_power_cuts_lose_nothing_that_was_on_the_disk(
    volumes: Volumes, tmp_path: Path, seed: int, kind: str
) -> None:
    """The same for half an hour or so."""
    play(volumes, kind, tmp_path, seed, rounds=300)
