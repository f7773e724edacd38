"""
The open day files of an instance: which file a period's records go to now.

A file is continued while its period lasts and nobody interfered. Behind foreign bytes, and after its seal,
writing goes on in a part, `DATE.1.jsonl`. Before another file takes over, the old one is synced, so all that
is not durable of a period is in its current file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.host import clock, failpoint, files
from pipeline.limits import SEAL_AFTER_SEC
from pipeline.records.periods import period_of
from pipeline.storage import departed, holding, naming, quarantine, stored
from pipeline.storage.day_file import DELETED, FOREIGN, FULL, INTACT, MOVED, DayFile, bytes_max
from pipeline.storage.directories import Access
from pipeline.storage.manifest import SUFFIX
from pipeline.storage.manifests import Manifests
from pipeline.storage.naming import DayName

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.storage.fallback_tables import CutMark
    from pipeline.storage.grip import Grip

Report = Callable[[str, str, int], None]
"""(file, change, bytes) of something that somebody else did to a file."""


class Days:
    """The day files being written, by period."""

    def __init__(self, grip: Grip, settings: Settings, instance: str, report: Report) -> None:
        self.open: dict[str, DayFile] = {}
        self.sealed: set[str] = set()
        self.has_sealed = False
        """Whether full files were sealed that no checkpoint knows of yet."""
        self.known: dict[str, dict[str, Any]] = {}
        """What the last checkpoint said of files: volume, inode and size by name."""
        self.grip = grip
        self.directory = grip.places.log_dir
        self.marks: Callable[[], list[CutMark]] = list
        """What has to be cut first: it is not written on."""
        self.began: Callable[[DayFile], None] = lambda _: None
        """Called with each new file before anything is in it; OSError keeps it from being used."""
        self._access = Access.of(settings)
        self._places = grip.places
        self._settings = settings
        self.instance = instance
        self._report = report
        self.manifests = self._new_manifests()

    @property
    def marked(self) -> set[str]:
        """Names of files that have to be cut before they are written on."""
        return {mark.file for mark in self.marks()}

    def use(self, instance: str) -> None:
        """Write the files of this instance from now on: the append lock was had late."""
        self.instance = instance
        self.manifests.retire()
        self.manifests = self._new_manifests()

    def _new_manifests(self) -> Manifests:
        return Manifests(self._places, self.instance, self._access, self.grip.check)

    def current(self, period: str) -> DayFile:
        """Return the file that takes a period's records now. OSError when it cannot be opened."""
        self.grip.check()
        file = self.open.get(period)
        if file is None:
            file = self._open_newest(period)
            self.open[period] = file
        return file

    def settle(self, file: DayFile, sync: Callable[[DayFile], None], coming: int = 0) -> str:
        """
        Look for interference before an append of so many bytes, and act on it; INTACT, or what it was.

        A file that would be longer than `rotate_max_mb` by them is sealed, and a part goes on: FULL.

        A file that is left is synced first (by `sync`), unless it is deleted: what it holds counts as durable
        from then on.
        """
        change = file.change()
        if change == INTACT:
            return self._rolled(file, sync) if self._is_full(file, coming) else change
        if change != DELETED:
            sync(file)
        self._report(file.name, change, abs(file.actual_size() - file.size))
        if change in (MOVED, DELETED):
            self._drop(file)
        elif change == FOREIGN or not file.ends_with_newline():
            file.size = file.actual_size()
            self._continue_in_part(file)
        else:
            file.size = file.synced_size = file.actual_size()
        return change

    @property
    def part_bytes_max(self) -> int:
        """How long a file may become: see `day_file.bytes_max`."""
        return bytes_max(self._settings)

    def _is_full(self, file: DayFile, coming: int) -> bool:
        return file.size > 0 < coming and file.size + coming > self.part_bytes_max

    def _rolled(self, file: DayFile, sync: Callable[[DayFile], None]) -> str:
        """Go on in the next part; the file is never appended to again."""
        sync(file)
        failpoint.reach("writer.rotate.full")
        self.sealed.add(file.name)
        self.has_sealed = True
        self._continue_in_part(file)
        return FULL

    def cut(self, name: str, volume: str, inode: int, size: int, *, keeps: bool = False) -> None:
        """
        Shorten a file to `size` and make that durable; OSError when it refuses.

        One that is gone has nothing to cut. Whole lines of ours are delivered again; anything else that is
        cut is kept in quarantine, and with `keeps` all of it.
        """
        self.grip.check()
        path = self.grip.find(name, volume, inode)
        if path is None:
            return
        with path.open("r+b", buffering=0) as file:
            if not holding.share(file.fileno()):
                raise BlockingIOError(errno.EBUSY, "the file is being packed", str(path))
            end = os.fstat(file.fileno()).st_size
            if end > size:
                cut = files.pread_all(file.fileno(), end - size, size)
                is_foreign = not stored.is_ours(cut[: cut.rfind(b"\n") + 1] or b"\n") and cut.count(b"\n")
                if keeps or is_foreign:
                    self.quarantine(path.name, size, cut)
                os.ftruncate(file.fileno(), size)
            os.fsync(file.fileno())  # also of one that is short enough: the last try may have got so far

    def find(self, name: str, volume: str, inode: int) -> DayFile | None:
        """
        Return the open file of this identity, wherever in the log directory its name is now.

        None when it is gone, with its directory perhaps, or just being packed; OSError when that cannot be
        said.
        """
        try:
            path = self.grip.find(name, volume, inode)
            return self._open_found(path.name) if path is not None else None
        except (FileNotFoundError, NotADirectoryError, BlockingIOError):
            return None

    def open_by_name(self, name: str) -> DayFile:
        """Return a file of ours that exists. OSError when it cannot be opened."""
        return self._open_found(name)

    def let_go(self, file: DayFile) -> None:
        """Close a file that was opened for a look, unless it is the one that its period is written to."""
        if self.open.get(file.day.period) is not file:
            self._close_manifest(file)
            file.close()

    def seal_due(self, busy_periods: set[str], now_sec: float) -> list[DayFile]:
        """Close the files whose period is over and gets nothing more, and return them."""
        oldest_open = self._period_now(now_sec - SEAL_AFTER_SEC)
        due = [
            file for period, file in self.open.items() if period < oldest_open and period not in busy_periods
        ]
        for file in due:
            failpoint.reach("writer.rotate.seal")
            self.sealed.add(file.name)
            self._drop(file)
        return due

    def seal_rest(self, busy_periods: set[str], now_sec: float) -> bool:
        """
        Seal the files of ours that an earlier writer has left and nothing goes to any more; whether any was.

        All that is in files has to be synced. Names of files that are gone are forgotten.
        """
        oldest_open = self._period_now(now_sec - SEAL_AFTER_SEC)
        there = naming.day_files(self.directory, self.instance)
        over = {period for period in there if period < oldest_open} - busy_periods - self.open.keys()
        left = {str(day) for period in over for day in there[period]} - self.marked
        sealed = (self.sealed & {str(day) for days in there.values() for day in days}) | left
        is_changed, self.sealed = sealed != self.sealed, sealed
        return is_changed

    def names_of(self, period: str) -> list[str]:
        """Return the files that exist for a period, parts in order."""
        return [str(day) for day in naming.day_files(self.directory, self.instance).get(period, [])]

    def unsealed(self) -> dict[str, int]:
        """Return how much of each plain file of ours that is not sealed was synced by the last checkpoint."""
        parts = naming.day_files(self.directory, self.instance).values()
        names = [str(day) for days in parts for day in days]
        sizes = {name: self._synced_size(name) for name in names if name not in self.sealed}
        return {name: size for name, size in sizes.items() if size is not None}

    def _synced_size(self, name: str) -> int | None:
        """Return None for a file that is not there: it is packed."""
        known = self.known.get(name)
        try:
            found = (self.directory / name).stat()
        except FileNotFoundError:
            return None
        return min(known["size"], found.st_size) if known and known["inode"] == found.st_ino else 0

    def all_of(self, period: str) -> list[Path]:
        """Return every file that may hold records of a period, renamed and packed ones included."""
        names = {name for name in files.names_in(self.directory) if name.startswith(period)}
        # A packed file beside its plain one is a copy that is just being made.
        copies = {name for name in names if naming.unpacked(name)[1] and naming.unpacked(name)[0] in names}
        return [path for name in sorted(names - copies) if (path := self.directory / name).is_file()]

    def quarantine(self, file: str, offset: int, data: bytes) -> None:
        """Keep bytes that were cut from a file."""
        quarantine.keep(self._places.quarantine_dir, f"{file}.{offset}", data, self._access)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return what a checkpoint has to remember of the open files."""
        return {
            file.name: {"volume": file.volume, "inode": file.inode, "size": file.synced_size}
            for file in self.open.values()
        }

    def publish_sizes(self) -> bool:
        """Take the synced sizes for what positions are published with; whether one has changed."""
        resized = [file for file in self.open.values() if file.published_size != file.synced_size]
        for file in resized:
            file.published_size = file.synced_size
        return bool(resized)

    def published(self) -> dict[str, tuple[str, int, int]]:
        """Return (volume, inode, size) of each open file, by name, as of the last `publish_sizes`."""
        return {file.name: (file.volume, file.inode, file.published_size) for file in self.open.values()}

    def close(self) -> None:
        """Close all files."""
        for file in list(self.open.values()):
            self._drop(file)

    def reopen(self) -> None:
        """Close the files so that the next append opens them again by name. Everything has to be synced."""
        self.close()

    def _open_newest(self, period: str) -> DayFile:
        parts = self._parts(period)
        if not parts:
            return self._create(DayName(period, self.instance, 0))
        newest = parts[-1]
        return self._continued(newest) or self._create(newest._replace(part=newest.part + 1))

    def _parts(self, period: str) -> list[DayName]:
        """Return the parts of a period, in order; those that have left are among them."""
        there = naming.day_files(self.directory, self.instance).get(period, [])
        return sorted({*there, *departed.parts_of(self.manifests.directory, period, self.instance)})

    def _continued(self, day: DayName) -> DayFile | None:
        """Return a file that exists, to be appended to; None when it must not be."""
        try:
            if not self._may_continue(day):
                return None
            file = DayFile(self.directory / str(day), day, self.grip)
        except FileNotFoundError:
            return None  # it is packed
        if file.may_be_written():
            return file
        file.close()
        return None

    def _may_continue(self, day: DayName) -> bool:
        """Whether a file may be appended to: not sealed, nor told gone, whole lines, all of it explained."""
        name = str(day)
        path = self.directory / name
        offset, tail = stored.torn_tail(path)
        has_left = departed.cause_of(self.manifests.directory / (name + SUFFIX))
        if has_left or name in self.sealed | self.marked or tail or not os.access(path, os.W_OK):
            return False
        known = self.known.get(name)
        if known is None:
            return day.period >= self._period_now(clock.wall_ns() / clock.NANO - SEAL_AFTER_SEC)
        if known["inode"] != path.stat().st_ino or offset <= known["size"]:
            return True
        with path.open("rb") as file:
            file.seek(known["size"])
            is_explained = stored.is_ours(file.read())
        if not is_explained:
            self._report(name, FOREIGN, offset - known["size"])
        return is_explained

    def _create(self, day: DayName) -> DayFile:
        if not self.directory.is_dir():
            self.grip.make(self._settings)
        file = DayFile(self.directory / str(day), day, self.grip, self._settings.file_mode)
        failpoint.reach("writer.rotate.created")
        self._begin(file)
        return file

    def _begin(self, file: DayFile) -> None:
        self._access.give_file(file.fd)
        try:
            self.began(file)
        except OSError:
            file.close()
            file.path.unlink()
            raise

    def _open_found(self, name: str) -> DayFile:
        """Open a file by its name; the newest part of its period is the one that is written on."""
        for file in self.open.values():
            if file.name == name:
                return file
        day = naming.parse(name)
        file = DayFile(self.directory / name, day or DayName(name, "", 0), self.grip)
        if not file.is_shared:
            file.close()
            raise BlockingIOError(errno.EBUSY, "the file is being packed", str(file.path))
        if day is not None and day.period not in self.open and self.names_of(day.period)[-1:] == [name]:
            self.open[day.period] = file
        return file

    def _continue_in_part(self, file: DayFile) -> None:
        parts = self._parts(file.day.period)
        last = max((day.part for day in parts), default=file.day.part)
        self._drop(file)
        failpoint.reach("writer.rotate.part")
        self.open[file.day.period] = self._create(file.day._replace(part=last + 1))

    def _drop(self, file: DayFile) -> None:
        if self.open.get(file.day.period) is file:
            del self.open[file.day.period]
        self._close_manifest(file)
        file.close()

    def _close_manifest(self, file: DayFile) -> None:
        """Write the last entry of a file that is left; a disk that refuses does not keep us."""
        try:
            self.manifests.leave(file)
        except OSError as error:
            self.manifests.error = str(error)

    def _period_now(self, second: float) -> str:
        return period_of(int(second), self._settings.timezone, self._settings.rotate_every).name
