"""Who does what when, and who is killed. Nothing here prints; what happened is told to a listener."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline import launch
from pipeline.app import start_pipeline
from pipeline.cli.demonstration import outage, scanners, tally, web
from pipeline.errors import PipelineError
from pipeline.host import clock, files
from pipeline.paths import places_for
from pipeline.queue import depth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.app import Pipeline

SCANNERS: Final = 4
VICTIM: Final = 2
"""Which of them is killed, counted from 0."""
_SCAN_SEC: Final = 2.5
"""How long the scan is made to last at least, so that there is a middle to kill somebody in."""
_WRITER_KILLED_AT: Final = 0.3
_VICTIM_KILLED_AT: Final = 0.5
_WEB_BEFORE_SEC: Final = 0.7
_WEB_AFTER_SEC: Final = 0.5
_PATIENCE_SEC: Final = 20.0
_POLL_SEC: Final = 0.001


@dataclass
class Kill:
    """A SIGKILL and what came of it."""

    target: str
    pids: list[int]
    after: int
    """Records accepted before."""
    recovery_sec: float | None = None
    """From the kill until bytes were appended again; None when nobody had to recover, or nobody did."""


@dataclass
class Play:
    """One demonstration, act by act. `tell(act, facts)` is called when an act is over."""

    log_dir: Path
    elsewhere: Path
    """A private directory of this demonstration, in which the fallback store is."""
    tell: Callable[[str, dict[str, Any]], None]
    kills: list[Kill] = field(default_factory=list)
    outage: outage.Outage | None = None
    expected: list[tally.Expected] = field(default_factory=list)
    children: list[Any] = field(default_factory=list)
    """Processes that must not outlive the play."""
    _noted: int = 0

    def run(self) -> None:
        """Play everything; afterwards all processes have ended and all is in the files."""
        paths = scanners.library_files()
        self.places = places_for(self.log_dir)
        with self._start() as pipeline:
            try:
                self._await_writer()
                self.tell(
                    "scan", {"files": len(paths), "root": os.path.commonpath(paths), "processes": SCANNERS}
                )
                self._scan(pipeline, paths)
                self._serve(pipeline, paths)
                self.outage = outage.play(self, pipeline, paths)
                self.tell("outage", {"outage": self.outage})
                self.wait_for("the queue to drain", lambda: _lanes_with_records(self.places) == 0)
            finally:
                for child in self.children:
                    child.kill()
        self.expected.append(tally.Expected("this demo", self._noted))
        began = clock.monotonic()
        self.wait_for("the pipeline to end", lambda: launch.supervisor_pid(self.places) is None)
        seconds = clock.monotonic() - began
        self.tell("end", {"seconds": seconds, "is_clean": not self.places.runtime_dir.exists()})

    def _start(self) -> Pipeline:
        probe_sec = outage.PROBE_SEC
        return start_pipeline(self.log_dir, fallback_dir=str(self.elsewhere), breaker_probe_sec=probe_sec)

    def _scan(self, pipeline: Pipeline, paths: list[str]) -> None:
        shares = [paths[number::SCANNERS] for number in range(SCANNERS)]
        context = multiprocessing.get_context("spawn")
        accepted = context.RawArray(ctypes.c_uint64, SCANNERS)
        pause = _SCAN_SEC * SCANNERS / len(paths)
        processes = [
            context.Process(
                target=scanners.scan,
                args=(pipeline, _name(number), share, accepted, number, pause),
                daemon=True,
            )
            for number, share in enumerate(shares)
        ]
        for process in processes:
            process.start()
        self.children += processes
        self._kill_in_the_middle(pipeline, processes, accepted, shares)
        for number, process in enumerate(processes):
            process.join()
            self.expected.append(
                tally.Expected(
                    _name(number), accepted[number], process.exitcode == -signal.SIGKILL, shares[number]
                )
            )

    def _kill_in_the_middle(
        self, pipeline: Pipeline, processes: Sequence[Any], accepted: Any, shares: Sequence[Sequence[str]]
    ) -> None:
        """Kill the writer and one scanner while all scan, and watch when bytes are appended again."""
        total, victim, writer = sum(map(len, shares)), None, None
        deadline = clock.Deadline(_PATIENCE_SEC)
        recovery = _Recovery(self.log_dir)
        while any(process.is_alive() for process in processes) and not deadline.has_passed:
            if writer is None and sum(accepted) >= total * _WRITER_KILLED_AT:
                writer = self._kill(pipeline, "writer", [launch.writer_pid(self.places)], sum(accepted))
                recovery.begin()
            if writer and writer.recovery_sec is None and recovery.is_over():
                writer.recovery_sec = recovery.seconds
                self.tell("writer_killed", vars(writer))
            if victim is None and accepted[VICTIM] >= len(shares[VICTIM]) * _VICTIM_KILLED_AT:
                pid = processes[VICTIM].pid
                victim = self._kill(pipeline, _name(VICTIM), [pid], accepted[VICTIM])
                self.tell("scanner_killed", {**vars(victim), "of": len(shares[VICTIM])})
            clock.sleep(_POLL_SEC)
        if writer and writer.recovery_sec is None:
            self.wait_for("the writer to be back", recovery.is_over)
            writer.recovery_sec = recovery.seconds
            self.tell("writer_killed", vars(writer))

    def _serve(self, pipeline: Pipeline, paths: list[str]) -> None:
        """Put load on a web server; in the middle kill everything the pipeline has of processes."""
        context = multiprocessing.get_context("spawn")
        port_in, port_out = context.Pipe(duplex=False)
        server = context.Process(target=web.serve, args=(pipeline, paths, port_out), daemon=True)
        server.start()
        self.children.append(server)
        if not port_in.poll(_PATIENCE_SEC):
            raise PipelineError("the web server does not start", where=str(self.log_dir))
        script = _WebScript(self, pipeline)
        load = web.put_load(port_in.recv(), script.is_over)
        server.terminate()
        server.join()
        self.expected.append(tally.Expected("web server", load.answered))
        self.tell("web", {"load": load, "kill": script.kill})

    def kill_workers(self, pipeline: Pipeline) -> Kill:
        """Kill supervisor and writer at once."""
        pids = [launch.supervisor_pid(self.places), launch.writer_pid(self.places)]
        return self._kill(pipeline, "supervisor and writer", pids, 0)

    def _kill(self, pipeline: Pipeline, target: str, pids: Sequence[int | None], after: int) -> Kill:
        kill = Kill(target, [pid for pid in pids if pid], after)
        self.note(pipeline, target=target, pids=kill.pids, signal="SIGKILL")
        for pid in kill.pids:
            os.kill(pid, signal.SIGKILL)
        self.kills.append(kill)
        return kill

    def note(self, pipeline: Pipeline, **fault: Any) -> None:
        """Record what is done to the pipeline."""
        self._noted += pipeline.emit(tally.NOTES_TYPE, **fault) > 0

    def _await_writer(self) -> None:
        said = self.places.runtime("writer.json")
        self.wait_for("the writer to start", lambda: (files.read_json(said) or {}).get("state") == "writing")

    def wait_for(self, what: str, is_there: Callable[[], bool]) -> None:
        """Wait until something holds. PipelineError when it takes too long."""
        deadline = clock.Deadline(_PATIENCE_SEC)
        while not is_there():
            if deadline.has_passed:
                raise PipelineError(
                    f"waited {_PATIENCE_SEC:g} s for {what}",
                    where=str(self.log_dir),
                    remedy=f"Try: pipeline status --log --dir {self.log_dir}",
                )
            clock.sleep(_POLL_SEC * 10)


class _Recovery:
    """From a kill until the day files grow again."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._began = 0.0
        self._size = 0
        self.seconds = 0.0

    def begin(self) -> None:
        """Take the time now, right after the kill; a write that was under way may still come to its end."""
        self._began = clock.monotonic()
        clock.sleep(_POLL_SEC * 5)
        self._size = self._stored_bytes()

    def is_over(self) -> bool:
        """Whether bytes have been appended since."""
        self.seconds = clock.monotonic() - self._began
        return self._stored_bytes() > self._size

    def _stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in tally.day_files(self._log_dir))


class _WebScript:
    """When, under load, the workers are killed, and when the load may end."""

    def __init__(self, play: Play, pipeline: Pipeline) -> None:
        self.kill: Kill | None = None
        self._play = play
        self._pipeline = pipeline
        self._recovery = _Recovery(play.log_dir)
        self._next_at = clock.monotonic() + _WEB_BEFORE_SEC
        self._give_up = clock.Deadline(_PATIENCE_SEC)

    def is_over(self) -> bool:
        """Say whether the load may end; asked every few milliseconds."""
        if self.kill is None:
            if clock.monotonic() >= self._next_at:
                self.kill = self._play.kill_workers(self._pipeline)
                self._recovery.begin()
            return False
        if self.kill.recovery_sec is None:
            if self._recovery.is_over():
                self.kill.recovery_sec = self._recovery.seconds
                self._next_at = clock.monotonic() + _WEB_AFTER_SEC
            return self._give_up.has_passed
        return clock.monotonic() >= self._next_at


def _name(number: int) -> str:
    return f"scanner {number + 1}"


def _lanes_with_records(places: Any) -> int:
    left = depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir))
    return left.records
