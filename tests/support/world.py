"""
A world for simulations: a rig whose volume breaks, whose fallback refuses, whose processes die at any call.

It plays a script (tests/support/script.py), step by step. Other processes than the writer are played beside
it: a `pipeline replay-fallback`, a keeper, and a stand-in for a writer that hangs in a call. A step may be
interrupted at any of its calls: other steps are played meanwhile, then the process goes on, or dies before
the call, in the middle of it, or behind it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from support import keeping
from support.accounts import balance
from support.actors import Actor, Actors
from support.broken_volume import BrokenVolume
from support.calls import Calls
from support.departures import Departures
from support.packing import drafts
from support.rig import Killed, Rig, _drop_lanes
from support.script import Step
from support.unpacking import content, one_form_each

from pipeline import launch
from pipeline.cli import replay_run
from pipeline.cli.replay_run import StoreRun, scope_of
from pipeline.delivery import backoff
from pipeline.errors import PipelineError
from pipeline.host import clock, files
from pipeline.keeping import goodbyes
from pipeline.queue import bell
from pipeline.storage import fallback_file, fallback_places
from pipeline.verification import verify
from workers.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


DAY_SEC = 86_400
PRODUCERS_MAX = 3
_COMMANDS_MAX = 2
_STOP_TURNS = 60
_TROUBLES = ("", "full", "locked", "broken")
_PLAIN = Step("work")


class World(Rig):
    """A rig with a volume. `is_point` says whether it is mounted at the log directory itself, or above it."""

    def __init__(self, *, is_point: bool = False, **settings: Any) -> None:
        self.actors = Actors()
        self._is_point = is_point
        self._writer_actor = Actor("writer")
        self._producers = Actor("producers")
        self._frozen: list[tuple[Any, Actor, bool]] = []
        """Writers that are stopped in a call, and whether they are condemned to die of it."""
        self._commands = 0
        self._rung = b""
        self._next_tag = 0
        super().__init__(**settings)

    # -- the steps of a script

    def play(self, steps: Sequence[Step]) -> None:
        """Play some steps."""
        for step in steps:
            with self.actors.turn_of(self.actors.nobody):
                getattr(self, f"_do_{step.name}")(step, *step.numbers)

    def end(self) -> None:
        """Make everything well, let a writer work, and see that each accepted record is there, once."""
        self.heal()
        if self.writer is not None and self.writer.is_stand_in:
            self.kill_writer()
        self.drain()
        self.judge()
        self._do_keep(_PLAIN, 0)
        assert not drafts(self.places.log_dir), "a keeper has left a copy that is not finished"
        self.drain()
        self.judge()

    def heal(self) -> None:
        """Make everything well."""
        self.volume.heal()
        self.calls.fallback_trouble = ""

    def judge(self) -> None:
        """Compare what was accepted with what is there."""
        left = self.departures.left()
        assert not self.departures.untold(), f"left without a word: {self.departures.untold()}"
        there, accepted = self.tags(), Counter(self.tags_emitted)
        assert not accepted - there, f"lost: {sorted((accepted - there).elements())}"
        assert not there - accepted, f"twice: {sorted((there - accepted).elements())}"
        assert not any(scope_of(store, "") for store in self._stores()), "rows are left in the fallback store"
        report = verify(self.places.log_dir)
        assert report.ok, [finding.sentence for finding in report.findings]
        expired = balance(self).sums["expired"]
        assert expired == sum(map(len, left.values())), f"{expired} expired, and gone are {left}"

    def lines(self) -> dict[str, list[bytes]]:
        """Return the whole lines of each file, packed ones and those that a keeper has let go among them."""
        paths = one_form_each(self.day_files())
        found = {path.name: content(path).splitlines(keepends=True) for path in paths}
        return found | self.departures.left()

    def _do_emit(self, _: Step, who: int, count: int, size: int) -> None:
        with self.actors.turn_of(self._producers):
            if not self.emitters:
                self.producer()
            for _ in range(count):
                self._next_tag += 1
                self.emit(self.emitters[who % len(self.emitters)], self._next_tag, size)

    def _do_producer(self, _: Step) -> None:
        with self.actors.turn_of(self._producers):
            if len(self.emitters) < PRODUCERS_MAX:
                self.producer()

    def _do_end_producer(self, _: Step, who: int, dies: int) -> None:
        with self.actors.turn_of(self._producers):
            if self.emitters:
                emitter = self.emitters[who % len(self.emitters)]
                (self.abandon if dies else self.close_producer)(emitter)

    def _do_work(self, step: Step, turns: int, tenths: int) -> None:
        """Let the writer work, or start one first."""
        if self.writer is None and not self._may_start():
            return
        with self._writing(step):
            if self.writer is None:
                super().start_writer()
            for _ in range(turns):
                self.pass_time(tenths / 10)
                self._turn()

    def _do_kill(self, _: Step) -> None:
        """Kill the writer, or one that is stopped in a call."""
        if self.writer is not None:
            self.kill_writer()
        elif self._frozen and not self._frozen[-1][2]:
            self.actors.free(self._frozen[-1][1])

    def _do_stop(self, step: Step) -> None:
        """SIGTERM: the writer delivers what is queued, if that can be, and ends."""
        if self.writer is not None:
            with self._writing(step):
                for _ in range(_STOP_TURNS):
                    if self.writer is not None:
                        self.writer.stop_signal = 15
                        self.pass_time(0.5)
                        self._turn()

    def _do_command(self, step: Step) -> None:
        """Run `pipeline replay-fallback`."""
        self._beside(Actor(f"command {self._commands}"), step, self._replay_all)

    def _do_keep(self, step: Step, which: int) -> None:
        """Let a keeper pack what is sealed, and let leave what one of `LIMITS` has too much."""

        def keep() -> None:
            keeping.run(self.places, self.settings, keeping.LIMITS[which])

        self._beside(Actor("keeper"), step, keep)

    def _beside(self, actor: Actor, step: Step, act: Callable[[], None]) -> None:
        """Play another process than the writer, all its life."""
        if self._commands >= _COMMANDS_MAX:
            return
        self._arm(actor, step)
        self._commands += 1
        try:
            with self.actors.turn_of(actor):
                act()
        except Killed:
            pass
        finally:
            self._commands -= 1
            self.actors.bury(actor, self._is_closed_by_kernel)

    def _do_jump(self, _: Step, seconds: int) -> None:
        """Set the wall clock."""
        self.clock.wall_ns += seconds * clock.NANO

    def _do_days(self, _: Step, days: int) -> None:
        self.clock.wall_ns += days * DAY_SEC * clock.NANO

    def _do_full(self, _: Step, room: int) -> None:
        self.volume.room = room

    def _do_free(self, _: Step) -> None:
        self.volume.room = None

    def _do_unmount(self, _: Step) -> None:
        self.volume.unmount()

    def _do_mount(self, _: Step, is_elsewhere: int) -> None:
        """Mount it again; who has files open there keeps its number from changing."""
        is_held = self.actors.has_open(self.volume.holds)
        self.volume.mount(is_elsewhere=bool(is_elsewhere) and not is_held)

    def _do_read_only(self, _: Step, is_so: int) -> None:
        self.volume.is_read_only = bool(is_so)

    def _do_forbid(self, _: Step, is_so: int) -> None:
        self.volume.forbidden = {path.stat().st_ino for path in self.day_files()} if is_so else set()

    def _do_write_errors(self, _: Step, count: int) -> None:
        self.volume.write_errors = count

    def _do_sync_errors(self, _: Step, count: int, loses: int) -> None:
        self.volume.sync_errors, self.volume.loses_pages = count, bool(loses)

    def _do_fallback(self, _: Step, trouble: int) -> None:
        self.calls.fallback_trouble = _TROUBLES[trouble]

    def _do_heal(self, _: Step) -> None:
        self.heal()

    # -- the writer

    def start_writer(self) -> None:
        """Start a writer over what is in the files."""
        with self._writing(_PLAIN):
            super().start_writer()

    def step(self, times: int = 1) -> None:
        """Let the writer make some passes of its main loop."""
        for _ in range(times):
            if self.writer is not None:
                with self._writing(_PLAIN):
                    self._turn(may_leave=False)

    def kill_writer(self) -> None:
        """Kill the writer between two passes."""
        dead, self.writer = self.writer, None
        self._throw_away(dead, self._writer_actor)

    def _turn(self, *, may_leave: bool = True) -> None:
        """Make one pass of the main loop, and leave as the loop does."""
        if self.writer is None:
            return
        self._sleeps = 0
        rung, self._rung = self._rung, b""
        writer = self.writer
        writer.replayer.hear(rung)
        writer.step()
        if may_leave and writer._exit_code() is not None:
            self.kill_writer()

    def _may_start(self) -> bool:
        """Whether a supervisor would start a writer: behind one that is only stopped it does not."""
        return all(is_condemned or actor.is_dead for _, actor, is_condemned in self._frozen)

    @contextmanager
    def _writing(self, step: Step) -> Iterator[None]:
        """Let the writer act, a new one if there is none, with the interruption of a step."""
        if self.writer is None:
            living = [one for one in self._frozen if not one[1].is_dead]
            self._writer_actor = Actor("stand-in" if living else "writer")
            self.stand_in = StandIn(lambda: all(one[1].is_dead for one in living)) if living else None
        actor = self._writer_actor
        self._arm(actor, step)
        try:
            with self.actors.turn_of(actor):
                yield
        except Killed:
            assert actor.is_dead
            things = actor.things
            if not things:  # it was not interrupted, or lives on: it is the one there is
                things, self.writer = [self.writer], None
            self._throw_away(things[0], actor)
        finally:
            actor.aim = 0

    def _arm(self, actor: Actor, step: Step) -> None:
        if step.at:
            actor.arm(step.at, step.how, lambda: self._interrupt(actor, step))

    def _interrupt(self, actor: Actor, step: Step) -> None:
        """Play the inner steps while an actor is stopped in a call."""
        if actor is not self._writer_actor:
            self.play(step.inner)
            return
        held, self.writer = self.writer, None
        self._frozen.append((held, actor, bool(step.how)))
        try:
            self.play(step.inner)
        finally:
            self._frozen.pop()
        if step.how or actor.is_dead:
            actor.things = [held]
        else:
            self.writer, self._writer_actor = held, actor

    def _throw_away(self, dead: Any, actor: Actor) -> None:
        """Throw a dead writer's objects away; what is in the files stays."""
        with self.actors.turn_of(self.actors.nobody):
            for lane in dead.lanes.all() if hasattr(dead, "lanes") else ():
                lane.tailer.close()
            if hasattr(dead, "_own"):
                _drop_lanes(dead._own)
            if dead is not None:
                dead._footing.grip.close()
            self.actors.bury(actor, self._is_closed_by_kernel)

    def _is_closed_by_kernel(self, path: str) -> bool:
        """Whether nothing of Python's closes a descriptor: a segment has a mapping that does."""
        return path.startswith(str(self.home)) and not path.endswith((".seg", ".taken", ".new"))

    # -- commands

    def _stores(self) -> list[Path]:
        return fallback_places.stores(self.places, self.settings.fallback_dir)

    def _replay_all(self) -> None:
        for store in self._stores():
            scope = scope_of(store, "")
            if scope is not None:
                with suppress(PipelineError):
                    StoreRun(store, self.places, self.settings, scope, 0, lambda _: None).run()

    # -- how it is put in place

    def _put_in_place(self) -> None:
        if self._is_point:
            self.places.log_dir.mkdir()
        self.volume = BrokenVolume(str(self.places.log_dir if self._is_point else self.disk))
        self.synced = self.volume.synced
        self.departures = Departures(self.places, self._names_of_log_dir())
        super()._put_in_place()
        change = self.patch.setattr
        change(launch, "writer_pid", lambda _: self._pid_of_writer())
        change(bell, "ring", self._ring)
        change(backoff, "random", random.Random(1))
        change(fallback_file, "FALLBACK_BUSY_SEC", 0.0)
        change(replay_run, "_STANDSTILL_SEC", 3.0)
        change(goodbyes, "PATIENCE_SEC", 2.0)
        change(goodbyes, "_POLL_SEC", 0.2)
        letters = random.Random(2)
        change(os, "urandom", letters.randbytes)

    def _change_system_calls(self, change: Callable[..., None]) -> None:
        self.calls = Calls(str(self.home), self.volume, self.actors)
        self.calls.parting = self.departures.see
        self.calls.put_in_place(change)

    def _names_of_log_dir(self) -> set[str]:
        point, place = self.volume.point, str(self.places.log_dir)
        return {place, f"{point}.away{place.removeprefix(point)}"}

    def _has_work(self) -> bool:
        """Whether it is at work; a cut mark that nobody else needs is worked off with the next probe."""
        return super()._has_work() or bool(self.writer.pump.retreat.cuts)

    def _pid_of_writer(self) -> int | None:
        is_there = self.writer is not None or not self._may_start()
        return os.getpid() if is_there else None

    def _ring(self, _: object, what: bytes = b"") -> None:
        self._rung += what

    def _reach(self, name: str) -> None:
        how = self.actors.call("point", name)
        super()._reach(name)
        if how:
            self.actors.die(name)

    def _slept(self, seconds: float) -> None:
        """While a command or a keeper waits, the writer works."""
        super()._slept(seconds)
        if self.actors.current.name.startswith(("command", "keeper")) and self.writer is not None:
            with self.actors.turn_of(self.actors.nobody), self._writing(_PLAIN):
                self._turn()

    def _close_what_nobody_holds(self) -> None:
        """Leave it to `Actors.bury`."""

    def _holder_of(self, fd: int) -> int | None:
        asked = files.identity_of(fd)
        emitters = [*self.emitters, *(one[0]._own for one in self._frozen if hasattr(one[0], "_own"))]
        locks = [lock for one in emitters for lane in one.appenders() for lock in _locks_of(lane)]
        return os.getpid() if asked in {files.identity_of(lock.fd) for lock in locks} else None


def _locks_of(appender: Any) -> list[Any]:
    found = (appender.lane._lock, appender.lane._disk_lock)
    return [lock for lock in found if lock is not None and lock.fd >= 0]
