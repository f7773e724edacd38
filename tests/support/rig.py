"""
A rig: the real producers and the real writer of one pipeline, in this process, under the test's clock.

A kill is an exception at a fail point that nothing catches, after which the writer's objects are thrown
away and made anew from the files. A lane lives while its emitter is among the rig's: a record lock cannot
be seen by the process that holds it, so only that question is answered by the rig. Segments are tiny, so
that roll and full come all the time.
"""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.delivery import pump
from pipeline.emitter import Emitter
from pipeline.host import clock, failpoint, files
from pipeline.paths import create_runtime, places_for
from pipeline.queue import appender, lanes, usage
from pipeline.settings import Settings
from pipeline.storage import stored
from pipeline.testing import FakeClock, FaultyDirectory
from workers import writer as writing
from workers.journal import Journal

if TYPE_CHECKING:
    from workers.stand_in import StandIn

FIRST_MOMENT_NS = 1_763_700_000 * clock.NANO
"""2025-11-21T04:40:00Z."""
_TURNS_MAX = 3000
_SLEEPS_MAX = 2000
_SLICES_MAX = 8
_DATED = re.compile(r"^\d{4}-\d\d-\d\d")


class Killed(BaseException):
    """A process ended here, without warning."""


class Blocked(BaseException):
    """The writer sleeps and tries for ever."""


class Rig:
    """One log directory with its producers and its writer."""

    def __init__(self, **settings: Any) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pipeline-rig-", dir="/dev/shm"))
        (self.home / "memory").mkdir()
        self.disk = self.home / "disk"
        self.disk.mkdir()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("PIPELINE_RUNTIME_ROOT", str(self.home / "memory"))
        usual = {
            "queue_max_mb": 64.0,
            "fsync_interval_sec": 1.0,
            "worker_memory_max_mb": 1 << 20,
            "fallback_dir": str(self.home / "fallback"),
        }
        self.settings = Settings(**usual | settings)
        self.places = places_for(self.disk / "logs", self.settings.state_dir)
        self.emitters: list[Emitter] = []
        self.writer: writing.Writer | None = None
        self.ends_at: dict[tuple[str, int], int] = {}
        """The place behind each record that was emitted, by (producer, action_number)."""
        self.tags_emitted: list[int] = []
        self.aim: tuple[str, int] = ("", 0)
        self.reached: Counter[str] = Counter()
        self.faults = FaultyDirectory(self.disk, only="*.jsonl")
        """What goes wrong with day files."""
        self.memory_share = 1 << 40
        self.clock = FakeClock(
            datetime.fromtimestamp(FIRST_MOMENT_NS // clock.NANO, UTC), tick_sec=1e-6, on_sleep=self._slept
        )
        self.synced: dict[int, int] = {}
        """Size of each day file, by inode, when it was last synced."""
        self.stand_in: StandIn | None = None
        """What makes the writers that are started now stand-ins for one that hangs."""
        self.while_sleeping: Callable[[], object] | None = None
        """What other processes do while a producer waits."""
        self._sleeps = 0
        self._put_in_place()
        create_runtime(self.places)

    def close(self) -> None:
        """Throw everything away."""
        self.kill_writer()
        for emitter in list(self.emitters):
            self.abandon(emitter)
        self._close_what_nobody_holds()
        self.faults.__exit__(None, None, None)
        self.patch.undo()
        self.clock.__exit__(None, None, None)
        shutil.rmtree(self.home, ignore_errors=True)

    # -- producers

    def producer(self) -> Emitter:
        """Return a new producer."""
        emitter = Emitter(self.places, self.settings)
        self.emitters.append(emitter)
        return emitter

    def emit(self, emitter: Emitter, tag: int, size: int = 0, **fields: Any) -> int:
        """Emit a record with a tag; its number, 0 when it was refused."""
        number = emitter.emit("work", tag=tag, fill="x" * size, **fields)
        if number:
            self.tags_emitted.append(tag)
            lane = emitter.appenders()[0]
            self.ends_at[lane.lane.producer, number] = lane.end_position()
        return number

    def emit_keeping_segments(self, emitter: Emitter, records: int = 60) -> dict[Path, bytes]:
        """Emit and deliver, slowly; return what was in each segment on the disk, also in released ones."""
        kept: dict[Path, bytes] = {}
        for tag in range(records):
            self.emit(emitter, tag, 100)
            for path in self.places.disk_lanes_dir.glob("*/*.seg"):
                kept[path] = path.read_bytes()
            self.step()
            self.pass_time(0.4)
        return kept

    def close_producer(self, emitter: Emitter) -> None:
        """End a producer as a process does that ends normally."""
        self.emitters.remove(emitter)
        emitter.close()

    def abandon(self, emitter: Emitter) -> None:
        """Kill a producer: its lock is free, its lane is as it is."""
        self.emitters.remove(emitter)
        _drop_lanes(emitter)

    # -- the writer

    def start_writer(self) -> None:
        """Start a writer over what is in the files."""
        self.open_writer()
        self.writer.acquire_append_lock()
        self.writer.recover("killed", 1)

    def open_writer(self) -> None:
        """Make a writer that has not looked at anything yet."""
        create_runtime(self.places)
        journal = Journal(self.places, "writer")
        self.writer = writing.Writer(
            self.places, self.settings, journal, is_service=False, stand_in=self.stand_in
        )

    def step(self, times: int = 1) -> None:
        """Let the writer make some passes of its main loop; a writer that is not there makes none."""
        for _ in range(times):
            if self.writer is not None:
                self._sleeps = 0
                self.writer.step()

    def pass_time(self, seconds: float) -> None:
        """Let time pass on all clocks."""
        self.clock.advance(seconds)

    def forget_synced(self) -> None:
        """Take what is in the files for synced: the power was cut, and it is there."""
        self.synced = {path.stat().st_ino: path.stat().st_size for path in self.day_files()}

    def kill_writer(self) -> None:
        """Throw the writer's objects away; what is in the files stays."""
        dead, self.writer = self.writer, None
        self.aim = ("", 0)
        for lane in dead.lanes.all() if hasattr(dead, "lanes") else ():
            lane.tailer.close()
        if hasattr(dead, "fallback"):
            dead.fallback.close()
        if hasattr(dead, "_own"):
            _drop_lanes(dead._own)
        if dead is not None:
            dead._footing.grip.close()
        self._close_what_nobody_holds()

    def run_until_killed(self, name: str, skip: int = 0, turns: int = 6) -> bool:
        """
        Run (or start, if there is none) the writer with a fail point armed.

        Whether it was killed there.
        """
        self.aim = (name, skip)
        try:
            if self.writer is None:
                self.start_writer()
            for _ in range(turns):
                self.step(2)
                self.pass_time(1.1)
        except Killed:
            self.kill_writer()
            return True
        finally:
            self.aim = ("", 0)
        return False

    def drain(self) -> None:
        """Run a writer until nothing is left to write and everything is durable."""
        self.faults.room = None
        if self.writer is None:
            self.start_writer()
        quiet = 0
        for _ in range(_TURNS_MAX):
            self.step()
            self.pass_time(0.6)
            quiet = 0 if self._has_work() else quiet + 1
            if quiet > 6:
                return
        raise AssertionError(f"never drained: {self.writer.append_error!r} {self.backlog()}")

    def backlog(self) -> dict[str, Any]:
        """Return what the writer has before it, for messages."""
        return {
            lane.producer: (lane.end, lane.tailer.place(), lane.tailer.durable, sorted(lane.tailer.segments))
            for lane in self.writer.lanes.all()
        }

    # -- what is in the files

    @property
    def page(self) -> Path:
        """The control page."""
        return self.places.runtime("control")

    def copy_to(self, target: Path) -> None:
        """Copy the log directory for processes that have another clock, which would take ours for theirs."""
        shutil.copytree(self.places.log_dir, target, ignore=shutil.ignore_patterns("clock.json"))

    def day_files(self) -> list[Path]:
        """Return all files that hold records, moved ones included."""
        return sorted(
            self.places.log_dir / name for name in files.names_in(self.places.log_dir) if _DATED.match(name)
        )

    def lines(self) -> dict[str, list[bytes]]:
        """Return the whole lines of each file."""
        return {path.name: path.read_bytes().splitlines(keepends=True) for path in self.day_files()}

    def records(self) -> list[dict[str, Any]]:
        """Return all records; a line that is none is an error."""
        return [json.loads(line) for lines in self.lines().values() for line in lines]

    def tags(self) -> Counter[int]:
        """Return how often each tag is in the files."""
        return Counter(record["tag"] for record in self.records() if "tag" in record)

    def check_positions(self) -> None:
        """See that no position exceeds a head, and nothing is called durable that no fsync has covered."""
        if self.writer is None or self.writer.state != "writing":
            return
        unsynced = self._unsynced_records()
        for lane in self.writer.lanes.all():
            tailer = lane.tailer
            assert tailer.durable <= tailer.written, f"{lane.producer}: durable before it is written"
            serial, offset = tailer.place()
            segment = tailer.segments.get(serial)
            if segment is not None:
                segment.refresh()
                assert offset <= segment.end, (
                    f"{lane.producer}: position {serial}/{offset} is past {segment.end}"
                )
            for number in unsynced.pop(lane.producer, ()):
                end = self.ends_at.get((lane.producer, number))
                assert end is None or tailer.durable < end, f"{lane.producer}: {number} was never synced"
        for producer, numbers in unsynced.items():
            ours = [number for number in numbers if (producer, number) in self.ends_at]
            assert not ours, f"{producer}: {ours} were never synced and their lane is gone"

    # -- how it is put in place

    def _unsynced_records(self) -> dict[str, list[int]]:
        """Return the numbers, by producer, that stand in files behind what was synced last."""
        found: dict[str, list[int]] = {}
        for path in self.day_files():
            with path.open("rb") as file:
                synced = self.synced.get(os.fstat(file.fileno()).st_ino, 0)
                file.seek(synced)
                tail = file.read()
            for match in stored._RECORD.finditer(tail):
                found.setdefault(match[2].decode(), []).append(int(match[1]))
        return found

    def _has_work(self) -> bool:
        writer = self.writer
        return bool(
            writer.append_error
            or writer.pump.retreat.has_rows
            or writer.pump.unsynced_bytes
            or any(
                lane.tailer.has_pending() or lane.tailer.durable < lane.tailer.written
                for lane in writer.lanes.all()
            )
            or any(lane.end != lanes.LIVE for lane in writer.lanes.all())
        )

    def _put_in_place(self) -> None:
        change = self.patch.setattr
        self.clock.__enter__()
        change(appender, "SEGMENT_BYTES_MIN", 1024)
        change(appender, "SEGMENT_BYTES_MAX", 4096)
        change(appender, "_PAGE", 256)
        change(usage, "memory_share_bytes", lambda _lanes_dir, _quota: self.memory_share)
        change(usage, "is_container_with_own_memory", lambda: False)
        change(pump, "BATCH_SLICES_MAX", _SLICES_MAX)
        change(pump, "_FRAGMENTS_MAX", _SLICES_MAX // 4)
        change(lanes, "LANE_GRACE_SEC", 0.0)
        change(lanes, "holder_of", self._holder_of)
        change(failpoint, "reach", self._reach)
        change(failpoint, "is_aimed_at", lambda name: self.aim == (name, 0))
        change(writing.Writer, "_watch_supervisor", lambda _writer: None)
        self._change_system_calls(change)

    def _change_system_calls(self, change: Callable[..., None]) -> None:
        fsync = os.fsync

        def noting_fsync(fd: int) -> None:
            fsync(fd)
            found = os.fstat(fd)
            self.synced[found.st_ino] = found.st_size

        change(os, "fsync", noting_fsync)
        self.faults.__enter__()

    def _close_what_nobody_holds(self) -> None:
        """
        Close, as the kernel does for a killed process, the descriptors of our files that no producer has.

        Not those of segments: a mapping has a descriptor of its own, which it closes itself. Nor SQLite's.
        """
        held = {
            lock.fd
            for emitter in self.emitters
            for one in emitter.appenders()
            for lock in (one.lane._lock, one.lane._disk_lock)
            if lock is not None
        }
        for fd in {int(name) for name in os.listdir("/proc/self/fd")} - held:
            path = _path_of(fd).removesuffix(" (deleted)")
            is_kept = path.endswith((".seg", ".taken", ".new")) or path.startswith(
                str(self.home / "fallback")
            )
            if path.startswith(str(self.home)) and not is_kept:
                os.close(fd)

    def _slept(self, _seconds: float) -> None:
        self._sleeps += 1
        if self.while_sleeping is not None:
            self.while_sleeping()
        if self._sleeps > _SLEEPS_MAX:
            raise Blocked

    def _reach(self, name: str) -> None:
        self.reached[name] += 1
        if name == self.aim[0]:
            if self.aim[1] == 0:
                raise Killed(name)
            self.aim = (name, self.aim[1] - 1)

    def _holder_of(self, fd: int) -> int | None:
        asked = files.identity_of(fd)
        alive = {
            files.identity_of(lock.fd)
            for emitter in self.emitters
            for one in emitter.appenders()
            for lock in (one.lane._lock, one.lane._disk_lock)
            if lock is not None and lock.fd >= 0
        }
        return os.getpid() if asked in alive else None


def _drop_lanes(emitter: Emitter) -> None:
    for one in emitter.appenders():
        one.forget()


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
