"""
The writer: the one process that appends to the day files of an instance.

Its main loop is `step()`: look into the lanes, append, sync when due, finish lanes that ended, say how it is.
It holds the append lock all its life and does nothing to a file without it.
"""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING, Any, Final

from pipeline import launch
from pipeline.delivery import recovery
from pipeline.delivery.checkpoint import Checkpoint
from pipeline.delivery.control import ControlPage
from pipeline.delivery.pump import Pump
from pipeline.emitter import Emitter
from pipeline.errors import LaneError
from pipeline.host import clock, failpoint, files, processes
from pipeline.host.locks import RecordLock
from pipeline.limits import BEAT_INTERVAL_SEC, MIB, POLL_BUSY_SEC, POLL_IDLE_SEC, PRESSURE_AT
from pipeline.paths import Places, create_runtime
from pipeline.queue import adoption, bell
from pipeline.queue.lanes import CLOSED, Lanes, WatchedLane
from pipeline.storage.days import Days
from workers import statement
from workers.announcer import Announcer
from workers.fence import Fence
from workers.policy import EXIT_DONE, EXIT_REPLACE
from workers.pulse import Pulse

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from workers.journal import Journal

IDLE_LINGER_SEC: Final = 0.7
"""How long the writer stays when nobody is left: the next process of a shell loop finds it still there."""
_STATUS_SEC: Final = 0.5
_ADOPT_SEC: Final = 60.0
_MEMORY_SEC: Final = 2.0
_RETRY_SEC: Final = 1.0
_LOCK_POLL_SEC: Final = 0.05


class Writer:
    """One life of the writer process."""

    def __init__(self, places: Places, settings: Settings, journal: Journal, *, is_service: bool) -> None:
        self.places = places
        self.settings = settings
        self.journal = journal
        self.is_service = is_service
        self.state = "starting"
        self.append_error = ""
        self.append_failures = 0
        self.recovered_by = ""
        self.wants_sync = False
        self.wants_reopen = False
        self.stop_signal = 0
        self._pulse = Pulse(places)
        self.beat = self._pulse.beat
        self._fence = Fence(places, settings)
        self._synced_at = clock.monotonic()
        self._status_at = 0.0
        self._adopted_at = clock.monotonic()
        self._retry_at = 0.0
        self._alone_since = 0.0
        self._stop_by = 0.0
        self._is_too_big = False
        self._is_abandoned = False
        self._memory_at = 0.0

    def acquire_append_lock(self) -> None:
        """Wait until no other process can append to our files."""
        while not self._has_append_lock():
            self.beat()
            self._say()
            self._watch_supervisor()
            clock.sleep(_LOCK_POLL_SEC)

    def _has_append_lock(self) -> bool:
        """Try to take the lock, at once; a log directory that cannot be used is waited for like a lock."""
        try:
            is_held = self._fence.try_acquire()
        except OSError as error:
            self.state = "waiting_for_log_dir"
            self._note_failure(error)
            return False
        self.state = self.state if is_held else "waiting_for_append_lock"
        self.append_error = ""
        return is_held

    def recover(self, cause: str, restarts: int) -> None:
        """Take over from the last writer."""
        self.state = "recovering"
        self._own = Emitter(self.places, self.settings, role="writer")
        self._own.open_lane()
        self.lanes = Lanes(self.places, self._is_own)
        self.checkpoint = Checkpoint(self.places.state_dir, self._fence.instance)
        self.days = Days(self.places, self.settings, self._fence.instance, self._note_file_change)
        known = self.checkpoint.load()
        self.days.known = known.get("files", {})
        self.days.sealed = set(known.get("sealed", []))
        self.page = ControlPage(self.places.runtime("control"))
        self.pump = Pump(self.lanes, self.page, self.days, self.checkpoint, self.settings, self.beat)
        self._hold_disk_lanes()
        adopted = adoption.adopt(self.places, self.page.distrust)
        self.lanes.scan(everywhere=True)
        self.recovered_by = self._recover_files()
        self.announcer = Announcer(self._own, self.places)
        self.announcer.started(cause, restarts)
        why = cause or "first start"
        self.journal.note(f"started ({why}), recovered by {self.recovered_by}, adopted {len(adopted)} lanes")
        self.state = "writing"

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
        self.lanes.scan()
        for lane in self.lanes.all():
            lane.tailer.keep_up()
        ended = self.lanes.watch()
        self._is_abandoned = self._has_nobody_and_nowhere()
        if self._is_abandoned:
            return False
        for lane in self.lanes.all():
            self.announcer.stub(lane)
        has_moved = self._deliver()
        if self._is_sync_due(is_urgent=bool(ended)):
            self._sync()
            self._finish_lanes()
        if clock.monotonic() - self._status_at > _STATUS_SEC:
            self._look_around()
        return has_moved

    def stop_own_lane(self, reason: str) -> None:
        """Write the last record, of our own, and make it durable."""
        self.announcer.stopped(reason)
        failpoint.reach("writer.stop.announced")
        self._own.note_ending()
        while self.pump.deliver():
            self.beat()
        for lane in self.lanes.all():
            if self._is_own(lane.producer):
                lane.end = CLOSED
                lane.tailer.is_ended = True
                lane.tailer.open_all()
        while self.pump.deliver():
            self.beat()
        self._sync()
        failpoint.reach("writer.stop.synced")
        for lane in self.lanes.all():
            if self._is_own(lane.producer) and lane.tailer.is_done():
                self.lanes.remove(lane)
        self._own.close()

    def _deliver(self) -> bool:
        """Append what there is, one batch; after a failure, try again at intervals while the loop goes on."""
        if clock.monotonic() < self._retry_at:
            return False
        try:
            if self.pump.needs_files or (self.append_error and not self.pump.resume()):
                recovery.by_files(self.pump, self.beat)
            has_moved = self.pump.deliver()
        except (OSError, LaneError) as error:
            self._note_failure(error)
            return False
        if self.append_error:
            self.journal.note("appending works again")
        self.append_error = ""
        return has_moved

    def _sync(self) -> None:
        self.wants_sync = False
        self._synced_at = clock.monotonic()
        try:
            self.pump.sync()
            if self.days.seal_due(self.lanes.periods(), clock.wall_ns() / clock.NANO):
                self.checkpoint.store(self.page.committed, self.days, self.lanes.all())
            if self.wants_reopen:
                self.days.reopen()
                self.wants_reopen = False
        except (OSError, LaneError) as error:
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        if str(error) != self.append_error:
            self.journal.note(f"cannot append: {error}")
        self.append_error = str(error)
        self.append_failures += 1
        self._retry_at = clock.monotonic() + _RETRY_SEC

    def _is_sync_due(self, *, is_urgent: bool) -> bool:
        has_ended = is_urgent or any(lane.tailer.is_ended for lane in self.lanes.all())
        waited = clock.monotonic() - self._synced_at
        if self.append_error and waited < _RETRY_SEC:
            return False
        return (
            self.wants_sync
            or self.pump.is_sync_due
            or waited >= self.settings.fsync_interval_sec
            or has_ended
        )

    def _finish_lanes(self) -> None:
        """Announce and remove the lanes that have ended and are durable to their end."""
        for lane in self.lanes.all():
            self.announcer.drops(lane)
            if not self._is_own(lane.producer) and lane.tailer.is_done():
                self._finish(lane)

    def _finish(self, lane: WatchedLane) -> None:
        """Tell a lane's end and remove it; what cannot be read of it is kept, out of the way."""
        if lane.tailer.unknown and not self._keep_aside(lane):
            return
        failpoint.reach("writer.lane.before_announce")
        if not self.announcer.ended(lane):
            return
        failpoint.reach("writer.lane.before_remove")
        self.lanes.remove(lane)

    def _keep_aside(self, lane: WatchedLane) -> bool:
        try:
            self.lanes.keep_aside(lane, self.places.unknown_lanes_dir)
        except OSError as error:
            self._note_failure(error)
            return False
        self.journal.note(f"kept, not read: {lane.tailer.unknown}")
        return True

    def _look_around(self) -> None:
        """Twice a second: what may have changed around us, and what we say of ourselves."""
        self._watch_supervisor()
        for lane in self.lanes.all():
            lane.tailer.open_all()
        self._mend_runtime()
        self._mend_append_lock()
        self._mind_memory()
        if clock.monotonic() - self._adopted_at > _ADOPT_SEC:
            self._adopt()
        self._say()

    def _adopt(self) -> None:
        self._adopted_at = clock.monotonic()
        self.lanes.collect_drafts()
        adoption.collect(self.places)
        try:
            adoption.adopt(self.places, self.pump.ask_files)
        except OSError as error:
            self._note_failure(error)
        self.lanes.scan(everywhere=True)

    def _watch_supervisor(self) -> None:
        """See that there is a supervisor; start one when ours died."""
        if launch.supervisor_pid(self.places) is None and not self.stop_signal:
            launch.start_supervisor(
                self.places, self.settings, extra=("--service",) if self.is_service else ()
            )

    def _mend_runtime(self) -> None:
        """
        Re-create what somebody removed of the runtime directory.

        Positions stay with us, in open descriptors.
        """
        if files.same_file(self.page.fd, self.page.path) or not self.places.log_dir.is_dir():
            return
        create_runtime(self.places)
        self.journal.note("the runtime directory was removed; made again")
        self._pulse.renew()
        self._lock_again = RecordLock(self.places.runtime("writer.lock"))
        self._lock_again.try_acquire()
        self.page.move_to(self.places.runtime("control"))

    def _mend_append_lock(self) -> None:
        """Make the append lock again when the log directory was replaced: what we hold keeps nobody out."""
        if self._fence.is_void():
            self._fence.give_up()
            self.acquire_append_lock()
            self.state = "writing"

    def _mind_memory(self) -> None:
        if clock.monotonic() - self._memory_at < _MEMORY_SEC:
            return
        self._memory_at = clock.monotonic()
        limit = self.settings.worker_memory_max_mb * MIB
        used = processes.resident_bytes()
        if used > limit * PRESSURE_AT:
            gc.collect()
            self.pump.batch_bytes_max = max(64 * 1024, self.pump.batch_bytes_max // 2)
        else:
            self.pump.batch_bytes_max = self.settings.batch_max_bytes
        self._is_too_big = processes.resident_bytes() > limit

    def _exit_code(self) -> int | None:
        if self._is_too_big:
            self.journal.note("above worker_memory_max_mb: asks for a successor")
            self._own.note_ending()
            return EXIT_REPLACE
        if self._is_abandoned:
            # A test's directory is gone and so is everybody: nothing is to be made again, for our own records
            # neither.
            for lane in self.lanes.all():
                self.lanes.remove(lane)
            return EXIT_DONE
        if self.stop_signal == signal.SIGUSR2:
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
        if self.places.log_dir.is_dir():
            return False
        others = [lane.tailer for lane in self.lanes.all() if not self._is_own(lane.producer)]
        return all(tailer.is_ended and not tailer.has_pending() for tailer in others)

    def _is_alone(self) -> bool:
        return all(self._is_own(lane.producer) for lane in self.lanes.all())

    def _has_been_alone(self) -> bool:
        if not self._is_alone() or self.append_error:
            self._alone_since = 0.0
            return False
        self._alone_since = self._alone_since or clock.monotonic()
        return clock.monotonic() - self._alone_since > IDLE_LINGER_SEC

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
        is_quiet = self.pump.unsynced_bytes == 0
        timeout = POLL_IDLE_SEC if is_quiet else min(POLL_BUSY_SEC, self.settings.batch_timeout_sec)
        self.wants_sync |= bell.SYNC in self._pulse.wait(min(timeout, BEAT_INTERVAL_SEC))

    def _is_own(self, producer: str) -> bool:
        return any(appender.lane.producer == producer for appender in self._own.appenders())

    def _recover_files(self) -> str:
        while True:
            try:
                return recovery.recover(self.pump, self.beat)
            except (OSError, LaneError) as error:
                self._note_failure(error)
                self.beat()
                self._say()
                clock.sleep(_LOCK_POLL_SEC)

    def _hold_disk_lanes(self) -> None:
        """Say that this instance's disk lanes have a writer."""
        try:
            files.make_private(self.places.disk_lanes_dir)
            self._instance_lock = RecordLock(self.places.disk_lanes_dir / adoption.INSTANCE_LOCK)
            self._instance_lock.try_acquire()
        except OSError as error:
            self.journal.note(f"no disk lanes here: {error}")

    def _note_file_change(self, file: str, change: str, size: int) -> None:
        self.journal.note(f"{file}: {change}, {size} bytes")
        self._own.emit("file_changed", file=file, change=change, bytes=size, level="WARNING")

    def _say(self, **more: Any) -> None:
        """Publish what this writer knows of itself."""
        self._status_at = clock.monotonic()
        try:
            files.write_json(self.places.runtime("writer.json"), statement.of(self) | more)
        except OSError:
            return  # a removed runtime directory is made again by `_mend_runtime`
