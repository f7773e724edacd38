"""
Lanes that dead instances left behind: adopted by the next pipeline over the same log directory, or collected.

A container that is started again has another pid namespace and so is another instance; what its predecessor
left in the state directory or in a shared /dev/shm is its own to deliver. Whether a lane's producer is dead
is what its lock says, and whether an instance still has a writer is what the locks of its directories say.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint, files, locks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.paths import Places

INSTANCE_LOCK: Final = "instance.lock"
"""Held by the writer of the instance whose disk lanes stand beside it."""


def adopt(places: Places, before: Callable[[], None]) -> list[str]:
    """
    Move the lanes of dead instances over the same log directory into ours; returns their producers.

    `before` is called when there are any, before the first is moved: the files have to be asked what is
    stored of them.
    """
    sources = [(parent / "lanes", parent, places.lanes_dir) for parent in _dead_memory_instances(places)]
    sources += [(parent, parent, places.disk_lanes_dir) for parent in _dead_disk_instances(places)]
    if any(_adoptable(source) for source, _, _ in sources):
        before()
    adopted: list[str] = []
    for source, parent, target in sources:
        adopted += _take_lanes(source, target)
        _remove_if_empty(parent, source)
    failpoint.reach("writer.adopt.after")
    return adopted


def collect(places: Places) -> list[Path]:
    """Remove the runtime directories of dead pipelines whose log directory is gone; returns them."""
    gone = []
    for directory in _siblings(places):
        home = files.read_json(directory / "home.json") or {}
        log_dir = home.get("log_dir", "")
        if log_dir and not Path(log_dir).exists() and not _has_life(directory):
            shutil.rmtree(directory, ignore_errors=True)
            gone.append(directory)
    return gone


def _dead_memory_instances(places: Places) -> list[Path]:
    mine = {"log_dir": str(places.log_dir), "state_dir": str(places.state_dir)}
    return [
        directory
        for directory in _siblings(places)
        if mine.items() <= (files.read_json(directory / "home.json") or {}).items()
        and locks.holder(directory / "supervisor.lock") is None
        and locks.holder(directory / "writer.lock") is None
    ]


def _dead_disk_instances(places: Places) -> list[Path]:
    parent = places.disk_lanes_dir.parent
    return [
        parent / name
        for name in files.names_in(parent)
        if name != places.disk_lanes_dir.name
        and name.partition("-")[0] == places.disk_lanes_dir.name.partition("-")[0]
        and locks.holder(parent / name / INSTANCE_LOCK) is None
    ]


def _adoptable(source: Path) -> list[str]:
    """Return the lanes whose producer is dead."""
    names = [name for name in files.names_in(source) if not name.startswith(".")]
    lanes = [name for name in names if (source / name / "alive").exists()]
    return [name for name in lanes if locks.holder(source / name / "alive") is None]


def _take_lanes(source: Path, target: Path) -> list[str]:
    taken = []
    for name in _adoptable(source):
        lane = source / name
        files.make_private(target)
        try:
            files.remove(lane / "position")  # positions of another instance's page say nothing here
            failpoint.reach("writer.adopt.before_move")
            lane.rename(target / name)
            failpoint.reach("writer.adopt.moved")
        except OSError:
            continue  # another pipeline was quicker
        files.replace(target / name / "position", b"")
        taken.append(name)
    return taken


def _siblings(places: Places) -> list[Path]:
    root = places.runtime_dir.parent
    return [root / name for name in files.names_in(root) if name != places.runtime_dir.name]


def _has_life(directory: Path) -> bool:
    held = [directory / "supervisor.lock", directory / "writer.lock", directory / "launch.lock"]
    held += [directory / "lanes" / name / "alive" for name in files.names_in(directory / "lanes")]
    return any(locks.holder(path) is not None for path in held)


def _remove_if_empty(directory: Path, lanes_dir: Path) -> None:
    if not [name for name in files.names_in(lanes_dir) if name != INSTANCE_LOCK]:
        shutil.rmtree(directory, ignore_errors=True)
