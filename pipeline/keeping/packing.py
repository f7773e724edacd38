"""
Packing one day file: a proven copy first, then the name, and the plain file goes last.

The copy is made in `.pipeline/packing` and synced, read back, and compared with what the manifest says of the
plain file. Then the plain file is read once more, the copy gets its name, the directory is synced, and the
plain file is unlinked. A file whose bytes are not those that its manifest has is evidence: it stays as it is.

| what if it dies, or it fails | then |
|---|---|
| before the rename | the plain file is there; `mend` removes the copy |
| between rename and unlink | both are there, readers take the plain one; `mend` compares them and goes on |
| behind the unlink | the packed file is there, whole and synced under its name |
| disk full, an error of the disk | the copy is removed; the plain file is what it was |
| somebody changes the plain file meanwhile | it stays, and the copy goes |

Invariants                                                                  crash/test_keeper_killed.py
    Z1  At every moment the plain file is there or a packed one that is whole, proven, and durable.
    Z2  Nothing is packed whose bytes the manifest does not have, to the last one; so nothing that a cut mark
        or a recovery could still want to cut is.                           integration/test_packing.py
    Z3  The plain file is unlinked only while nobody has it open to append, and only if it is, in device,
        inode, size, times and digests, what was packed.                    the same
    Z4  A packed file never takes the place of a file that is there.        the same
Whoever uses this holds the keeper lock (`storage.fence.keeper_lock_of`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from pipeline.errors import PackingRefused
from pipeline.host import failpoint, files
from pipeline.keeping import proof
from pipeline.keeping.codecs import codec_of
from pipeline.keeping.proof import Digests
from pipeline.limits import MIB
from pipeline.storage import holding, naming
from pipeline.verification.files import describe
from pipeline.verification.opener import READ_ERRORS, read_chunks

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from pipeline.keeping.codecs import Size
    from pipeline.keeping.proof import Range
    from pipeline.paths import Places
    from pipeline.storage.holding import Held

DIRECTORY: Final = "packing"
PIECE_BYTES: Final = 4 * MIB
PIECE_BYTES_MAX: Final = 64 * MIB
"""A piece ends with a line, unless the line is longer than this."""


class Packing:
    """
    One file being packed: `steps()` does it, and afterwards `before` and `after` are the bytes it took.

    `name` is the plain file's in the log directory, `compression` that of the setting, not `none`.
    """

    def __init__(self, places: Places, name: str, compression: str) -> None:
        self.name = name
        self.before = self.after = 0
        self._places = places
        self._codec = codec_of(compression)
        self._path = places.log_dir / name
        self._target = places.log_dir / f"{name}.{self._codec.suffix}"
        self._draft = _directory(places) / self._target.name
        self._digests: list[str] = []

    def steps(self) -> Generator[int, None, None]:
        """
        Pack it in steps of some megabytes; each yields its bytes. Closed early, all is as before.

        PackingRefused when the file has to stay as it is; OSError when the disk refuses.
        """
        with _held(self._path) as held:
            about = os.fstat(held.fd)
            if naming.packed_copy(self._path) is not None:
                raise PackingRefused("a packed copy of it is there already", where=self.name)
            try:
                ranges = proof.ranges_of(self._places.belongings_dir, self.name, about.st_size)
                yield from self._make_draft(held, about, ranges)
                yield from _require_same(self._draft, ranges, self._digests)
                yield from self._require_unchanged(held, ranges)
                self._replace(held, about)
            finally:
                with contextlib.suppress(OSError):  # `mend` removes it then
                    files.remove(self._draft)

    def _make_draft(
        self, held: Held, about: os.stat_result, ranges: list[Range]
    ) -> Generator[int, None, None]:
        """Write the packed copy and sync it."""
        files.make_private(self._draft.parent)
        files.remove(self._draft)
        digests = Digests(ranges)
        sizes: list[Size] = []
        fd = os.open(self._draft, files.CREATE, 0o600)
        try:
            for piece in pieces(held.fd):
                digests.feed(piece)
                packed = self._codec.piece(piece)
                files.write_all(fd, packed)
                failpoint.reach("keeper.pack.partial")
                sizes.append((len(packed), len(piece)))
                yield len(piece)
            if proof.differs(ranges, digests.done):
                raise PackingRefused(
                    "its bytes are not what its manifest says", remedy="Try: pipeline verify"
                )
            files.write_all(fd, self._codec.end(sizes))
            _give(fd, about)
            os.fsync(fd)
            _forget(fd)
            self._digests = digests.done
            self.before, self.after = about.st_size, os.fstat(fd).st_size
        finally:
            os.close(fd)
        failpoint.reach("keeper.pack.synced")

    def _require_unchanged(self, held: Held, ranges: list[Range]) -> Generator[int, None, None]:
        digests = Digests(ranges)
        for piece in pieces(held.fd):
            digests.feed(piece)
            yield len(piece)
        if digests.done != self._digests:
            raise PackingRefused("somebody changed it while it was packed", where=self.name)

    def _replace(self, held: Held, about: os.stat_result) -> None:
        failpoint.reach("keeper.pack.compared")
        if naming.packed_copy(self._path) is not None:
            raise PackingRefused("somebody made a packed copy of it meanwhile", where=self.name)
        self._draft.replace(self._target)
        failpoint.reach("keeper.pack.renamed")
        files.sync_directory(self._places.log_dir)
        failpoint.reach("keeper.pack.named")
        if not _is_same(held, about):
            files.remove(self._target)
            raise PackingRefused("somebody changed it while it was packed", where=self.name)
        _unlink(self._path)


def mend(places: Places, name: str) -> Generator[int, None, None]:
    """
    Finish what a kill left of packing one file, in steps as `Packing.steps`: both forms of it are there.

    PackingRefused when they are not the same: then both stay, and readers take the plain one. OSError.
    """
    path = places.log_dir / name
    with _held(path) as held:
        packed, about = naming.packed_copy(path), os.fstat(held.fd)
        if packed is None:
            return
        ranges = proof.ranges_of(places.belongings_dir, name, about.st_size)
        digests = Digests(ranges)
        for piece in pieces(held.fd):
            digests.feed(piece)
            yield len(piece)
        if proof.differs(ranges, digests.done):
            raise PackingRefused("its bytes are not what its manifest says", remedy="Try: pipeline verify")
        yield from _require_same(packed, ranges, digests.done)
        files.sync_file(packed)
        files.sync_directory(places.log_dir)
        failpoint.reach("keeper.mend.compared")
        if not _is_same(held, about):
            raise PackingRefused("somebody changed it while it was compared", where=name)
        _unlink(path)


def remove_drafts(places: Places) -> list[str]:
    """Remove copies that were never finished; return their names. OSError when the disk refuses."""
    names = sorted(files.names_in(_directory(places)))
    for name in names:
        files.remove(_directory(places) / name)
        failpoint.reach("keeper.mend.draft")
    return names


def pieces(fd: int) -> Iterator[bytes]:
    """Yield an open file in pieces of about 4 MiB that end with a line."""
    place = 0
    while data := files.pread_all(fd, PIECE_BYTES, place):
        while (end := data.rfind(b"\n") + 1) == 0 and len(data) < PIECE_BYTES_MAX:
            more = files.pread_all(fd, PIECE_BYTES, place + len(data))
            if not more:
                break
            data += more
        data = data[: end or len(data)]
        yield data
        # What is packed is not read again soon; the memory is for those who are at work.
        os.posix_fadvise(fd, place, len(data), os.POSIX_FADV_DONTNEED)
        place += len(data)


def _require_same(packed: Path, ranges: list[Range], digests: list[str]) -> Generator[int, None, None]:
    """Unpack a copy with the eyes of `pipeline verify`, and compare it."""
    found = Digests(ranges)
    file = describe(packed)
    try:
        for chunk in read_chunks(file) if file is not None else ():
            found.feed(chunk.data)
            yield chunk.disk_bytes
    except READ_ERRORS as error:
        raise PackingRefused("its packed copy cannot be read", where=packed.name, cause=error) from error
    if found.done != digests:
        raise PackingRefused("its packed copy does not have its bytes", where=packed.name)


def _held(path: Path) -> Held:
    held = holding.hold(path)
    if held is None:
        raise PackingRefused("it is being written, or locked by somebody", where=path.name)
    return held


def _is_same(held: Held, about: os.stat_result) -> bool:
    now = os.fstat(held.fd)
    fields = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return held.is_at_its_name() and all(getattr(now, name) == getattr(about, name) for name in fields)


def _unlink(path: Path) -> None:
    path.unlink()
    failpoint.reach("keeper.pack.unlinked")
    files.sync_directory(path.parent)


def _give(fd: int, about: os.stat_result) -> None:
    """Give the copy the owner, group, mode and times of the plain file, as far as we may."""
    with contextlib.suppress(OSError):
        os.fchown(fd, about.st_uid, about.st_gid)
    with contextlib.suppress(OSError):
        os.fchown(fd, -1, about.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(fd, about.st_mode & 0o7777)
    os.utime(fd, ns=(about.st_atime_ns, about.st_mtime_ns))


def _forget(fd: int) -> None:
    """Have the copy read back from the disk, and not from memory."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _directory(places: Places) -> Path:
    return places.belongings_dir / DIRECTORY
