"""
All lanes of an instance, as the writer sees them: found, watched, ended, removed.

A lane lives while its producer holds the record lock on its `alive` file. When the lock is free no record can
come any more, and whether the end was a normal one is what the file says. A lock can also be lost by a
process that closes all its descriptors; such a process looks at its lane once a second and starts another, so
its old lane is given two seconds.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.host import clock, failpoint, files, processes
from pipeline.host.locks import holder_of
from pipeline.limits import LANE_GRACE_SEC, STALE_CREATION_SEC
from pipeline.queue.layout import ALIVE_BYTES, ENDING, POSITION, About, together, unpack_alive
from pipeline.queue.tailer import Tailer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.queue.tailer import Slice

LIVE: Final = "live"
CLOSED: Final = "closed"
DIED: Final = "died"


@dataclass
class WatchedLane:
    """A lane and what is known of its producer."""

    tailer: Tailer
    alive_fds: dict[Path, int] = field(default_factory=dict)
    """Opened once and kept: a lane that is removed under load is still watched through them."""
    position_fds: dict[Path, int] = field(default_factory=dict)
    about: About = field(default_factory=lambda: unpack_alive(b""))
    end: str = LIVE
    free_since: float = 0.0
    told_drops: tuple[int, ...] = (0,) * 7
    """Refused records, by reason, that a `records_dropped` record has named."""

    @property
    def producer(self) -> str:
        """The producer's id."""
        return self.tailer.producer

    def adopt_directory(self, directory: Path, durable: int | None = None) -> None:
        """
        Add a directory of this lane that has been found.

        `durable` is for one that is found late, and says how far the lane is. What it says itself was
        written is the word of a dead writer then, who may have been overruled since.
        """
        try:
            alive = os.open(directory / "alive", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        self.alive_fds[directory] = alive
        self.tailer.directories.append(directory)
        try:
            self.position_fds[directory] = os.open(
                directory / "position", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            )
        except OSError:
            return
        self._load_position(directory, durable)

    def store_position(self) -> None:
        """Publish how far the lane is written and durable."""
        tailer = self.tailer
        data = POSITION.pack(tailer.written, tailer.durable, *self.told_drops, tailer.last_stub)
        for fd in self.position_fds.values():
            os.pwrite(fd, data, 0)

    def refresh_about(self) -> None:
        """Read again what the producer says of itself; of its places, one may have refused to be told."""
        told = [unpack_alive(files.pread_all(fd, ALIVE_BYTES, 0)) for fd in self.alive_fds.values()]
        told = [about for about in told if about.process]
        if told:
            self.about = together(told)

    def is_locked(self) -> bool:
        """Whether the producer holds one of the lane's locks."""
        return any(holder_of(fd) is not None for fd in self.alive_fds.values())

    def is_process_running(self) -> bool:
        """Whether the very process that made the lane still runs, as far as this pid namespace can tell."""
        process = self.about.process
        if process.get("pid_namespace") != processes.pid_namespace():
            return False
        return processes.is_running(int(process.get("pid", 0)), int(process.get("start_ticks", 0)))

    def close(self) -> None:
        """Close all descriptors."""
        self.tailer.close()
        for fd in (*self.alive_fds.values(), *self.position_fds.values()):
            os.close(fd)

    def _load_position(self, directory: Path, known: int | None) -> None:
        data = os.pread(self.position_fds[directory], POSITION.size, 0)
        if len(data) == POSITION.size:
            written, durable, *told, last_stub = POSITION.unpack(data)
            self.tailer.last_stub = max(self.tailer.last_stub, last_stub)
            self.tailer.durable = max(self.tailer.durable, durable, known or 0)
            self.tailer.written = max(
                self.tailer.written, self.tailer.durable if known is not None else written
            )
            self.told_drops = max(self.told_drops, tuple(told))


class Lanes:
    """
    The lanes of one instance. `is_own` tells the writer's own lanes, whose locks it must never test.

    Who does not see the disk (`sees_all`) takes no lane for ended that has gone on there, and reads what it
    sees of it.
    """

    def __init__(
        self, places: Places, is_own: Callable[[str], bool], *, sees_all: Callable[[], bool] = lambda: True
    ) -> None:
        self.places = places
        self.watched: dict[str, WatchedLane] = {}
        self.removed: list[str] = []
        """Producers whose lane is gone: nobody asks for their positions. Whoever keeps them empties this."""
        self._left: dict[Path, str] = {}
        """Directories of finished lanes, by producer, that could not be removed yet: they are no lanes."""
        self._is_own = is_own
        self._sees_all = sees_all
        self._disk_due = 0.0
        self.durable_of: Callable[[str], int] | None = None
        """How far a lane is durable, once positions are settled; who is found later is asked for no more."""

    def all(self) -> list[WatchedLane]:
        """Return the lanes, oldest find first."""
        return list(self.watched.values())

    def busy_periods(self) -> set[str]:
        """Return the periods that lanes with something to write may write to; an idle lane has none."""
        busy = (lane.tailer for lane in self.watched.values() if lane.tailer.has_pending())
        return {period for tailer in busy for period in tailer.periods()}

    def take(self, slices: Iterable[Slice]) -> bool:
        """Make the segments of a batch ours before they are read; False when one was dropped meanwhile."""
        segments = {(piece.producer, piece.serial) for piece in slices}
        return all(self.watched[producer].tailer.take(serial) for producer, serial in segments)

    def scan(self, *, everywhere: bool = False) -> list[WatchedLane]:
        """
        Find lanes that are new, and return them.

        The disk is looked at twice a second, as it may be slow.
        """
        parents = [self.places.lanes_dir]
        if everywhere or clock.monotonic() >= self._disk_due:
            parents.append(self.places.disk_lanes_dir)
            self._disk_due = clock.monotonic() + 0.5
            for lane in self.all():
                lane.tailer.is_whole = self._is_whole(lane)
        return [lane for parent in parents for lane in self._scan_directory(parent)]

    def watch(self) -> list[WatchedLane]:
        """Return the lanes that have ended since the last call; their chain is final and open to its end."""
        return [lane for lane in self.all() if lane.end == LIVE and self._has_ended(lane)]

    def end(self, lane: WatchedLane) -> None:
        """Take a lane for ended, whatever its lock says: the writer's own, when it stops."""
        lane.refresh_about()
        lane.end = CLOSED if lane.about.state == ENDING else DIED
        lane.tailer.is_ended = True
        lane.tailer.open_all()

    def remove(self, lane: WatchedLane) -> None:
        """Forget a finished lane, and remove its directories, at once or when their volume lets us."""
        lane.close()
        self.watched.pop(lane.producer, None)
        self._left |= dict.fromkeys(lane.tailer.directories, lane.producer)
        self._remove_left()
        failpoint.reach("writer.lane.removed")

    def keep_aside(self, lane: WatchedLane, target: Path) -> None:
        """Copy a lane that cannot be read whole to where it harms nobody; OSError if that fails."""
        files.make_private(target)
        for index, directory in enumerate(lane.tailer.directories):
            shutil.copytree(directory, target / f"{lane.producer}.{index}", dirs_exist_ok=True)

    def collect(self) -> None:
        """Remove finished lanes that could not be removed, and those whose producers died at making them."""
        self._remove_left()
        for parent in (self.places.lanes_dir, self.places.disk_lanes_dir):
            for name in files.names_in(parent):
                if name.startswith(".new-"):
                    self._collect_draft(parent / name)

    def _remove_left(self) -> None:
        for directory, producer in list(self._left.items()):
            shutil.rmtree(directory, ignore_errors=True)
            failpoint.reach("writer.lane.directory_removed")
            # On a volume that is away it is not gone: it comes back with it.
            if not os.path.lexists(directory) and directory.parent.is_dir():
                del self._left[directory]
                if producer not in self._left.values():
                    self.removed.append(producer)

    def _collect_draft(self, draft: Path) -> None:
        try:
            age = clock.wall_ns() / clock.NANO - draft.stat().st_mtime
        except OSError:
            return
        if age > STALE_CREATION_SEC:
            shutil.rmtree(draft, ignore_errors=True)

    def _scan_directory(self, parent: Path) -> list[WatchedLane]:
        found = []
        for name in files.names_in(parent):
            if name.startswith(".") or name == "instance.lock":
                continue
            directory = parent / name
            if directory in self._left:
                continue
            lane = self.watched.get(name)
            if lane is not None and directory in lane.tailer.directories:
                continue
            is_new = lane is None
            lane = lane or WatchedLane(Tailer(name, []))
            self._adopt(lane, directory)
            if lane.tailer.directories and is_new:
                self.watched[name] = lane
                found.append(lane)
        return found

    def _adopt(self, lane: WatchedLane, directory: Path) -> None:
        if self._is_own(lane.producer):
            with suppress(OSError):  # the next look tries again
                lane.position_fds[directory] = os.open(directory / "position", os.O_RDWR | os.O_CLOEXEC)
                lane.tailer.directories.append(directory)
            return
        durable = self.durable_of(lane.producer) if self.durable_of else None
        lane.adopt_directory(directory, durable)
        if self.durable_of:
            with suppress(OSError):  # it says so with the next batch of the lane
                lane.store_position()
        lane.refresh_about()
        lane.tailer.is_whole = self._is_whole(lane)

    def _has_ended(self, lane: WatchedLane) -> bool:
        if self._is_own(lane.producer) or lane.is_locked():
            lane.free_since = 0.0
            return False
        lane.refresh_about()
        now = clock.monotonic()
        lane.free_since = lane.free_since or now
        if (
            lane.about.state != ENDING
            and lane.is_process_running()
            and now - lane.free_since < LANE_GRACE_SEC
        ):
            return False
        self._scan_directory(self.places.disk_lanes_dir)
        if not self._is_whole(lane):
            return False
        self.end(lane)
        return True

    def _is_whole(self, lane: WatchedLane) -> bool:
        """
        Whether no part of a lane may be where we do not look, or could not.

        A place on a volume that is read-only can be seen and not adopted.
        """
        if not lane.about.has_disk:
            return True
        place = self.places.disk_lanes_dir / lane.producer
        # Twice: of a volume that went away and came back between nobody has seen that it is not there.
        return (
            self._sees_all() and (place in lane.tailer.directories or _is_missing(place)) and self._sees_all()
        )


def _is_missing(path: Path) -> bool:
    """Whether nothing is there; not when nobody can say."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
