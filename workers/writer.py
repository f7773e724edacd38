"""
The writer: the one process that appends to the day files of an instance.

Its main loop is `step()`: look into the lanes, append, sync when due, finish lanes that ended, say how it is.
It does nothing to a file without the append lock; while it has not got that, it writes to the fallback.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

from pipeline import launch
from pipeline.delivery import control, recovery
from pipeline.delivery.checkpoint import Checkpoint
from pipeline.delivery.control import ControlPage
from pipeline.delivery.delivery import Delivery
from pipeline.delivery.leftovers import Leftovers
from pipeline.delivery.pump import Pump
from pipeline.emitter import Emitter
from pipeline.errors import FallbackError, LaneError
from pipeline.host import clock, failpoint, files, seats
from pipeline.limits import POLL_BUSY_SEC, POLL_IDLE_SEC
from pipeline.queue import adoption, bell
from pipeline.queue.lanes import CLOSED, Lanes
from pipeline.storage.days import Days
from workers import statement
from workers.announcer import Announcer
from workers.counted import Counted
from workers.finisher import Finisher
from workers.footing import Footing, fallback_for, is_pressed, remember_files
from workers.memory import Memory
from workers.policy import EXIT_DONE, EXIT_REPLACE
from workers.pulse import Pulse
from workers.replayer import Replayer
from workers.seating import Seating
from workers.upkeep import Upkeep

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from workers.journal import Journal
    from workers.stand_in import StandIn

IDLE_LINGER_SEC: Final = 0.7
"""How long the writer stays when nobody is left: the next process of a shell loop finds it still there."""
_STATUS_SEC: Final = 0.5
_RETRY_SEC: Final = 1.0
_LOCK_POLL_SEC: Final = 0.05
_LOCK_PATIENCE_SEC: Final = 1.0
"""How long a writer waits for the append lock before it begins without: its predecessor may be dying."""
_LAST_TRIES: Final = 3
"""At the end: files refuse a batch, the fallback takes it, and what is behind it is tried once more."""


class Writer:
    """One life of the writer process."""

    def __init__(
        self,
        places: Places,
        settings: Settings,
        journal: Journal,
        *,
        is_service: bool,
        stand_in: StandIn | None = None,
    ) -> None:
        self.home = places
        """The places by their names; `places` are those that may be touched."""
        self.is_stand_in = stand_in is not None
        self._stand_in = stand_in
        self.places = places.out_of_reach() if stand_in else places
        self.settings = settings
        self.journal = journal
        self.is_service = is_service
        self.state = "starting"
        self.recovered_by = ""
        self.wants_sync = False
        self.wants_reopen = False
        self.stop_signal = 0
        self.pulse = Pulse(places)
        self.beat = self.pulse.beat
        self._footing = Footing(self.places, settings, is_stand_in=self.is_stand_in)
        journal.named = self._footing.grip.named
        self._synced_at = clock.monotonic()
        self._status_at = 0.0
        self._alone_since = 0.0
        self._stop_by = 0.0
        self._is_abandoned = False
        self._memory = Memory(settings)
        self.counted = Counted(before=files.read_json(places.runtime("writer.json")) or {})

    @property
    def append_error(self) -> str:
        """Why files refuse, empty while they do not."""
        return self.journal.named(self.delivery.error if hasattr(self, "delivery") else self._footing.error)

    @property
    def append_lock_holder(self) -> str:
        """Which other process keeps the files from us, empty when none does."""
        return self._footing.lock_holder

    def acquire_append_lock(self) -> bool:
        """
        Wait a moment for the lock that keeps everybody else out of our files, then go on without.

        False when a writer has it that was here before us, and lost its seat with the runtime directory.
        """
        give_up_at = clock.monotonic() + (0.0 if self.is_stand_in else _LOCK_PATIENCE_SEC)
        while not self._footing.try_acquire() and clock.monotonic() < give_up_at:
            self.state = self._footing.waits_for
            if seats.has_lost(self._footing.lock_pid, self.home.runtime("writer.lock")):
                return False  # it goes on, and has the seat when we have left
            self.beat()
            self._say()
            self._watch_supervisor()
            clock.sleep(_LOCK_POLL_SEC)
        return True

    def recover(self, cause: str, restarts: int) -> None:
        """Take over from the last writer; without the append lock, only what needs no file."""
        self.state = "recovering"
        self._own = Emitter(self.places, self.settings, role="writer")
        self._own.open_lane()
        self.lanes = Lanes(self.places, self.is_own, sees_all=self._footing.sees_all_lanes)
        instance, grip = self._footing.instance, self._footing.grip
        self.checkpoint = Checkpoint(grip.places.state_dir, instance)
        self.days = Days(grip, self.settings, instance, self._note_file_change)
        if self.is_stand_in:
            control.detach(self.places.runtime("control"))
        self.page = ControlPage(self.places.runtime("control"))
        self.fallback = fallback_for(
            self.home,
            self.settings,
            instance,
            is_stand_in=self.is_stand_in,
            beat=self.beat,
            note=self.journal.note,
        )
        self.pump = Pump(
            self.lanes, self.page, self.days, self.checkpoint, self.settings, self.fallback, self.beat
        )
        self.delivery = Delivery(
            self.pump,
            self.settings,
            probe=lambda: self._footing.probe(self.pump, self.checkpoint),
            is_pressed=lambda: is_pressed(self.places, self.settings),
            note=self.journal.note,
            beat=self.beat,
        )
        self.leftovers = Leftovers(
            self.places, self.settings, self.fallback.path, beat=self.beat, emit=self._own.emit
        )
        self.pump.retreat.leftovers = self.leftovers
        adopted = self._take_over()
        self.announcer = Announcer(self._own, self.places, self.counted)
        self.finisher = Finisher(self)
        self._seating = Seating(self, self._footing)
        self.replayer = Replayer(self)
        self.upkeep = Upkeep(self)
        self.announcer.started(cause, restarts)
        began = f"{'stand-in' if self.is_stand_in else 'started'} ({cause or 'first start'})"
        self.journal.note(f"{began}, recovered by {self.recovered_by}, adopted {len(adopted)} lanes")
        self.state = "writing"

    def _take_over(self) -> list[str]:
        """Find the lanes, and how far they are; returns the producers of those that are adopted."""
        if not self._footing.is_held:
            self.lanes.scan()
            self._stand_back()
            self.recovered_by = recovery.without_files(self.pump, is_first=self.page.is_new)
            return []
        remember_files(self.pump, self.checkpoint)
        self._footing.hold_disk_lanes(self.journal.note)
        adopted = adoption.adopt(self.places, self.page.distrust)
        self.lanes.scan(everywhere=True)
        self.recovered_by = self._recover_files()
        recovery.settle_manifests(self.pump, self.beat)
        return adopted

    def run(self) -> int:
        """Work until nobody is left or the supervisor says stop; returns the exit code."""
        while True:
            is_busy = self.step()
            code = self._exit_code()
            if code is not None:
                self._say(exit_code=code)  # a supervisor that is not our parent has no other way to know
                return code
            if not is_busy:
                self._wait()

    def step(self) -> bool:
        """One pass; whether there is more to do at once."""
        self.beat()
        self._seating.mend()
        if self._seating.is_lost:
            return False
        self.lanes.scan()
        for lane in self.lanes.all():
            lane.tailer.keep_up()
        ended = self.lanes.watch()
        self._is_abandoned = self._has_nobody_and_nowhere()
        if self._is_abandoned:
            return False
        for lane in self.lanes.all():
            self.announcer.stub(lane)
        has_moved = self.delivery.deliver()
        has_moved |= self.replayer.step(is_busy=has_moved)
        if self._is_sync_due(is_urgent=bool(ended)):
            self._sync()
            self.finisher.finish_lanes()
        if clock.monotonic() - self._status_at > _STATUS_SEC:
            self._look_around()
        return has_moved

    def stop_own_lane(self, reason: str) -> None:
        """Write the last record, of our own, and make it durable."""
        self.announcer.stopped(reason)
        failpoint.reach("writer.stop.announced")
        self._own.note_ending()
        self.delivery.is_hurried = True
        self._deliver_all()
        for lane in self.lanes.all():
            if self.is_own(lane.producer):
                lane.end = CLOSED
                lane.tailer.is_ended = True
                lane.tailer.open_all()
        self._deliver_all()
        self._sync()
        self.days.close()
        self.days.manifests.store_catalog(is_last=True)
        failpoint.reach("writer.stop.synced")
        self.finisher.remove_own_lanes()
        self.pump.retreat.forget_removed()
        self._own.close()

    def _deliver_all(self) -> None:
        """Bring what is queued now to where it can go; what can go nowhere stays queued."""
        for _ in range(_LAST_TRIES):
            while self.delivery.deliver():
                self.beat()

    def _sync(self) -> None:
        self.wants_sync = False
        self._synced_at = clock.monotonic()
        if not self.delivery.sync():
            return
        try:
            self.upkeep.seal()
            if self.wants_reopen:
                self.days.reopen()
                self.wants_reopen = False
        except (OSError, LaneError) as error:
            self.journal.note(f"after a sync: {error}")

    def _is_sync_due(self, *, is_urgent: bool) -> bool:
        has_ended = is_urgent or any(lane.tailer.is_ended for lane in self.lanes.all())
        waited = clock.monotonic() - self._synced_at
        if (self.append_error or self.delivery.fallback_error) and waited < _RETRY_SEC:
            return False
        return (
            self.wants_sync
            or self.pump.is_sync_due
            or waited >= self.settings.fsync_interval_sec
            or has_ended
        )

    def _look_around(self) -> None:
        """Twice a second: what may have changed around us, and what we say of ourselves."""
        self._watch_supervisor()
        for lane in self.lanes.all():
            lane.tailer.open_all()
        if self._footing.is_lost(self.pump):  # the log directory was replaced: what we hold keeps nobody out
            self._stand_back()
        self._memory.mind(self.pump)
        self.delivery.look()
        if self._footing.is_held:
            self.upkeep.look()
        self._say()

    def _watch_supervisor(self) -> None:
        """See that there is a supervisor; start one when ours died."""
        if launch.supervisor_pid(self.places) is None and not self.stop_signal:
            launch.start_supervisor(self.home, self.settings, extra=("--service",) if self.is_service else ())

    def _stand_back(self) -> None:
        """Touch no file until the append lock is ours: only the fallback is written to."""
        self.pump.retreat.may_touch_files = False
        self.delivery.leave(self._footing.error)

    def _exit_code(self) -> int | None:
        if self._memory.is_too_big:
            self.journal.note("above worker_memory_max_mb: asks for a successor")
            self._own.note_ending()
            return EXIT_REPLACE
        if self._is_abandoned:
            # A test's directory is gone and so is everybody: nothing is to be made again.
            for lane in self.lanes.all():
                self.lanes.remove(lane)
            return EXIT_DONE
        is_over = self._stand_in and self._stand_in.is_over()
        if self.stop_signal == signal.SIGUSR2 or is_over or self._seating.is_lost:
            self._own.note_ending()
            return EXIT_REPLACE
        if self.stop_signal and self._is_drained():
            self.stop_own_lane("stopped")
            return EXIT_DONE
        if not self.is_service and self._has_been_alone():
            self.stop_own_lane("idle")
            return EXIT_DONE
        return None

    def _has_nobody_and_nowhere(self) -> bool:
        """Whether the log directory is gone, and every producer with all that it emitted written."""
        if self._footing.has_log_dir:
            return False
        others = [lane.tailer for lane in self.lanes.all() if not self.is_own(lane.producer)]
        return all(tailer.is_ended and not tailer.has_pending() for tailer in others)

    def _is_alone(self) -> bool:
        return self._footing.sees_all_lanes() and all(self.is_own(lane.producer) for lane in self.lanes.all())

    def _has_been_alone(self) -> bool:
        if not self._is_alone() or (self.append_error and self.delivery.fallback_error):
            self._alone_since = 0.0
            return False
        if not self._alone_since:
            self._alone_since = clock.monotonic()
            self.replayer.hurry()
        return clock.monotonic() - self._alone_since > IDLE_LINGER_SEC and not self.replayer.is_at_work

    def _is_drained(self) -> bool:
        """
        Whether a stopping writer is done: a service waits for its producers, bounded.

        Else for what is queued now.
        """
        self._stop_by = self._stop_by or clock.monotonic() + self.settings.drain_timeout_sec
        if clock.monotonic() > self._stop_by:
            return True
        if self.is_service and not self._is_alone():
            return False
        return not any(lane.tailer.has_pending() for lane in self.lanes.all())

    def _wait(self) -> None:
        busy_sec = min(POLL_BUSY_SEC, self.settings.batch_timeout_sec)
        rung = self.pulse.wait(busy_sec if self.pump.unsynced_bytes else POLL_IDLE_SEC)
        self.wants_sync |= bell.SYNC in rung
        self.replayer.hear(rung)

    def is_own(self, producer: str) -> bool:
        """Whether a lane is that of this writer's own records."""
        return any(appender.lane.producer == producer for appender in self._own.appenders())

    def _recover_files(self) -> str:
        """Recover, and for a moment try again; files that still refuse are left alone then."""
        give_up_at = clock.monotonic() + _LOCK_PATIENCE_SEC
        while True:
            try:
                return recovery.recover(self.pump, self.beat)
            except (OSError, LaneError, FallbackError) as error:
                self._footing.error = str(error)
                self.journal.note(f"cannot recover: {error}")
            if clock.monotonic() >= give_up_at:
                self._stand_back()
                return recovery.without_files(self.pump, is_first=False)
            self.beat()
            self._say()
            clock.sleep(_LOCK_POLL_SEC)

    def _note_file_change(self, file: str, change: str, size: int) -> None:
        self.journal.note(f"{file}: {change}, {size} bytes")
        self._own.emit("file_changed", file=file, change=change, bytes=size, level="WARNING")

    def _say(self, **more: Any) -> None:
        """Publish what this writer knows of itself."""
        self._status_at = clock.monotonic()
        try:
            files.write_json(self.places.runtime("writer.json"), statement.of(self) | more)
        except OSError:
            return  # a removed runtime directory is made again by `seating`
