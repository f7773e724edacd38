"""
Small file systems that are mounted for a test, and what goes wrong with them.

All mounts are made in a mount namespace that this process enters first: nobody outside sees them, and they
are gone with the last process inside, also when the test run is killed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
KINDS = ("ext4", "xfs")
"""File systems on an image, which a power cut can hit."""
IMAGE_BYTES = {"ext4": 48 * MIB, "xfs": 300 * MIB}
"""What mkfs.xfs asks for at least; images are sparse."""
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F", "-m0"), "xfs": ("mkfs.xfs", "-q", "-f")}
_CLONE_NEWNS = 0x00020000
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number; fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h."""
_NO_LOG_FLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH: lose what is in memory."""


@functools.cache
def enter_private_namespace() -> None:
    """Put this process, and all that it starts from now on, into a mount namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")


def run(*command: str | Path) -> None:
    """Run a tool to its end; what it says is in the error when it fails."""
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def exchange(one: Path, other: Path) -> None:
    """Let two names change places, with no moment in which one of them is missing (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2", str(one))


@dataclass
class Volume:
    """One mounted file system. `source` is an image, empty for one in memory."""

    point: Path
    kind: str
    options: str
    source: Path | None = None
    is_frozen: bool = False
    fillers: list[Path] = field(default_factory=list)
    marked: list[Path] = field(default_factory=list)

    def mount(self) -> None:
        """Mount it; again, after an `unmount`."""
        loop = ["-o", "loop", str(self.source)] if self.source else ["tmpfs"]
        more = ["-o", self.options] if self.options else []
        run("mount", "-t", self.kind, *more, *loop, self.point)

    def fill(self, keep: int = 0) -> None:
        """Leave no byte free, or about `keep` bytes. OSError when it is not mounted: never the one below."""
        if not os.path.ismount(self.point):
            raise OSError(errno.ENODEV, "is not mounted", str(self.point))
        path = self.point / f"filler{len(self.fillers)}"
        with path.open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
            if keep:
                file.truncate(max(0, file.tell() - keep))
            with suppress(OSError):
                os.fsync(file.fileno())
        self.fillers.append(path)

    def free(self) -> None:
        """Give back what `fill` took."""
        while self.fillers:
            self.fillers.pop().unlink()

    def remount(self, options: str) -> None:
        """Change the options of the mount; OSError "busy" for `ro` while a file is open for writing."""
        run("mount", "-o", f"remount,{options}", self.point)

    def break_read_only(self) -> None:
        """Let ext4 find an error in itself: an emergency, read-only from then on, also for open files."""
        device = os.stat(self.point).st_dev
        name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")

    def unmount(self, *, lazily: bool = False) -> None:
        """Take it away: from under open files too (`lazily`), else once nobody has one."""
        if lazily:
            run("umount", "--lazy", self.point)
            return
        until(self._tried_unmount, f"nobody in {self.point}")

    def _tried_unmount(self) -> bool:
        try:
            run("umount", self.point)
        except OSError:
            return False
        return True

    def freeze(self) -> None:
        """Let whoever writes hang in the kernel until `thaw`."""
        run("fsfreeze", "-f", self.point)
        self.is_frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        run("fsfreeze", "-u", self.point)
        self.is_frozen = False

    def forbid(self, path: Path) -> None:
        """Forbid every change of a file or directory (chattr +i), to root and to who has it open."""
        run("chattr", "+i", path)
        self.marked.append(path)

    def allow(self) -> None:
        """Allow what was forbidden."""
        while self.marked:
            run("chattr", "-i", self.marked.pop())

    def cut_power(self) -> None:
        """Lose what is not on the disk; from now on every call fails with EIO, until it is mounted again."""
        fd = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(fd)

    def end(self) -> None:
        """Take it away whatever its state is."""
        with suppress(OSError):
            self.allow()
        if self.is_frozen:
            self.thaw()
        while os.path.ismount(self.point):
            run("umount", "--lazy", self.point)


class Volumes:
    """What a test mounts, below one place."""

    def __init__(self, place: Path, need_tool: Callable[[str], str]) -> None:
        self.place = place
        self._need_tool = need_tool
        self._all: list[Volume] = []

    def memory(self, name: str, options: str = "size=8m") -> Volume:
        """Mount one in memory."""
        return self._mounted(Volume(self._point(name), "tmpfs", options))

    def disk(self, name: str, kind: str = "ext4", *, size: int = 0, options: str = "") -> Volume:
        """Mount one on an image of `size` bytes that is made for it."""
        image = self.place / f"{name}.image"
        with image.open("wb") as file:
            file.truncate(size or IMAGE_BYTES[kind])
        self.make(image, kind)
        return self.image(name, image, kind, options=options)

    def make(self, image: Path, kind: str) -> None:
        """Make an empty file system in an image."""
        tool, *how = _MAKE[kind]
        run(self._need_tool(tool), *how, image)

    def image(self, name: str, image: Path, kind: str, *, options: str = "") -> Volume:
        """Mount an image that holds a file system."""
        return self._mounted(Volume(self._point(name), kind, options, image))

    def end(self) -> None:
        """Unmount all, the last one first."""
        while self._all:
            self._all.pop().end()

    def _point(self, name: str) -> Path:
        point = self.place / name
        point.mkdir(exist_ok=True)
        return point

    def _mounted(self, volume: Volume) -> Volume:
        self._all.append(volume)
        volume.mount()
        return volume


@contextmanager
def volumes_below(place: Path, need_tool: Callable[[str], str]) -> Iterator[Volumes]:
    """Give what mounts file systems below a place; they are gone afterwards."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    for tool in ("mount", "umount", "chattr", "fsfreeze"):
        need_tool(tool)
    enter_private_namespace()
    with ExitStack() as stack:
        volumes = Volumes(Path(os.path.realpath(place)), need_tool)
        stack.callback(volumes.end)
        yield volumes
