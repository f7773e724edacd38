"""
The power is cut at any step of queue, delivery and recovery: no more is gone than may be.

The real producers and the real writer run in this process (tests/support/rig.py) over a directory that keeps,
drops or tears whatever no fsync has covered (pipeline.testing). A cut also ends everybody, and takes what lay
in memory. Between two cuts, writers are killed and days go by. After each cut a writer starts and drains:

    durable     what a producer was told to be on the disk is in the files
    told        of the rest of each producer, what is there is what it emitted first; where something later is
                there too, the stream tells what is missing before it
    once        nothing is there twice
    whole       no line is torn, foreign or never emitted, and `pipeline verify` has no finding
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.accounts import balance
from support.rig import Rig
from support.steps import WRITER_POINTS

from pipeline.testing import FragileDirectory
from pipeline.verification import verify

if TYPE_CHECKING:
    from pipeline.emitter import Emitter

DAY_SEC = 86_400
_PRODUCERS_MAX = 3


class PowerCuts(RuleBasedStateMachine):
    """Producers, a writer, and a plug that is pulled."""

    def __init__(self) -> None:
        super().__init__()
        self.rig: Rig | None = None
        self.emitted: dict[str, list[int]] = {}
        """Tags by producer, in order."""
        self.durable: set[int] = set()
        """Tags that no power cut may take any more."""
        self.next_tag = 0
        self.has_news = False
        """Whether anything was emitted since the last cut: only then another one says anything."""

    @initialize(lanes=st.sampled_from(["memory", "disk", "disk"]))
    def begin(self, lanes: str) -> None:
        """Begin with lanes in memory or on disk."""
        self.rig = Rig(lanes=lanes)
        self.disk = FragileDirectory(self.rig.disk)
        self.disk.__enter__()
        self.rig.producer()

    def teardown(self) -> None:
        """Cut once more, drain, and compare."""
        if self.rig is None:
            return
        try:
            self.cut(random.Random(self.next_tag))
        finally:
            self.disk.__exit__(None, None, None)
            self.rig.close()

    @rule(who=st.integers(0, 9), count=st.integers(1, 12), size=st.sampled_from([0, 30, 300, 900, 5000]))
    def emit(self, who: int, count: int, size: int) -> None:
        """Emit some records."""
        if not self.rig.emitters:
            self.rig.producer()
        emitter = self.rig.emitters[who % len(self.rig.emitters)]
        self.has_news = True
        for _ in range(count):
            self.next_tag += 1
            number = self.rig.emit(emitter, self.next_tag, size)
            assert number, emitter.last_error
            self.emitted.setdefault(_producer_of(emitter), []).append(self.next_tag)

    @rule(times=st.integers(2, 6), size=st.sampled_from([0, 300, 5000]))
    def write_by_and_by(self, times: int, size: int) -> None:
        """Let the writer append some batches, of which the last ones may not be synced."""
        for turn in range(times):
            self.emit(turn, 1 + turn % 3, size)
            self.work(0.1, 1)

    @precondition(lambda self: len(self.rig.emitters) < _PRODUCERS_MAX)
    @rule()
    def new_producer(self) -> None:
        """Start a producer."""
        self.rig.producer()

    @precondition(lambda self: self.rig.emitters)
    @rule(who=st.integers(0, 9), dies=st.booleans())
    def end_a_producer(self, who: int, dies: bool) -> None:
        """End a producer, normally or by a kill; what it was told stays true."""
        self._note_durable()
        emitter = self.rig.emitters[who % len(self.rig.emitters)]
        (self.rig.abandon if dies else self.rig.close_producer)(emitter)

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.1, 1.1, 5.0]), times=st.integers(1, 4))
    def work(self, seconds: float, times: int) -> None:
        """Let time pass and the writer work."""
        if self.rig.writer is None:
            self.rig.start_writer()
        self.rig.pass_time(seconds)
        self.rig.step(times)
        self._note_durable()

    @precondition(lambda self: self.has_news)
    @rule(days=st.sampled_from([1, 1, 2, -1]))
    def days_go_by(self, days: int) -> None:
        """Let records go to another file."""
        self.rig.clock.wall_ns += days * DAY_SEC * 1_000_000_000

    @precondition(lambda self: self.has_news)
    @rule(point=st.sampled_from(WRITER_POINTS), skip=st.integers(0, 2))
    def kill_the_writer(self, point: str, skip: int) -> None:
        """Kill it at a fail point; the power stays on."""
        self.rig.run_until_killed(point, skip, turns=3)
        self._note_durable()

    @precondition(lambda self: self.has_news)
    @rule(seed=st.integers(0, 1 << 30))
    def cut_the_power(self, seed: int) -> None:
        """Cut the power between two steps."""
        self.cut(random.Random(seed))

    @precondition(lambda self: self.has_news)
    @rule(seed=st.integers(0, 1 << 30), point=st.sampled_from(WRITER_POINTS), skip=st.integers(0, 3))
    def cut_the_power_inside(self, seed: int, point: str, skip: int) -> None:
        """Cut it while the writer is at a fail point, if it comes there."""
        self.rig.run_until_killed(point, skip, turns=3)
        self.cut(random.Random(seed), again_at=point if seed % 3 == 0 else "")

    def cut(self, dice: random.Random, again_at: str = "") -> None:
        """Cut the power, also during the recovery if a fail point is given; then drain and compare."""
        self._cut_once(dice)
        if again_at and self.rig.run_until_killed(again_at, 0, turns=3):
            self._cut_once(dice)
        self.rig.drain()
        self._check()
        self.has_news = False

    def _cut_once(self, dice: random.Random) -> None:
        self._note_durable()
        self.rig.kill_writer()
        for emitter in list(self.rig.emitters):
            self.rig.abandon(emitter)
        self.disk.cut_power(dice)
        shutil.rmtree(self.rig.places.runtime_dir, ignore_errors=True)
        self.rig.forget_synced()

    def _note_durable(self) -> None:
        """Note what `emit(durable=True)` would have returned for by now."""
        for emitter in self.rig.emitters:
            for one in emitter.appenders():
                producer = one.lane.producer
                durable = one.lane.positions()[1]
                ends = [self.rig.ends_at[producer, n + 1] for n in range(len(self.emitted.get(producer, ())))]
                tags = zip(self.emitted.get(producer, ()), ends, strict=True)
                self.durable |= {tag for tag, end in tags if end <= durable}

    def _check(self) -> None:
        tags = self.rig.tags()
        repeated = [tag for tag, count in tags.items() if count > 1]
        assert not repeated, f"twice: {repeated}"
        told: dict[str, set[int]] = defaultdict(set)
        for record in self.rig.records():
            if record["action_type"] == "records_dropped":
                first, last = record["first_action_number"], record["last_action_number"]
                told[record["subject"]] |= set(range(first, last + 1))
        for producer, emitted in self.emitted.items():
            last = max((place for place, tag in enumerate(emitted, 1) if tag in tags), default=0)
            missing = {number for number, tag in enumerate(emitted[:last], 1) if tag not in tags}
            assert missing <= told[producer], f"{producer}: not told of {missing - told[producer]}"
        lost = self.durable - set(tags)
        assert not lost, f"lost, and were durable: {sorted(lost)}"
        self.durable |= set(tags)
        invented = set(tags) - {tag for emitted in self.emitted.values() for tag in emitted}
        assert not invented, f"never emitted: {sorted(invented)}"
        report = verify(self.rig.places.log_dir)
        assert report.ok, [finding.sentence for finding in report.findings]
        balance(self.rig, may_be_unknown=True)


def _producer_of(emitter: Emitter) -> str:
    return emitter.appenders()[0].lane.producer


def run(examples: int, steps: int) -> None:
    """Run the machine some times. What it finds is short; to make it shorter still takes minutes."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.reuse, hypothesis.Phase.generate],
    )
    run_state_machine_as_test(PowerCuts, settings=settings)


@pytest.mark.timeout(600)
def test_a_power_cut_at_any_step_loses_nothing_durable() -> None:
    """No sequence of cuts, kills and days loses what was durable, or leaves a torn or repeated record."""
    run(examples=150, steps=12)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_long_histories_of_power_cuts_lose_nothing_durable() -> None:
    """The same for half an hour or so."""
    run(examples=5000, steps=30)
