"""
Making room by the oldest: a segment that nobody has begun to read gives way to a stub, in one rename(2).

Whose a segment is, its name decides, and only rename(2) changes that::

    N.seg    the segment, or its stub      -- a dropper renames a finished stub over it -->   N.seg, the stub
    N.seg    the segment, or its stub      -- the writer renames it before it reads it  -->   N.taken

So there is no moment at which a segment is half dropped. A dropper that is killed before the rename leaves a
draft with a leading dot, which nobody reads and which goes with its lane; one that is killed behind it has
dropped. If the writer was first, the stub is put where nothing is read any more, and the writer removes it
when it comes by. If another dropper was first, both stubs say the same: a segment is dropped only when
nothing can be added to it, so that its stub follows from it, whoever makes it. The space of a segment whose
descriptor the writer holds comes back when the writer next looks, several times a second.

Stubs that follow each other become one, or a long outage would leave a file for each segment: the next stub
takes over what the one before it says, and that one is unlinked. Killed between, both stand there, and the
later one counts, for it says how far back it reaches. The writer therefore takes what follows a stub, if that
is final, before it tells of the stub: from then on nobody can take it over.

A stub says which numbers its segment held, and keeps the critical records among them. The writer delivers
these like any others, and tells the rest in a `records_dropped` record before it reads on.

Invariants
    K1  What the writer has begun to read is never dropped: an intent comes after the take.
    K2  No critical record is dropped to make room.
    K3  Nothing is dropped without a stub that names it, wherever the dropper dies.
    K4  The segment that a living producer appends to is never dropped.
    K5  A drop is told before anything behind it is written, and told again by a successor rather than not.
The tests are integration/test_dropping.py and crash/test_fail_points.py (emit.drop.*, writer.take.*).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.errors import LaneError
from pipeline.host import failpoint, files, handlers, processes
from pipeline.limits import KIB, OFFSET_BITS
from pipeline.queue import chain, lane
from pipeline.queue.layout import (
    ALIVE_BYTES,
    COPY,
    HEADER_BYTES,
    STUB,
    SUCCEEDED,
    VERSION,
    Header,
    pack_header,
    pack_note,
    segment_name,
    unpack_alive,
    unpack_header,
)
from pipeline.records import importance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_MERGED_BYTES_MAX: Final = 64 * KIB
_LOOKS_MAX: Final = 8
_STAMP: Final = slice(HEADER_BYTES + len(b'{"timestamp":"'), HEADER_BYTES + 64)


class Victim(NamedTuple):
    """A segment that can be dropped; they sort by the time of their first record."""

    since: bytes
    path: Path
    serial: int


class Dropper:
    """Makes room in the queue. Holds no lock and no descriptor, and waits for nobody."""

    def __init__(self, mark: str, critical_types: Collection[str]) -> None:
        self._mark = mark
        """Tells the drafts of one dropper from another's."""
        self._critical_types = critical_types
        self._first: dict[Path, int] = {}
        """From which serial on a lane's directory may hold something to drop."""

    def drop_oldest(self, parents: Collection[Path]) -> bool:
        """
        Drop the oldest segment, in the lanes below these directories; whether that freed space.

        Who found nothing but critical records looks again.
        """
        for _ in range(_LOOKS_MAX):
            victims = sorted(self._victims(parents))
            if not victims:
                return False
            if any(map(self._drop, victims)):
                return True
        return False

    def _victims(self, parents: Collection[Path]) -> Iterator[Victim]:
        """Yield the oldest segment of each lane's directory that can be dropped."""
        for parent in parents:
            for name in files.names_in(parent):
                victim = None if name.startswith(".") else self._victim_in(parent / name)
                if victim is not None:
                    yield victim

    def _victim_in(self, directory: Path) -> Victim | None:
        for serial, path in chain.segments_in(directory).items():
            if serial < self._first.get(directory, 1) or path.name != segment_name(serial):
                continue
            header, since = _look_at(path)
            if header is None or not _is_droppable(header):
                self._first[directory] = serial + 1
                continue
            is_final = header.state == SUCCEEDED or _is_dead(directory)
            return Victim(since, path, serial) if is_final else None
        return None

    def _drop(self, victim: Victim) -> bool:
        draft = victim.path.with_name(f".{victim.serial:08d}.{self._mark}")
        try:
            files.remove(draft)
            fd = os.open(
                draft, files.CREATE, 0o600
            )  # first, for nothing is read where nothing can be written
            try:
                # In this order: another dropper replaces the segment before it removes the stub that it has
                # taken over. Who sees no stub any more then sees that the segment is one, and lets it be.
                before = _stub_before(victim)
                whole = _read_whole(victim.serial, victim.path)
                before = before if before is not None and before.is_followed_by(whole) else None
                frees = not whole.header.is_stub and self._write_stub(fd, whole, before)
            finally:
                os.close(fd)
            failpoint.reach("emit.drop.drafted")
            if not frees:
                self._first[victim.path.parent] = victim.serial + 1
                files.remove(draft)
                return False
            _put(draft, victim, before)
            return True
        except (OSError, LaneError) as error:
            handlers.let_through(error)
            return False

    def _write_stub(self, fd: int, whole: _Whole, before: _Whole | None) -> bool:
        """Write what takes the place of a segment, and of the stub before it; False if that frees nothing."""
        stub = self._stub_of(whole, before)
        if len(stub) >= len(whole.data) + (len(before.data) if before is not None else 0):
            return False
        files.write_all(fd, stub)
        if whole.header.is_on_disk:
            os.fsync(fd)  # what it keeps may have been on the disk for long
        return True

    def _stub_of(self, whole: _Whole, before: _Whole | None) -> bytes:
        lines = whole.lines()
        kept = b"".join(line for line in lines if importance.is_critical_line(line, self._critical_types))
        first, covers, records = whole.header.first_number, whole.serial, len(lines)
        if before is not None:
            kept = b"".join(before.lines()) + kept
            first, covers = before.header.first_number, before.header.covers
            records += before.header.records
        note = pack_note(first, first + records - 1)
        header = whole.header._replace(
            place=whole.header.place | STUB,
            head=records << OFFSET_BITS | HEADER_BYTES + len(note) + len(kept),
            first_number=first,
            state=SUCCEEDED,
            covers=covers,
        )
        return pack_header(header) + note + kept


class _Whole(NamedTuple):
    """All of a segment to which nothing is added any more."""

    serial: int
    path: Path
    header: Header
    data: bytes

    def lines(self) -> list[bytes]:
        """Return its records."""
        end = self.header.end if self.header.has_head else self.data.rfind(b"\n") + 1
        return self.data[self.header.start : end].splitlines(keepends=True)

    def is_followed_by(self, other: _Whole) -> bool:
        """Whether a stub can be taken over by the next segment's: its numbers and its period go on there."""
        mine = self.header
        is_next = mine.first_number + mine.records == other.header.first_number
        return is_next and (mine.period == other.header.period or mine.end == mine.start)


def _stub_before(victim: Victim) -> _Whole | None:
    """Return the stub before a segment, when that one's may take it over: not taken, and small."""
    segments = chain.segments_in(victim.path.parent)
    serial = max((serial for serial in segments if serial < victim.serial), default=0)
    if not serial or segments[serial].name != segment_name(serial):
        return None
    if segments[serial].stat().st_size > _MERGED_BYTES_MAX:
        return None
    before = _read_whole(serial, segments[serial])
    return before if before.header.is_stub else None


def _put(draft: Path, victim: Victim, before: _Whole | None) -> None:
    """Put a finished stub in the place of its segment, and of the stub before it."""
    draft.rename(victim.path)
    failpoint.reach("emit.drop.replaced")
    if before is not None:
        files.remove(before.path)


def _look_at(path: Path) -> tuple[Header | None, bytes]:
    """Return the header of a segment and the time of its first record; (None, …) when there is none."""
    try:
        fd = os.open(path, files.READ)
    except OSError:
        return None, b""
    try:
        data = os.pread(fd, _STAMP.stop, 0)
        return unpack_header(data, str(path)), data[_STAMP].partition(b'"')[0]
    except (OSError, LaneError):
        return None, b""
    finally:
        os.close(fd)


def _read_whole(serial: int, path: Path) -> _Whole:
    fd = os.open(path, files.READ)
    try:
        data = files.pread_all(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
    return _Whole(serial, path, unpack_header(data, str(path)), data)


def _is_droppable(header: Header) -> bool:
    """Whether it is neither a stub, nor a copy of what may be written already, nor an old writer's."""
    return not header.is_stub and header.place != COPY and header.version == VERSION


def _is_dead(directory: Path) -> bool:
    """Whether the process that appends to a lane is known to be gone, so that its last segment is final."""
    if lane.is_of_this_process(directory.name):
        return False  # and to close its `alive` file would give up our own lock
    try:
        fd = os.open(directory / "alive", files.READ)
    except OSError:
        return False
    try:
        process = unpack_alive(files.pread_all(fd, ALIVE_BYTES, 0)).process
    except OSError:
        return False
    finally:
        os.close(fd)
    is_known = process.get("pid_namespace") == processes.pid_namespace()
    return is_known and not processes.is_running(process.get("pid", 0), process.get("start_ticks", 0))
