"""A power cut of everything a ground has: the volume, all processes, and what lay in memory."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.ground import Ground, Plan
from support.waiting import until

if TYPE_CHECKING:
    import random

    from support.volumes import Volume

_SOURCES = 3
"""Sources of one life of the application: two threads and a forked child."""


@dataclass
class Round:
    """One log directory on a volume that loses its power some times before it is judged."""

    volume: Volume
    dice: random.Random
    home: Path
    cuts: int = 1

    def play(self) -> Ground:
        """Let it all happen; the ground is to be judged and closed."""
        ground = Ground(self.home)
        ground.log_dir = self.volume.point / self.home.name / "logs"
        ground.has_lost_power = ground.may_end_open = True
        for life in range(self.cuts):
            ground.ledger.resume()
            ground.start(self._plan(life))
            self._wait_for_moment(ground)
            cut(ground, self.volume)
            self.volume.unmount()
            self.volume.mount()
        ground.finish(settings={"lanes": "disk"})
        return ground

    def _plan(self, life: int) -> Plan:
        first = life * _SOURCES
        return Plan(
            main=[first, first + 1],
            forked=[[first + 2]],
            settings={
                "lanes": "disk",
                "fsync_interval_sec": self.dice.choice([0.02, 0.1, 1.0]),
                "batch_max_bytes": self.dice.choice([4096, 1 << 18, 4 << 20]),
            },
            seed=self.dice.randrange(1 << 30),
            burst=self.dice.choice([3, 30]),
            small_chars=self.dice.choice([30, 300, 3000]),
            big_share=self.dice.choice([0.0, 0.02]),
            durable_share=self.dice.choice([0.02, 0.2]),
        )

    def _wait_for_moment(self, ground: Ground) -> None:
        """Wait for a few records, or in some lives for none, and then a random while."""
        if self.dice.random() < 0.8:
            ground.until_accepted(ground.begun() + self.dice.randrange(1, 200))
        time.sleep(self.dice.uniform(0.0, 0.7))  # the moment is what is random here


def cut(ground: Ground, volume: Volume) -> None:
    """Stop everybody at once, lose the power, and leave nobody and nothing in memory."""
    while running := [pid for pid in ground.pids() if not _is_stopped(pid)]:
        for pid in running:
            _send(pid, signal.SIGSTOP)
    volume.cut_power()
    for pid in ground.pids():
        _send(pid, signal.SIGKILL)
    until(lambda: not ground.pids(), "the end of all processes")
    for path in ground.root.iterdir():
        shutil.rmtree(path)


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "TtZX"


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
