"""
The supervisor: keeps one writer running, tells how things are, and ends when nobody needs it.

It never touches the log directory in its loop, which may hang; what the writer sees of the disk it says
itself.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

from pipeline import launch
from pipeline.host import clock, failpoint, files, processes, seats, stderr
from pipeline.host.locks import GateLock
from pipeline.host.seats import Seat
from pipeline.paths import Places, create_runtime
from workers import departure, rereading
from workers.endpoints import Endpoints
from workers.journal import Journal
from workers.keepers import Keepers
from workers.policy import EXIT_CRASH, EXIT_DONE, EXIT_REPLACE, WRITER_SIGNALS, History, cause_of
from workers.rereading import Rereading
from workers.stuck import STUCK_MAX, STUCK_SEC, StuckWriters
from workers.viewpoint import Viewpoint
from workers.whereabouts import Whereabouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings

_TICK_SEC: Final = 0.25
_LATE_SEC: Final = 2.0
"""A loop that was this late was paused, with everybody else: heartbeats get a fresh interval."""
_TAKE_OVER_SEC: Final = 15.0
_ABORT_GRACE_SEC: Final = 1.0
_STOP_MARGIN_SEC: Final = 5.0
_LEAVE_SEC: Final = 5.0


class Supervisor:
    """One life of the supervisor process."""

    def __init__(self, places: Places, *, is_service: bool, journal: Journal) -> None:
        self.places = places
        self.is_service = is_service
        self.journal = journal
        self.history = History()
        self.writer: subprocess.Popen[bytes] | None = None
        self.adopted_pid = 0
        self.last_exit = EXIT_DONE
        self.stop_signal = 0
        self._pending: list[int] = []
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.rereading = Rereading(places, lambda: os.write(self._wake_write, b"r"))
        self._started_at = clock.monotonic()
        self._start_at = 0.0
        self.crashed_at: float | None = None
        self._grace_from = clock.monotonic()
        self._ticked_at = clock.monotonic()
        self._aborted_at = self._killed_at = 0.0
        self.stuck = StuckWriters(places)
        self.keepers = Keepers(places, journal)
        self._stop_by = 0.0
        # Who leaves in order takes this file away: what still says it is here was killed, and its writer with
        # it.
        was_killed = places.runtime("supervisor.json").exists()
        self._cause = "the workers were killed" if was_killed else ""
        self._viewpoint = Viewpoint(self)
        self.endpoints = Endpoints(
            self.settings.health_host, self.settings.health_port, self._viewpoint.health
        )
        self.endpoints.serve()
        about = {
            "pid": os.getpid(),
            "version": launch.VERSION,
            "address": self.endpoints.address,
            "service": is_service,
            "instance": places.instance,
        }
        self._whereabouts = Whereabouts(places, about, journal.note)

    def run(self) -> int:
        """Supervise until nothing is left to do; returns the exit code."""
        self._whereabouts.publish(self.settings)
        while True:
            self._tick()
            if self._is_over():
                return EXIT_DONE
            self._pause()

    def note_signal(self, number: int, _frame: object = None) -> None:
        """Keep a signal for the loop."""
        self._pending.append(number)

    def _tick(self) -> None:
        now = clock.monotonic()
        if now - self._ticked_at > _LATE_SEC:
            self._grace_from = now
        self._ticked_at = now
        while self._pending:
            self._act_on(self._pending.pop(0))
        self._take_settings()
        self._mend_runtime()  # first: the heartbeat went with the directory, and the writer is well
        self._mind_writer()
        self.keepers.mind()
        self._whereabouts.publish(self.settings)

    def _pause(self) -> None:
        ready, _, _ = select.select([self._wake], [], [], _TICK_SEC)
        if ready:
            os.read(self._wake, 4096)

    def _act_on(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT) or (
            number == signal.SIGUSR1 and self.settings.sigusr1 == "drain"
        ):
            self._begin_stop(number)
        elif number == signal.SIGUSR2:
            self.rereading.begin()
        elif number in (signal.SIGUSR1, signal.SIGHUP):
            self._signal_writer(signal.Signals(number))

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.rereading.in_force.settings

    def _take_settings(self) -> None:
        """Put settings in force that have been read again: a successor of the writer takes them."""
        found = self.rereading.take()
        if found is None:
            return
        self.journal.note(rereading.sentence(found))
        if not found.refused:
            self._signal_writer(signal.SIGUSR2)
        rereading.tell(self.places, found)

    def _begin_stop(self, number: int) -> None:
        if self.stop_signal:
            self._stop_by = clock.monotonic()  # asked twice: now
        self.stop_signal = number
        self._stop_by = (
            self._stop_by or clock.monotonic() + self.settings.drain_timeout_sec + _STOP_MARGIN_SEC
        )
        self._signal_writer(signal.SIGTERM)
        self.keepers.stop()

    def _mind_writer(self) -> None:
        self.stuck.look()
        if self.writer is not None:
            code = self.writer.poll()
            if code is not None:
                self._note_end(code)
        elif self.adopted_pid and not processes.is_there(self.adopted_pid):
            said = files.read_json(self.places.runtime("writer.json")) or {}
            code = (
                said.get("exit_code", -signal.SIGKILL)
                if said.get("pid") == self.adopted_pid
                else -signal.SIGKILL
            )
            self.adopted_pid = 0
            self._note_end(code)
        if self.writer_pid():
            self._check_heartbeat()
        elif self._needs_writer():
            self._start_writer()

    def _needs_writer(self) -> bool:
        if self.stop_signal or self.history.has_given_up or clock.monotonic() < self._start_at:
            return False
        if self.stuck:
            return len(self.stuck) < STUCK_MAX
        return self.last_exit != EXIT_DONE or self.history.restarts == 0 or departure.has_lanes(self.places)

    def _start_writer(self) -> None:
        """Start a writer, or adopt the one that an earlier supervisor left."""
        self._aborted_at = self._killed_at = 0.0
        running = launch.writer_pid(self.places)
        if running:
            self.adopted_pid = running
            self._grace_from = clock.monotonic()
            return
        extra = ["--service"] if self.is_service else []
        # Blocked until the writer can act on them: a signal that meets it booting would end it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WRITER_SIGNALS)
        self.writer = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers", "writer", *launch.place_arguments(self.places), *extra,
             "--cause", self._cause, "--restarts", str(self.history.restarts),
             "--hangs", str(self.history.hangs)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        failpoint.reach("supervisor.writer_started")
        threading.Thread(target=self._wake_at_end, args=(self.writer,), daemon=True).start()
        self._started_at = self._grace_from = clock.monotonic()

    def _wake_at_end(self, process: subprocess.Popen[bytes]) -> None:
        """Wake the loop the moment the writer ends: it writes again within a second."""
        fd = os.pidfd_open(process.pid)
        try:
            select.select([fd], [], [])
        finally:
            os.close(fd)
        os.write(self._wake_write, b"e")

    def _note_end(self, code: int) -> None:
        self.writer = None
        self.last_exit = code
        ran = clock.monotonic() - self._started_at
        self.history = self.history.after(code, ran)
        self._start_at = clock.monotonic() + self.history.delay_sec
        self._cause = cause_of(code)
        if code not in (EXIT_DONE, EXIT_REPLACE):
            self.crashed_at = clock.monotonic()
            self.journal.note(f"the writer ended after {ran:.1f} s: {self._cause}")

    def _check_heartbeat(self) -> None:
        """
        Replace a writer that hangs: SIGABRT for its stack, then SIGKILL.

        One that is stuck in the kernel survives both for a while; its successor is a stand-in.
        """
        if self.heartbeat_age() <= self.settings.heartbeat_timeout_sec:
            return
        pid = self.writer_pid()
        now = clock.monotonic()
        if not self._aborted_at:
            self._aborted_at = now
            self.journal.note(f"no heartbeat from the writer for {self.heartbeat_age():.1f} s: SIGABRT")
            self._signal_writer(signal.SIGABRT)
            self._signal_writer(signal.SIGCONT)
        elif now - self._aborted_at > _ABORT_GRACE_SEC and pid:
            self._signal_writer(signal.SIGKILL)
            self._killed_at = self._killed_at or now
            if now - self._killed_at > STUCK_SEC and processes.is_condemned(pid):
                self._leave_stuck(pid)

    def _leave_stuck(self, pid: int) -> None:
        age = self.heartbeat_age()
        self.stuck.add(pid, self.writer, age)
        self.history = self.history.after_hang(clock.monotonic() - self._started_at - age)
        self._cause = f"hangs in the kernel ({processes.state_letter(pid)})"
        self.journal.note(f"the writer {pid} {self._cause}, killed; a stand-in comes until it is gone")
        self.writer, self.adopted_pid = None, 0
        self.last_exit = -signal.SIGKILL
        self.crashed_at = clock.monotonic()

    def heartbeat_age(self) -> float:
        """Return the age of the writer's heartbeat in seconds, at most as old as the last fresh interval."""
        try:
            stamp = int.from_bytes(self.places.runtime("writer.beat").read_bytes()[:8], "little") / clock.NANO
        except OSError:
            stamp = 0.0
        return max(0.0, clock.monotonic() - max(stamp, self._grace_from))

    def _signal_writer(self, number: signal.Signals) -> None:
        pid = self.writer_pid()
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return

    def writer_pid(self) -> int:
        """Return the pid of the writer, 0 when there is none."""
        return self.writer.pid if self.writer is not None else self.adopted_pid

    def _is_over(self) -> bool:
        """Whether to exit: stopped, or nobody left. The last look is taken with the door closed."""
        if self.writer_pid():
            if not self.stop_signal or clock.monotonic() < self._stop_by:
                return False
            self._signal_writer(signal.SIGKILL)
        if not self.keepers.is_gone():
            return False
        if self.stop_signal:
            self._leave_within(_LEAVE_SEC)
            return True
        if self.stuck:
            return False
        if self.last_exit != EXIT_DONE or self.history.restarts == 0:
            return False
        return self._leave_if_alone()

    def _leave_within(self, seconds: float) -> None:
        """Leave in order, as far as that is done in time: the log directory may hang."""
        if self.is_service and self.stuck:
            launch.hold_back(self.places)  # where service.json is said to be may be what hangs
        leaving = threading.Thread(target=self._leave, name="leave", daemon=True)
        leaving.start()
        leaving.join(seconds if self.stuck else None)

    def _leave(self) -> None:
        self._settle()
        departure.leave(self.places, keep_lanes=bool(self.stuck) or departure.has_lanes(self.places))
        if self.is_service:
            departure.mark_service(self.places)

    def _settle(self) -> None:
        """See that no thread of ours makes a file that would stay behind us."""
        self._viewpoint.close()
        self._whereabouts.settle()

    def _leave_if_alone(self) -> bool:
        gate = GateLock(self.places.runtime("attach.lock"))
        try:
            if not gate.acquire(exclusive=True, wait=False):
                return False
        except OSError:
            return True  # the runtime directory is gone, and with it everybody's way to us
        try:
            if departure.has_lanes(self.places):
                return False
            self._settle()
            departure.leave(self.places, keep_lanes=False)
        finally:
            gate.release()
        return True

    def _mend_runtime(self) -> None:
        """Re-create what somebody removed of the runtime directory."""
        if self.lock.is_current() or not self.places.log_dir.parent.exists():
            return
        create_runtime(self.places)
        again = Seat(self.places.runtime("supervisor.lock"))
        if not again.try_acquire():
            return
        self.lock = again
        self._grace_from = clock.monotonic()
        launch.publish_settings(self.places, self.rereading.in_force)
        self._whereabouts.renew()
        self.journal.note("the runtime directory was removed; made again")

    lock: Seat


def main(places: Places, *, is_service: bool, takes_over: bool) -> int:
    """Supervise the pipeline over a log directory, unless somebody does already."""
    os.chdir("/")
    create_runtime(places)
    journal = Journal(places, "supervisor", waits=False)
    journal.take_over()
    lock = Seat(places.runtime("supervisor.lock"))
    published = launch.published_settings(places)
    if takes_over:
        _ask_to_leave(places)
    if not _acquire(lock, _TAKE_OVER_SEC if takes_over else 0.0):
        journal.note("another supervisor runs here")
        return EXIT_CRASH if is_service else EXIT_DONE
    if not lock.is_current():
        return main(
            places, is_service=is_service, takes_over=False
        )  # the last one removed the directory meanwhile
    failpoint.reach("supervisor.locked")
    launch.note_started(places)
    if published and launch.published_settings(places) is None:
        launch.publish_settings(places, published)  # the one before us took them away with the directory
    supervisor = Supervisor(places, is_service=is_service, journal=journal)
    supervisor.lock = lock
    if is_service:
        stderr.write_line(f"health at http://{supervisor.endpoints.address}/health\n".encode())
    _install_signals(supervisor.note_signal, supervisor._wake_write)  # noqa: SLF001 - wired here, used nowhere else
    return supervisor.run()


def _ask_to_leave(places: Places) -> None:
    pid = seats.holder(places.runtime("supervisor.lock"))
    if pid and pid > 0:
        os.kill(pid, signal.SIGTERM)


def _acquire(lock: Seat, timeout_sec: float) -> bool:
    deadline = clock.Deadline(timeout_sec)
    while not lock.try_acquire():
        if deadline.has_passed:
            return False
        clock.sleep(0.05)
    return True


def _install_signals(note: Callable[[int, object], None], wake_fd: int) -> None:
    """Signals only leave a note and wake the loop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, note)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the application had blocked when it launched us
    signal.set_wakeup_fd(wake_fd, warn_on_full_buffer=False)
