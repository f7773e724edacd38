"""A power cut of everything a ground has: the volume, all processes, and what lay in memory."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support import oracle
from support.ground import Ground, Plan
from support.waiting import until

from pipeline.verification import account, verify

if TYPE_CHECKING:
    import random

    from support.fuse_disk import FuseDisk
    from support.ledger import Row
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
            ground.start(plan(self.dice, life))
            self._wait_for_moment(ground)
            cut(ground, self.volume)
            self.volume.unmount()
            self.volume.mount()
        ground.finish(settings={"lanes": "disk"})
        return ground

    def _wait_for_moment(self, ground: Ground) -> None:
        """Wait for a few records, or in some lives for none, and then a random while."""
        if self.dice.random() < 0.8:
            ground.until_accepted(ground.begun() + self.dice.randrange(1, 200))
        time.sleep(self.dice.uniform(0.0, 0.7))  # the moment is what is random here


def plan(dice: random.Random, life: int = 0) -> Plan:
    """Return the application of a life, with sources of its own."""
    first = life * _SOURCES
    return Plan(
        main=[first, first + 1],
        forked=[[first + 2]],
        settings={
            "lanes": "disk",
            "fsync_interval_sec": dice.choice([0.02, 0.1, 1.0]),
            "batch_max_bytes": dice.choice([4096, 1 << 18, 4 << 20]),
        },
        seed=dice.randrange(1 << 30),
        burst=dice.choice([3, 30]),
        small_chars=dice.choice([30, 300, 3000]),
        big_share=dice.choice([0.0, 0.02]),
        durable_share=dice.choice([0.02, 0.2]),
    )


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


@dataclass
class Flush:
    """What producers had been told by a flush of the disk: the last durable record of each source."""

    count: int
    durable: dict[int, int]


@dataclass
class RowAtCut:
    """A row of the ledger as it stood at a flush; answers given later may be lost."""

    row: Row
    durable: int

    def __getattr__(self, name: str) -> object:
        return getattr(self.row, name)

    def last_durable(self) -> int:
        """Return the last record that was told to be on the disk by then."""
        return self.durable


def watch_flushes(ground: Ground, disk: FuseDisk, count: int) -> list[Flush]:
    """Let producers work until the disk was flushed so often; what they had been told by which flush."""
    told: list[Flush] = []

    def has_enough() -> bool:
        durable = {row.source: row.last_durable() for row in ground.ledger.rows()}
        told.append(Flush(disk.flushes(), durable))
        return told[-1].count >= count

    ground.until(has_enough, f"{count} flushes")
    return told


def judge_cut(ground: Ground, home: Path, volume: Volume, told: list[Flush], flush: int) -> None:
    """Start over the image of a cut, drain, and compare with what producers had been told by then."""
    durable = max((one for one in told if one.count <= flush + 1), key=lambda one: one.count).durable
    with Ground(home) as again:
        again.log_dir = volume.point / "logs"
        again.finish(settings={"lanes": "disk"})
        rows = [RowAtCut(row, durable.get(row.source, 0)) for row in ground.ledger.rows()]
        verdict = oracle.judge(again.log_dir, [*rows, *again.ledger.rows()], after_power_loss=True)
        report = verify(again.log_dir)
        assert not verdict.faults, "\n".join([*verdict.faults, again.told()])
        assert report.ok, [finding.sentence for finding in report.findings]
        faulty = [one for one in account(again.log_dir).faulty if one.emitted is not None]
        assert not faulty, [one.sentence for one in faulty]
