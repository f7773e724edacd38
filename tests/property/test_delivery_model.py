"""
The queue and its delivery against a plain list: each accepted record is in the files once, whatever happens.

The real producers and the real writer run in this process over tiny segments and tiny batches
(tests/support/rig.py). The model is the list of what `emit()` accepted. Some rules make the guarantee
weaker, and say by how much:

    a person deletes a file        what was durable in it is gone; what was not is written again, unless the
                                   writer is killed before it has looked
    a person truncates a file      what stood behind the cut is gone
    the runtime directory is       nothing is lost while the writer lives; a writer that is killed before it
    removed                        has written what the removed lanes held loses that
    the power is cut               what was not durable may be gone, but for what disk lanes hold

Foreign bytes, moved files, full disks, lost pages and checkpoints, clocks that jump and kills at any fail
point make it no weaker.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.accounts import balance
from support.damage import DAMAGES
from support.rig import Killed, Rig
from support.steps import EMIT_POINTS, WRITER_POINTS
from support.witness import durable_tags, records_among, tags_in_disk_lanes, tags_in_files, tags_of

from pipeline.host import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.emitter import Emitter

DAY_SEC = 86_400.0
_PRODUCERS_MAX = 4


class Delivery(RuleBasedStateMachine):
    """Producers, a writer that is killed and started again, and a person with a shell."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.accepted: dict[int, Emitter] = {}
        self.may_be_lost: set[int] = set()
        self.half_emitted: set[int] = set()
        """Records whose producer was killed inside emit(): they may be there, once."""
        self.is_disordered = False
        """Records were written again behind later ones, because of what a person did to a file."""
        self.has_tampered = False
        """Somebody took away what was stored, or what says how much was emitted."""
        self.lost_lanes: set[str] = set()
        """Producers whose place in memory was removed under them."""
        self.unlooked: set[int] = set()
        """Records in a file that a person deleted, until the writer has looked."""
        self.next_tag = 0

    @initialize(lanes=st.sampled_from(["memory", "disk"]))
    def begin(self, lanes: str) -> None:
        """Begin with lanes in memory or on disk."""
        self.rig.close()
        self.rig = Rig(lanes=lanes)
        self.rig.producer()

    def teardown(self) -> None:
        """Drain, and compare."""
        try:
            self.rig.drain()
            self.check()
        finally:
            self.rig.close()

    # -- producers

    @rule(
        who=st.integers(0, 99),
        count=st.integers(1, 12),
        size=st.sampled_from([0, 0, 30, 300, 900, 5000, 20_000]),
    )
    def emit(self, who: int, count: int, size: int) -> None:
        """Emit some records of one size."""
        if not self.rig.emitters:
            self.rig.producer()
        emitter = self.rig.emitters[who % len(self.rig.emitters)]
        for _ in range(count):
            tag = self._tag()
            assert self.rig.emit(emitter, tag, size), emitter.last_error
            self.accepted[tag] = emitter

    @rule(who=st.integers(0, 99), point=st.sampled_from(EMIT_POINTS), size=st.sampled_from([0, 900, 5000]))
    def kill_a_producer_in_emit(self, who: int, point: str, size: int) -> None:
        """Kill a producer between any two steps of making a segment or a lane."""
        rig = self.rig
        if not rig.emitters or point.startswith("emit.lane"):
            rig.producer()
            who = -1
        emitter = rig.emitters[who % len(rig.emitters)]
        rig.aim = (point, 0)
        try:
            for _ in range(6):
                tag = self._tag()
                self.half_emitted.add(tag)
                if rig.emit(emitter, tag, size):
                    self.half_emitted.discard(tag)
                    self.accepted[tag] = emitter
        except Killed:
            rig.abandon(emitter)
        rig.aim = ("", 0)

    @precondition(lambda self: len(self.rig.emitters) < _PRODUCERS_MAX)
    @rule()
    def new_producer(self) -> None:
        """Start a producer."""
        self.rig.producer()

    @precondition(lambda self: self.rig.emitters)
    @rule(who=st.integers(0, 99), dies=st.booleans())
    def end_a_producer(self, who: int, dies: bool) -> None:
        """End a producer, normally or by a kill."""
        emitter = self.rig.emitters[who % len(self.rig.emitters)]
        (self.rig.abandon if dies else self.rig.close_producer)(emitter)

    @rule(share=st.sampled_from([0, 3000, 1 << 40]))
    def squeeze_memory(self, share: int) -> None:
        """Segments go to disk when memory has no room, and back."""
        self.rig.memory_share = share

    # -- the writer

    @rule(times=st.integers(1, 4))
    def pump(self, times: int) -> None:
        """Let the writer work."""
        self._start()
        self.rig.step(times)

    @rule(seconds=st.sampled_from([0.3, 1.1, 5.0]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass, so that what is written is synced and released."""
        self.rig.pass_time(seconds)
        self.rig.step(2)
        self._looked()

    @rule(days=st.sampled_from([-1, 1, 1, 2]))
    def clock_jumps(self, days: int) -> None:
        """To another day, and back: records go to the file of their own timestamp."""
        self.rig.clock.wall_ns += int(days * DAY_SEC) * 1_000_000_000

    @rule()
    def kill_the_writer(self) -> None:
        """Kill the writer between two passes."""
        self._kill()

    @rule(point=st.sampled_from(WRITER_POINTS), skip=st.integers(0, 3))
    def kill_the_writer_inside(self, point: str, skip: int) -> None:
        """At a fail point; if it was killed, the next one may be killed at one of its own."""
        before = self._not_in_files()
        if self.rig.run_until_killed(point, skip):
            self._note_death(before)

    @rule(room=st.integers(0, 3000), turns=st.integers(1, 4))
    def disk_is_full(self, room: int, turns: int) -> None:
        """Let the day file take a part of a batch and no more; then it has room again."""
        self._start()
        self.rig.faults.room = room
        for _ in range(turns):
            self.rig.step()
            self.rig.pass_time(1.1)
        self.rig.faults.room = None

    @precondition(lambda self: self.rig.writer is None)
    @rule(damage=st.sampled_from(DAMAGES))
    def lose_the_control_page(self, damage: Callable[[Path], None]) -> None:
        """Lose it while no writer lives: gone, torn, or full of anything."""
        page = self.rig.places.runtime("control")
        if page.exists():
            damage(page)

    @precondition(lambda self: self.rig.writer is None)
    @rule()
    def lose_the_checkpoint(self) -> None:
        """Remove the checkpoint while no writer lives."""
        (self.rig.places.state_dir / "checkpoint.json").unlink(missing_ok=True)

    # -- a person with a shell

    @rule(
        which=st.integers(0, 9), noise=st.sampled_from([b"noise\n", b"noise", b'{"a":1}\n', b"\n", b"\0\0\0"])
    )
    def foreign_bytes(self, which: int, noise: bytes) -> None:
        """Write into a day file."""
        path = self._day_file(which)
        if path is not None:
            with path.open("ab") as file:
                file.write(noise)

    @rule(which=st.integers(0, 9))
    def move_a_file(self, which: int) -> None:
        """As logrotate does; the records in it are not written again."""
        path = self._day_file(which)
        if path is not None:
            path.rename(path.with_name(f"{path.name}.moved{self._tag()}"))
            self.has_tampered = True

    @rule(which=st.integers(0, 9))
    def delete_a_file(self, which: int) -> None:
        """Delete a day file."""
        path = self._day_file(which)
        if path is None:
            return
        inside = set(tags_of(path))
        durable = inside & durable_tags(self.rig)
        self.may_be_lost |= inside if self.rig.writer is None else durable
        self.unlooked |= inside
        self.is_disordered = self.has_tampered = True
        path.unlink()

    @rule(which=st.integers(0, 9), part=st.floats(0, 1))
    def truncate_a_file(self, which: int, part: float) -> None:
        """Cut a day file, anywhere."""
        path = self._day_file(which)
        if path is None:
            return
        whole = set(tags_of(path))
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * part))
        self.may_be_lost |= whole - set(tags_of(path))
        self.is_disordered = self.has_tampered = True

    @precondition(lambda self: self.rig.writer is not None)
    @rule()
    def remove_the_runtime_directory(self) -> None:
        """With producers alive, and a writer that has had a look at all they have emitted so far."""
        self.rig.step()
        self.has_tampered = True
        self.lost_lanes |= set(files.names_in(self.rig.places.lanes_dir))
        shutil.rmtree(self.rig.places.runtime_dir, ignore_errors=True)

    @rule()
    def cut_the_power(self) -> None:
        """No process is left, memory is empty, and of the files there is what was synced."""
        rig = self.rig
        self._kill()
        for emitter in list(rig.emitters):
            rig.abandon(emitter)
        on_disk = tags_in_disk_lanes(self.rig)
        self.may_be_lost |= {
            tag for tag in self.accepted if tag not in on_disk and tag not in durable_tags(self.rig)
        }
        for path in rig.day_files():
            with path.open("r+b") as file:
                file.truncate(min(path.stat().st_size, rig.synced.get(path.stat().st_ino, 0)))
        shutil.rmtree(rig.places.runtime_dir, ignore_errors=True)
        self.is_disordered = self.has_tampered = True

    @invariant()
    def positions_are_sound(self) -> None:
        """Look at positions after every step."""
        self.rig.check_positions()

    @invariant()
    def accounts_balance(self) -> None:
        """Find every record after every step, wherever it is on its way."""
        if not self.has_tampered and self.rig.places.log_dir.is_dir():
            balance(self.rig)

    def check(self) -> None:
        """After a drain: each accepted record once, in order per producer, numbers without a gap."""
        tags = tags_in_files(self.rig)
        repeated = [tag for tag, count in tags.items() if count > 1]
        assert not repeated, f"twice: {repeated}"
        lost = set(self.accepted) - set(tags) - self.may_be_lost
        assert not lost, f"lost: {sorted(lost)}"
        invented = set(tags) - set(self.accepted) - self.half_emitted
        assert not invented, f"never emitted: {sorted(invented)}"
        if not self.is_disordered:
            self._check_order()

    def _check_order(self) -> None:
        numbers: dict[str, list[int]] = {}
        for lines in self.rig.lines().values():
            here: dict[str, int] = {}
            for record in records_among(lines):
                producer, number = record["producer"], record["action_number"]
                assert number > here.get(producer, 0), f"{producer}: {number} behind {here[producer]}"
                here[producer] = number
                numbers.setdefault(producer, []).append(number)
        for producer, found in numbers.items():
            assert sorted(found) == list(range(1, len(found) + 1)), f"{producer}: a gap in {sorted(found)}"

    def _tag(self) -> int:
        self.next_tag += 1
        return self.next_tag

    def _start(self) -> None:
        if self.rig.writer is None:
            self.rig.start_writer()

    def _kill(self) -> None:
        before = self._not_in_files()
        was_alive = self.rig.writer is not None
        self.rig.kill_writer()
        if was_alive:
            self._note_death(before)

    def _note_death(self, not_in_files: set[int]) -> None:
        """Note that what only the dead writer held, in descriptors of removed lanes and files, is gone."""
        if self.lost_lanes:
            self.may_be_lost |= not_in_files | self._not_in_files()
        self.may_be_lost |= self.unlooked
        self.lost_lanes = set()
        self.unlooked = set()

    def _looked(self) -> None:
        if self.rig.writer is not None and not self.rig.writer.append_error:
            self.unlooked = set()

    def _day_file(self, which: int) -> Path | None:
        found = [path for path in self.rig.day_files() if path.name.endswith(".jsonl")]
        return found[which % len(found)] if found else None

    def _not_in_files(self) -> set[int]:
        return set(self.accepted) - set(tags_in_files(self.rig))


def run(examples: int, steps: int) -> None:
    """Run the machine some times."""
    settings = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, suppress_health_check=list(hypothesis.HealthCheck)
    )
    run_state_machine_as_test(Delivery, settings=settings)


@pytest.mark.smoke
def test_a_short_history_loses_and_repeats_nothing() -> None:
    """A few short sequences of kills, full disks, lost pages and a person with a shell."""
    run(examples=15, steps=10)


@pytest.mark.timeout(600)
def test_each_accepted_record_is_in_the_files_once() -> None:
    """No sequence of kills, full disks, lost pages and a person with a shell loses or repeats a record."""
    run(examples=120, steps=20)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_long_histories_lose_and_repeat_nothing() -> None:
    """The same for half an hour or so."""
    run(examples=20_000, steps=40)
