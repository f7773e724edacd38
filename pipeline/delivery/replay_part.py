"""One part that replay writes, `DATE.rN.jsonl`: bytes at its end, known to be durable or cut off again."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint, files
from pipeline.paths import BELONGINGS
from pipeline.storage import departed, holding, manifest, naming, packed
from pipeline.storage.day_file import DELETED, INTACT
from pipeline.storage.directories import Access

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.storage.fallback_rows import Claim
    from pipeline.storage.grip import Grip

_CHUNK_BYTES: Final = 4 << 20


class ReplayPart:
    """An open part. `last_numbers` is what this run put into it, by producer: their order is kept in it."""

    def __init__(self, path: Path, fd: int, grip: Grip) -> None:
        self.path = path
        self.fd = fd
        self.volume, self.inode = grip.identity_of(os.fstat(fd))
        self.synced_size = self.actual_size()
        self.last_numbers: dict[str, int] = {}
        self._is_named = False
        """Whether its name is durable: whoever made it may have died before that."""

    @property
    def name(self) -> str:
        """The file's name in the log directory."""
        return self.path.name

    def actual_size(self) -> int:
        """Return how long the file is."""
        return os.fstat(self.fd).st_size

    def change(self) -> str:
        """Return DELETED when the file has lost its name, else INTACT."""
        return INTACT if os.fstat(self.fd).st_nlink else DELETED

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the file."""
        return files.pread_all(self.fd, end - start, start)

    def read_from(self, start: int) -> bytes:
        """Return what stands at `start` and behind; nothing where the file is shorter."""
        return files.pread_all(self.fd, max(0, self.actual_size() - start), start)

    def append(self, data: bytes) -> None:
        """Append all of it; OSError cuts off again what did arrive, as far as that can be done."""
        start = self.actual_size()
        try:
            if failpoint.is_aimed_at("replay.append.partial"):
                files.write_all(self.fd, data[: len(data) // 2])
                failpoint.reach("replay.append.partial")
                data = data[len(data) // 2 :]
            files.write_all(self.fd, data)
        except OSError:
            with suppress(OSError):
                self.cut_to(start)
            raise

    def write_again(self, data: bytes, start: int) -> None:
        """Write what stands there already: a failed fsync may have left pages that are on no disk."""
        fd = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_CLOEXEC)  # without O_APPEND
        try:
            files.pwrite_all(fd, data, start)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make the file and its name durable. OSError, also when it has no name any more."""
        size = self.actual_size()
        os.fsync(self.fd)
        if not os.fstat(self.fd).st_nlink:
            raise FileNotFoundError(f"{self.path} was removed")
        if not self._is_named:
            failpoint.reach("replay.sync.before_directory")
            files.sync_directory(self.path.parent)
            self._is_named = True
        self.synced_size = size

    def cut_to(self, size: int) -> None:
        """Shorten the file, durably."""
        self.synced_size = min(self.synced_size, size)
        os.ftruncate(self.fd, size)
        os.fsync(self.fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def create(grip: Grip, instance: str, period: str, settings: Settings, *, may_take_empty: bool) -> ReplayPart:
    """
    Return a new part. OSError when it cannot be made.

    `may_take_empty`: one that somebody made who died before its first byte will do; not where a cut mark
    could be about it.
    """
    log_dir = grip.places.log_dir
    had = departed.files_of(manifest.directory_of(log_dir / BELONGINGS))
    day = naming.next_replay_part(log_dir, instance, period, had)
    left = log_dir / str(day._replace(part=day.part - 1))
    # The one before the first is no part: it has the name of the file that live records go to.
    if may_take_empty and day.part > 1 and left.is_file() and not left.stat().st_size:
        day = day._replace(part=day.part - 1)
    path = log_dir / str(day)
    part = _shared(grip, path, os.open(path, files.APPEND | os.O_NOFOLLOW, settings.file_mode))
    failpoint.reach("replay.created")
    Access.of(settings).give_file(part.fd)
    return part


def find(grip: Grip, claim: Claim) -> ReplayPart | None:
    """
    Return the file of a claim, wherever in the log directory its name is now; None when it is gone or packed.

    OSError when that cannot be said, or somebody is just packing it.
    """
    path = grip.find(claim.part, claim.volume, claim.inode)
    if path is None:
        return None
    return _shared(grip, path, os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW))


def packed_since(grip: Grip, claim: Claim) -> bytes:
    """Return what a part that is packed by now holds from the place of a claim on; nothing when it is not."""
    path = naming.packed_copy(grip.places.log_dir / claim.part)
    if path is None:
        return b""
    found, place = [], 0
    with packed.opened(path) as file:
        while piece := packed.read(file, _CHUNK_BYTES):
            found.append(piece[max(0, claim.start - place) :])
            place += len(piece)
    return b"".join(found)


def _shared(grip: Grip, path: Path, fd: int) -> ReplayPart:
    if not holding.share(fd):
        os.close(fd)
        raise BlockingIOError(errno.EBUSY, "the file is being packed", str(path))
    return ReplayPart(path, fd, grip)


def lines_without(lines: Sequence[bytes], there: bytes) -> list[bytes]:
    """Return the lines that do not stand among `there` as whole lines."""
    known = set(there.splitlines(keepends=True))
    return [line for line in lines if line not in known]
