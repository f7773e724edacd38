"""
Rounds of random crashes: kills at random moments and at random points of everything.

By hand: `python -m tests.crash --rounds 300 --seed 7`, or `python tests/crash/harness.py …`; `--jobs` runs
some beside each other. Every round is a function of its own number and the seed: `--only N` repeats one.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import steps
from support.ground import Ground, Plan
from support.oracle import Verdict
from support.waiting import until

VICTIMS = ("app", "child", "writer", "supervisor", "workers", "all")
_WRITER_POINTS = (
    *steps.WRITER_POINTS,
    "writer.stop.announced",
    "writer.stop.synced",
    "supervisor.locked",
    "supervisor.writer_started",
    "supervisor.leave.before",
    "supervisor.leave.before_remove",
    "supervisor.leave.removed",
)
_EMIT_POINTS = (
    *steps.EMIT_POINTS,
    "emit.append.partial",
    "emit.append.body",
    "emit.append.head",
    "emit.disk.partial",
    "emit.disk.written",
    "emit.lane.made",
    "emit.lane.closing",
)
"""A process has more of them than a rig: it can be killed inside of a store, and it starts and ends."""


@dataclass
class Story:
    """One round: what it was, and how it ended."""

    number: int
    plan: Plan
    kills: list[tuple[float, str]]
    waits: bool = True
    """Whether the kills begin after the first record; else they hit the start."""
    verdict: Verdict = field(default_factory=Verdict)
    points: Counter[str] = field(default_factory=Counter)
    failure: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = " ".join(f"{victim}@{at:.2f}" for at, victim in self.kills)
        armed = f"{self.plan.aim}:{self.plan.failpoint}" if self.plan.failpoint else ""
        return (
            f"round {self.number:4} {'FAILED' if self.failure else 'ok'} {self.seconds:5.1f} s"
            f" accepted {self.verdict.accepted:6} unacknowledged {self.verdict.unacknowledged}"
            f" kills [{kills}] points {dict(self.points)} armed {armed}"
        )


def make_plan(dice: random.Random) -> Plan:
    """Return the application of a round."""
    free = iter(range(20))

    def sources(most: int) -> list[int]:
        return [next(free) for _ in range(dice.randint(1, most))]

    settings = {
        "lanes": dice.choice(["memory", "memory", "disk"]),
        "fsync_interval_sec": dice.choice([0.02, 0.1, 0.5, 1.0]),
        "batch_max_bytes": dice.choice([4096, 16384, 1 << 18, 4 << 20]),
        "queue_max_mb": dice.choice([2, 16, 256, 1024]),
        "queue_full_strategy": dice.choice(["block", "drop_newest", "drop_low"]),
    }
    return Plan(
        main=sources(3),
        forked=[sources(2) for _ in range(dice.randrange(4))],
        spawned=[sources(2) for _ in range(dice.choice([0, 0, 1]))],
        settings=settings,
        seed=dice.randrange(1 << 30),
        burst=dice.choice([1, 10, 60]),
        pause_sec=dice.choice([0.001, 0.004, 0.02]),
        small_chars=dice.choice([2, 300, 3000]),
        big_chars=dice.choice([20_000, 200_000]),
        big_share=dice.choice([0.0, 0.01, 0.1]),
        closes=dice.random() < 0.7,
        **make_aim(dice),
    )


def make_aim(dice: random.Random) -> dict[str, str]:
    """Return which points are armed, and in whom: none in a third of the rounds."""
    kind = dice.random()
    if kind < 0.33:
        return {}
    if kind < 0.5:
        name = dice.choice(_EMIT_POINTS)
        skip = dice.randrange(400) if name.startswith(("emit.append", "emit.disk")) else dice.randrange(4)
        return {"aim": "producers", "failpoint": f"{name}:{skip}:{dice.randint(1, 3)}"}
    # Four kills in a row at most: after each the supervisor waits twice as long.
    names = dice.sample(_WRITER_POINTS, dice.randint(1, 4))
    times = max(1, dice.randint(1, 4) // len(names))
    steps = [f"{name}:{dice.choice([0, 0, 1, 3, 30])}:{times}" for name in names]
    return {"aim": "workers", "failpoint": ",".join(steps)}


def make_story(seed: int, number: int) -> Story:
    """Return a round as it will be played; the same for the same two numbers."""
    dice = random.Random(f"{seed}/{number}")
    plan = make_plan(dice)
    kills = sorted(
        (dice.uniform(0.0, 1.6), dice.choice(VICTIMS))
        for _ in range(dice.randrange(1 if plan.failpoint else 2, 5))
    )
    return Story(number, plan, kills, waits=dice.random() < 0.8)


def strike(ground: Ground, victim: str) -> None:
    """Kill who is meant, wherever that is in its work."""
    if victim == "child":
        ground.kill_children()
    elif victim == "all":
        ground.kill("")
    else:
        for role in ("writer", "supervisor") if victim == "workers" else (victim,):
            ground.kill(role)


def finish(ground: Ground) -> None:
    """Start once more, and again as long as armed workers that still lived were killed meanwhile."""
    for _ in range(9):
        before = len(ground.all_kills())
        ground.finish()
        if len(ground.all_kills()) == before:
            return


def play(story: Story, home: Path) -> Story:
    """Let everything happen, start once more, and judge."""
    begun = time.monotonic()
    try:
        with Ground(home) as ground:
            ground.start(story.plan)
            if story.waits:
                until(lambda: ground.begun() or not ground.pids("app"), "a first record", 60)
            started = time.monotonic()
            for at, victim in story.kills:
                pause = started + at - time.monotonic()
                if pause > 0:
                    time.sleep(pause)  # the moment is what is random here
                strike(ground, victim)
            finish(ground)
            story.points.update(ground.all_kills())
            story.verdict = ground.judge()
            if story.verdict.faults:
                story.failure = "\n".join([*story.verdict.faults, ground.told()])
    except (AssertionError, OSError) as error:
        story.failure = f"{type(error).__name__}: {error}"
    story.seconds = time.monotonic() - begun
    return story


def play_all(seed: int, numbers: range, jobs: int, home: Path, *, is_quiet: bool = False) -> list[Story]:
    """Play some rounds, a few at a time; returns the failed ones."""
    points: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    failed = []

    def one(number: int) -> Story:
        return play(make_story(seed, number), home / f"round{number}")

    with ThreadPoolExecutor(jobs) as pool:
        for story in pool.map(one, numbers):
            points += story.points
            totals.update(victim for _, victim in story.kills)
            totals["records accepted"] += story.verdict.accepted
            totals["records refused"] += story.verdict.refused
            totals["stored without an answer"] += story.verdict.unacknowledged
            if story.failure:
                failed.append(story)
            if story.failure or not is_quiet:
                print(story, story.failure, flush=True)
    print(f"seed {seed}: {len(numbers)} rounds, {len(failed)} failed; {dict(totals)}")
    print(f"kills at points: {dict(sorted(points.items()))}")
    return failed


def main() -> int:
    """Play the rounds that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--only", type=int, help="repeat this one round")
    parser.add_argument("--quiet", action="store_true", help="tell of failures only")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    numbers = range(given.rounds) if given.only is None else range(given.only, given.only + 1)
    with tempfile.TemporaryDirectory(prefix="crash-") as home:
        return 1 if play_all(given.seed, numbers, given.jobs, Path(home), is_quiet=given.quiet) else 0


if __name__ == "__main__":
    sys.exit(main())
