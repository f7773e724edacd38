"""
One lane against a plain list: what the appender puts in, the tailer takes out, byte for byte and in order.

Without a writer: batches of any size, releases at any moment, memory and disk in turn, days that come and go.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.rig import Rig

from pipeline.queue.layout import position
from pipeline.queue.tailer import Slice, Tailer
from pipeline.storage import stored

if TYPE_CHECKING:
    from pipeline.queue.lane import Lane

_OPENING = b'Z","action_type":"work","action_number":'
_DAY_NS = 86_400 * 1_000_000_000


class Queue(RuleBasedStateMachine):
    """An appender and a tailer."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()

    @initialize(lanes=st.sampled_from(["memory", "disk"]))
    def begin(self, lanes: str) -> None:
        """Begin with a lane whose first segment is in memory or on disk."""
        self.rig.close()
        self.rig = Rig(lanes=lanes)
        emitter = self.rig.producer()
        emitter.open_lane()
        self.appender = emitter.appenders()[0]
        self.tailer = Tailer(self.lane.producer, [])
        self.put: list[tuple[int, bytes]] = []
        self.taken: list[bytes] = []
        self.number_taken = 0

    def teardown(self) -> None:
        """Take everything, and compare."""
        try:
            self.rig.memory_share = 1 << 40
            self.appender.close()
            self._look_for_directories()
            self.tailer.open_all()
            self.tailer.is_ended = True
            while self._take(1 << 20):
                continue
            assert self.number_taken == len(self.put)
            assert self.tailer.last_number() == len(self.put)
            self.tailer.durable = self.tailer.written
            assert self.tailer.is_done()
        finally:
            self.tailer.close()
            self.rig.close()

    @property
    def lane(self) -> Lane:
        """The lane on the file system."""
        return self.appender.lane

    @rule(size=st.sampled_from([0, 5, 100, 700, 1500, 9000]), count=st.integers(1, 8))
    def append(self, size: int, count: int) -> None:
        """Put records in."""
        for _ in range(count):
            rest = b'"fill":"%b"}' % (b"x" * size)
            number = self.appender.append(_OPENING, rest, False)
            assert number == len(self.put) + 1
            self.put.append((number, rest))

    @rule(bytes_max=st.sampled_from([1, 200, 3000, 1 << 20]))
    def take(self, bytes_max: int) -> None:
        """Take what leads, up to a size, as a batch does."""
        self._take(bytes_max)

    @rule()
    def make_durable_and_release(self) -> None:
        """Give back what is durable to its end."""
        self.tailer.durable = self.tailer.written
        held = len(self.tailer.segments)
        assert self.tailer.release(with_disk=True) == held - len(self.tailer.segments)

    @rule(share=st.sampled_from([0, 2500, 1 << 40]))
    def squeeze_memory(self, share: int) -> None:
        """Let segments go elsewhere."""
        self.rig.memory_share = share

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 70.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass: segments shrink when it is quiet."""
        self.rig.pass_time(seconds)

    @rule(days=st.sampled_from([-1, 1]))
    def change_the_day(self, days: int) -> None:
        """Move the clock by a day."""
        self.rig.clock.wall_ns += days * _DAY_NS

    @precondition(lambda self: self.lane.memory_dir is not None)
    @rule()
    def remove_the_lane(self) -> None:
        """Remove its directory in memory, when the tailer has seen all of it."""
        self._look_for_directories()
        self.tailer.keep_up()
        shutil.rmtree(self.lane.memory_dir, ignore_errors=True)
        self.rig.pass_time(1.0)

    @invariant()
    def the_position_is_never_past_the_head(self) -> None:
        """Compare the two ends."""
        assert self.tailer.durable <= self.tailer.written <= max(self.appender.end_position(), position(0, 0))
        assert self.appender.last_number() == len(self.put)

    def _look_for_directories(self) -> None:
        for directory in (self.lane.memory_dir, self.lane.disk_dir):
            if directory is not None and directory not in self.tailer.directories:
                self.tailer.directories.append(directory)

    def _take(self, bytes_max: int) -> int:
        self._look_for_directories()
        self.tailer.keep_up()
        found = self.tailer.pending(bytes_max)
        for period, piece in found:
            self._compare(period, piece)
            self.tailer.advance_written(piece)
        return len(found)

    def _compare(self, period: str, piece: Slice) -> None:
        data = self.tailer.read(piece)
        assert len(data) == piece.length
        assert data.endswith(b"\n")
        for line in data.splitlines(keepends=True):
            number, rest = self.put[self.number_taken]
            assert stored.number_of(line) == number
            assert line.endswith(rest + b"\n")
            assert line[len('{"timestamp":"') :].startswith(period.encode())
            self.number_taken += 1


def test_what_is_put_into_a_lane_comes_out_of_it() -> None:
    """Whole lines, in order, each once, each in a slice of its own day."""
    settings = hypothesis.settings(
        max_examples=120, stateful_step_count=25, suppress_health_check=list(hypothesis.HealthCheck)
    )
    run_state_machine_as_test(Queue, settings=settings)
