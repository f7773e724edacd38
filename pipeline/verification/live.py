"""
Producers that still have a lane, and so may still have records that are in no file.

A producer that lives holds a POSIX record lock on its lane's `alive` file. The lock is only asked about,
never taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

RUNTIME_ROOT_VARIABLE: Final = "PIPELINE_RUNTIME_ROOT"

# struct flock of 64-bit Linux: type, whence, start, length, pid; the compiler pads it to 32 bytes.
_FLOCK: Final = struct.Struct("@hhqqi4x")


@dataclass(frozen=True, slots=True)
class Lanes:
    """The producers that have a lane."""

    live: frozenset[str] = frozenset()
    """Their process lives."""
    queued: frozenset[str] = frozenset()
    """Their process is gone; the lane waits to be drained."""

    def __contains__(self, producer: str) -> bool:
        return producer in self.live or producer in self.queued

    def __bool__(self) -> bool:
        return bool(self.live or self.queued)

    def __or__(self, later: Lanes) -> Lanes:
        """Join two looks at different moments. Who was alive at one of them counts as alive."""
        live = self.live | later.live
        return Lanes(live, (self.queued | later.queued) - live)


class Home(NamedTuple):
    """A runtime directory that says it belongs to the log directory."""

    runtime_dir: Path
    state_dir: Path | None


def find_homes(log_dir: Path) -> list[Home]:
    """Return the runtime directories of all instances over this log directory that can be read."""
    wanted, owners = os.path.realpath(log_dir), _owners(log_dir)
    found = []
    for root in _runtime_roots():
        # Anybody may create a directory in /tmp, and a lane in it would excuse what the files lack.
        for file in _glob(root, "*/home.json") if _is_owned(root, owners) else ():
            home = _read_object(file)
            owner, state_dir = home.get("log_dir"), home.get("state_dir")
            if isinstance(owner, str) and os.path.realpath(owner) == wanted:
                found.append(Home(file.parent, Path(state_dir) if isinstance(state_dir, str) else None))
    return found


def find_lanes(log_dir: Path) -> Lanes:
    """Return the lanes of all instances over this log directory, in memory and on disk."""
    return live_producers(None, lanes_dirs(log_dir, find_homes(log_dir)))


def state_dirs(log_dir: Path, homes: Iterable[Home]) -> set[Path]:
    """Return where the instances over this log directory keep their state."""
    return {log_dir / ".pipeline", *(home.state_dir for home in homes if home.state_dir)}


def lanes_dirs(log_dir: Path, homes: Iterable[Home]) -> list[Path]:
    """Return the directories that have lanes as `PRODUCER/`, in memory and on disk."""
    homes = list(homes)
    disk = [lanes for place in sorted(state_dirs(log_dir, homes)) for lanes in _glob(place, "lanes/*")]
    return [*(home.runtime_dir / "lanes" for home in homes), *disk]


def live_producers(runtime_dir: Path | None, lanes_dirs: Iterable[Path]) -> Lanes:
    """
    Return the producers with a lane in these places.

    `runtime_dir` has its lanes in `lanes/PRODUCER/`; each of `lanes_dirs` has them as `PRODUCER/`.
    """
    places = [*lanes_dirs] if runtime_dir is None else [runtime_dir / "lanes", *lanes_dirs]
    own = _own_files()
    live: set[str] = set()
    queued: set[str] = set()
    for lane in (lane for place in places for lane in _glob(place, "*/")):
        (live if _is_alive(lane / "alive", own) else queued).add(lane.name)
    return Lanes(frozenset(live), frozenset(queued - live))


def _runtime_roots() -> Iterator[Path]:
    given = os.environ.get(RUNTIME_ROOT_VARIABLE)
    parents = [Path(given)] if given else [Path("/dev/shm"), *_glob(Path("/run/user"), "*"), Path("/tmp")]
    for parent in parents:
        yield from _glob(parent, "pipeline-*")


def _owners(log_dir: Path) -> frozenset[int]:
    """Return the users who own something in the log directory, and this one."""
    uids = {os.geteuid()}
    for path in (log_dir, *_glob(log_dir, "*")):
        with contextlib.suppress(OSError):
            uids.add(os.lstat(path).st_uid)
    return frozenset(uids)


def _is_owned(directory: Path, owners: Collection[int]) -> bool:
    try:
        status = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid in owners


def _is_alive(alive: Path, own: Collection[tuple[int, int]]) -> bool:
    try:
        status = os.stat(alive)
        # Closing any descriptor of a file gives up this process's own lock on it: never open what we hold.
        if (status.st_dev, status.st_ino) in own:
            return True
        with open(alive, "rb", buffering=0) as file:
            return _is_locked(file.fileno())
    except OSError:
        return False


def _is_locked(descriptor: int) -> bool:
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _own_files() -> frozenset[tuple[int, int]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/self/fd/{name}")
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _glob(place: Path, pattern: str) -> Iterator[Path]:
    # What vanishes or may not be read while we look is no lane of ours to judge.
    with contextlib.suppress(OSError):
        yield from place.glob(pattern)


def _read_object(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
