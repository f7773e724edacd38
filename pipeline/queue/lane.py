"""
The producer's end of a lane on the file system: its directories, its lock, its mark of a normal end.

A lane is put together under a name that nobody reads and renamed into place with its lock already held, so
the writer never sees a lane that looks dead because it is only half made.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import TYPE_CHECKING, Final

from pipeline.host import clock, failpoint, files, handlers, processes
from pipeline.host.locks import GateLock, RecordLock
from pipeline.limits import OFFSET_BITS, PRODUCER_CHARS
from pipeline.paths import Places, create_runtime, require_volume
from pipeline.queue.counts import Counts
from pipeline.queue.layout import (
    ABOUT_OFFSET,
    COUNTED,
    NAMED,
    ON_DISK_OFFSET,
    POSITION,
    counter_offset,
    pack_about,
    pack_alive,
    pack_ending,
)

if TYPE_CHECKING:
    from pathlib import Path

_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PROGRAM_CHARS_MAX: Final = 200

_made: Final[weakref.WeakSet[Lane]] = weakref.WeakSet()


def is_of_this_process(producer: str) -> bool:
    """Whether a lane was made here, or by the process that this one was forked from."""
    return any(lane.producer == producer for lane in list(_made))


def new_producer_id() -> str:
    """Return 60 random bits as 12 letters; never reused, whatever happens to pids."""
    return "".join(_LETTERS[byte & 31] for byte in os.urandom(PRODUCER_CHARS))


class Lane:
    """
    The directories of one producer.

    `memory_dir` is where the lane's life began; `disk_dir` is made when needed.
    """

    def __init__(self, places: Places, role: str) -> None:
        self.producer = new_producer_id()
        self.places = places
        self.role = role
        self.disk_dir: Path | None = None
        self._disk_lock: RecordLock | None = None
        self._positions: list[tuple[int, tuple[int, int]]] = []
        self.counters = dict.fromkeys(COUNTED, 0)
        self._untold: set[str] = set()
        self.named = {what: Counts(bytes_max) for what, bytes_max in NAMED.items()}
        self._is_named_untold = False
        self._process = self._about()
        self.memory_dir: Path | None = None
        create_runtime(places)
        with _gate(places):
            self._lock = self._make_anywhere()
        self._identity = files.identity_of(self._lock.fd)
        _made.add(self)

    def _make_anywhere(self) -> RecordLock:
        """Make the lane in the runtime directory, or, where that is full, in the state directory alone."""
        try:
            lock = self._make(self.places.lanes_dir)
            self.memory_dir = self.places.lanes_dir / self.producer
        except OSError as error:
            handlers.let_through(error)
            require_volume(self.places, self.places.disk_lanes_dir)
            files.make_private(self.places.disk_lanes_dir)
            lock = self._make(self.places.disk_lanes_dir)
            self.disk_dir = self.places.disk_lanes_dir / self.producer
        return lock

    def use_disk(self) -> Path:
        """
        Return the lane's directory in the state directory, made at first use.

        OSError when it cannot be.
        """
        if self.disk_dir is not None and self.disk_dir.is_dir():
            return self.disk_dir
        require_volume(self.places, self.places.disk_lanes_dir)
        self.disk_dir = None
        for (
            fd
        ) in self._fds():  # first: who cannot see the disk has to know that there may be more of this lane
            files.pwrite_all(fd, b"\1", ON_DISK_OFFSET)
        parent = self.places.disk_lanes_dir
        files.make_private(parent)
        if self._disk_lock is not None:
            self._disk_lock.close()
        made = parent / self.producer
        self._disk_lock = self._go_on_in(made) if made.is_dir() else self._make(parent)
        self.disk_dir = made
        return self.disk_dir

    def leave_memory(self) -> None:
        """Never go back to a runtime directory that was removed under us."""
        self.memory_dir = None

    def is_unlinked(self) -> bool:
        """Whether the lane's place in memory was removed, by a person or at logout."""
        return files.link_count(self._lock.fd, self._identity) == 0

    def is_lost(self) -> bool:
        """
        Whether the application closed our descriptor.

        With it gave up the lock that says this lane lives.
        """
        return files.link_count(self._lock.fd, self._identity) < 0

    def note_ending(self, signal_number: int = 0) -> None:
        """Say that the process has begun a normal end. Later records are still accepted."""
        # Of two threads that told at once, the one with the older counts may have stored last.
        self._is_named_untold = any(counts.totals() for counts in self.named.values())
        self.tell_counts()
        self._tell(pack_ending(signal_number), 0)

    def count_drop(self, reason: str) -> None:
        """Count a refused record where it outlives this process."""
        self.counters[reason] += 1
        self._tell_count(reason)

    def count_left_out(self, reason: str) -> None:
        """Count a record that sampling or a limit has left out; told outside as `count` does it."""
        count = self.counters[reason] + 1
        self.counters[reason] = count
        self._untold.add(reason)
        if count & (count - 1) == 0:
            self._tell_count(reason)

    def tell_counts(self) -> None:
        """Tell outside what has been counted in here alone: once a second, and at the end."""
        self._tell_named()
        for reason in list(self._untold):
            self._untold.discard(reason)
            self._tell_count(reason)

    def _tell_count(self, reason: str) -> None:
        if not self._tell(self.counters[reason].to_bytes(8, sys.byteorder), counter_offset(reason)):
            self._untold.add(reason)

    def count(self, what: str, name: str) -> None:
        """
        Count something by name, as in `layout.NAMED`.

        It is told outside at the 1st, 2nd, 4th, 8th … of each, and, as `tell_counts` is called, once a
        second and at the end: a store each time would cost a system call for every such record.
        """
        count = self.named[what].add(name)
        self._is_named_untold = True
        if count & (count - 1) == 0:
            self._tell_named()

    def _tell_named(self) -> None:
        """Store what was counted by name where the writer sees it."""
        if not self._is_named_untold:
            return
        self._is_named_untold = False  # first: what another thread counts from here on is told the next time
        named = {what: counts.totals() for what, counts in self.named.items()}
        about = pack_about(self._process | {what: totals for what, totals in named.items() if totals})
        if not self._tell(about, ABOUT_OFFSET):
            self._is_named_untold = True

    def _tell(self, what: bytes, offset: int) -> bool:
        """
        Store in each `alive` file what the writer is to know; whether every one took it.

        A volume that refuses stops neither the other place nor the application: no record is refused for
        that, and nobody who ends gets an error. The writer puts together what the places say.
        """
        taken = [self._is_told(fd, what, offset) for fd in self._fds()]
        return all(taken)

    @staticmethod
    def _is_told(fd: int, what: bytes, offset: int) -> bool:
        try:
            files.pwrite_all(fd, what, offset)
        except OSError as error:
            handlers.let_through(error)
            return False
        return True

    def _keep_position(self, path: Path) -> None:
        """Open the position file for good: the writer stores into it also when its directory is removed."""
        fd = os.open(path, files.READ)
        self._positions.append((fd, files.identity_of(fd)))

    def positions(self) -> tuple[int, int]:
        """Return (written, durable) as the writer last stored them."""
        written, durable, _ = self._published()
        return written, durable

    def has_arrived(self, end: int, *, durable: bool) -> bool:
        """
        Whether the writer has got as far as a place of ours (durable: and synced it).

        No when it came there by passing over dropped segments: what stood at that place may be among them.
        """
        *positions, last_stub = self._published()
        return positions[durable] >= end and last_stub < max(1, end >> OFFSET_BITS)

    def _published(self) -> list[int]:
        """Return (written, durable, serial of the last stub), each the highest in the lane's directories."""
        highest = [0, 0, 0]
        for fd, identity in self._positions:
            data = os.pread(fd, POSITION.size, 0) if files.link_count(fd, identity) >= 0 else b""
            if len(data) == POSITION.size:
                written, durable, *_, last_stub = POSITION.unpack(data)
                highest = list(map(max, highest, (written, durable, last_stub)))
        return highest

    def close(self) -> None:
        """Let go of the lane's locks: the writer may finish it."""
        failpoint.reach("emit.lane.closing")
        files.close_if_ours(self._lock.fd, self._identity)
        for fd, identity in self._positions:
            files.close_if_ours(fd, identity)
        self._positions.clear()
        if self._disk_lock is not None:
            self._disk_lock.close()

    def _fds(self) -> list[int]:
        if self.is_lost():
            return []
        return [lock.fd for lock in (self._lock, self._disk_lock) if lock is not None and lock.fd >= 0]

    def _go_on_in(self, made: Path) -> RecordLock:
        """Use a directory of ours that an exception of a signal handler kept us from knowing of."""
        lock = RecordLock(made / "alive")
        lock.try_acquire()
        self._keep_position(made / "position")
        return lock

    def _make(self, parent: Path) -> RecordLock:
        """Put the lane together in a draft, and take the draft away when that fails."""
        draft = parent / f".new-{self.producer}"
        try:
            return self._make_in(draft)
        except BaseException:
            files.remove_tree(draft)
            raise

    def _make_in(self, draft: Path) -> RecordLock:
        draft.mkdir(mode=0o700, exist_ok=True)
        failpoint.reach("emit.lane.drafted")
        lock = RecordLock(draft / "alive")
        try:
            files.pwrite_all(lock.fd, pack_alive(self._process), 0)
            failpoint.reach("emit.lane.described")
            lock.try_acquire()
            files.replace(draft / "position", bytes(POSITION.size))
            failpoint.reach("emit.lane.locked")
            self._keep_position(draft / "position")
            if draft.parent == self.places.disk_lanes_dir:
                # Again: a draft that was made below its mount point ends here.
                require_volume(self.places, self.places.disk_lanes_dir)
            draft.rename(draft.parent / self.producer)
        except BaseException:
            lock.close()
            raise
        failpoint.reach("emit.lane.made")
        return lock

    def _about(self) -> dict[str, object]:
        pid = os.getpid()
        return {
            "producer": self.producer,
            "role": self.role,
            "pid": pid,
            "start_ticks": processes.start_ticks(pid),
            "pid_namespace": processes.pid_namespace(),
            "created": clock.wall_text(),
            "program": _program(),
        }


def _program() -> str:
    """Return what this process was started as. A name on a disk may hold bytes that are no text."""
    argv = getattr(sys, "argv", None) or [""]
    return "".join(c if c.isprintable() else "?" for c in argv[0][:_PROGRAM_CHARS_MAX])


def _gate(places: Places) -> GateLock:
    """
    Hold the end of the pipeline off while a lane is made.

    The runtime directory may be removed at any moment.
    """
    gate = GateLock(places.runtime("attach.lock"))
    while True:
        try:
            gate.acquire(exclusive=False)
        except FileNotFoundError:
            create_runtime(places)
            continue
        if places.lanes_dir.is_dir():
            return gate
        gate.release()
        create_runtime(places)
