"""
How much room the queue may take, and takes.

Measured only when a segment is needed, by adding up what stands in the lane directories: producers share no
counter and no lock, so two of them may overshoot the quota by a segment each.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.host import files
from pipeline.limits import MIB
from pipeline.queue.layout import serial_of

if TYPE_CHECKING:
    from pipeline.paths import Places

_DISK_NOTE: Final = "disk_used"
_CGROUP_V1: Final = "/sys/fs/cgroup/memory"
_CGROUP_V2: Final = "/sys/fs/cgroup"
_UNLIMITED: Final = 1 << 60
_CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")


def used_bytes(lanes_dir: Path) -> int:
    """Return the bytes of all segments below a directory of lanes."""
    total = 0
    for lane in _entries(lanes_dir):
        if lane.is_dir(follow_symlinks=False):
            total += sum(_size(entry) for entry in _entries(Path(lane.path)) if serial_of(entry.name))
    return total


def disk_bytes(places: Places, *, is_look_needed: bool) -> int:
    """Return the bytes of all segments on disk; without a need to look, as somebody has noted them last."""
    if not is_look_needed:
        with contextlib.suppress(OSError, ValueError):
            return int(places.runtime(_DISK_NOTE).read_bytes())
    return used_bytes(places.disk_lanes_dir)


def note_disk_bytes(places: Places, used: int) -> None:
    """Note what the disk lanes take, for whoever must not wait for a disk."""
    with contextlib.suppress(OSError):
        files.replace(places.runtime(_DISK_NOTE), b"%d" % used, is_only_writer=True)


def memory_share_bytes(lanes_dir: Path, queue_max_bytes: int) -> int:
    """
    Return how much of the quota may lie in memory.

    min(quota, ¼ of the tightest memory limit above us, ½ of what /dev/shm has free with our own segments
    counted as free): memory lanes are charged to the application's cgroup and the charge outlives it, so that
    a fixed share of 1 GB under a limit of 256 MB was a crash loop.
    """
    free = files.free_bytes(lanes_dir) or 0
    return min(queue_max_bytes, memory_limit_bytes() // 4, (free + used_bytes(lanes_dir)) // 2)


def memory_limit_bytes() -> int:
    """
    Return the tightest memory limit of the cgroups above this process.

    A very large number when there is none.
    """
    limit = _UNLIMITED
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limit = min(limit, _tightest(_CGROUP_V2, path, "memory.max"))
        elif "memory" in controllers.split(","):
            limit = min(limit, _tightest(_CGROUP_V1, path, "memory.limit_in_bytes"))
    return limit


def preferred_place(lanes: str, *, is_memory: bool) -> tuple[str, str]:
    """
    Return ("memory" or "disk", why) for the setting `lanes`.

    auto is memory where stores keep their order (x86-64), and disk in a container whose /dev/shm ends with
    it.
    """
    if not is_memory:
        return "disk", "the runtime directory is not on a file system in memory"
    if lanes != "auto":
        return lanes, "set"
    if (machine := os.uname().machine) not in ("x86_64", "AMD64"):
        return "disk", f"{machine} does not keep the order of stores"
    if is_container_with_own_memory():
        return "disk", "/dev/shm ends with this container"
    return "memory", "auto"


def is_container_with_own_memory() -> bool:
    """
    Whether /dev/shm ends when this process's container does: Docker and Podman, but not a Kubernetes pod.

    The mark alone is not enough: machine images are built from container images and keep it, on a root of
    their own.
    """
    if "KUBERNETES_SERVICE_HOST" in os.environ or not any(os.path.exists(mark) for mark in _CONTAINER_MARKS):
        return False
    roots = [line.split() for line in _lines("/proc/self/mounts")]
    return any(point == "/" and "overlay" in kind for _, point, kind, *_ in roots)


def quota_bytes(queue_max_mb: float) -> int:
    """Return the quota in bytes."""
    return int(queue_max_mb * MIB)


def _tightest(mount: str, path: str, name: str) -> int:
    """Walk from our cgroup up to the root; in a container the path may lead nowhere, and the root is ours."""
    limit = _UNLIMITED
    here = Path(mount + path)
    while True:
        for line in _lines(str(here / name)):
            if line.strip().isdigit():
                limit = min(limit, int(line))
        if str(here) in (mount, "/"):
            return limit
        here = here.parent


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except OSError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _lines(path: str) -> list[str]:
    """Return the lines of a small file. Without open(): the interpreter may be at its end, and io gone."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return []
    try:
        data = b""
        while piece := os.read(fd, 1 << 16):
            data += piece
    except OSError:
        return []
    finally:
        os.close(fd)
    return data.decode(errors="replace").splitlines()
