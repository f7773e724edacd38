"""
The manifests while their files are written: blocks out of what is appended, entries once it is synced.

The pump says what it is going to append where (`propose`), after each sync what is durable gets its entries
(`publish`), and a file that is left gets its last one (`leave`). All that does not fit that (a batch that was
appended by halves, a file that a dead writer or a person left longer or shorter) is settled in one way: the
bytes between the last entry and where we go on are read, and what the draft explains is as good as appended
by us; the rest is marked `rebuilt`. A file that is shorter than its entries gets a `cut`, which is a finding
of `pipeline verify`: we never shorten a file below what is synced.

A manifest that cannot be written never holds up a delivery: entries wait, and `error` says why.

Invariants
    M4  A block is in the draft before its bytes are in the file: a kill leaves nothing unexplained.
    M5  Nothing beyond the file's `synced_size` gets an entry.
    M7  One of these extends a chain; an older one of the process is retired.   property/test_simulation.py
The tests are integration/test_manifest.py.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.host import clock, files
from pipeline.storage import catalog
from pipeline.storage.day_file import DELETED
from pipeline.storage.directories import PRIVATE
from pipeline.storage.manifest import BEGIN, CUT, Chain, directory_of, instance_of
from pipeline.storage.manifest_block import BLOCK_BYTES, Block, Lines
from pipeline.storage.manifest_draft import Draft, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.storage.directories import Access
    from pipeline.storage.manifest import Entry

UNEXPLAINED: Final = "nobody can say that these bytes are what was appended"
DRAFT_NAME: Final = "blocks"
_CATALOG_REST: Final = 19
"""How many times as long as it took to write the catalog it is left alone."""


class Appended(Protocol):
    """An open file that is appended to: a day file, or a part of a replay."""

    inode: int
    synced_size: int

    @property
    def name(self) -> str:
        """Its name in the log directory."""

    def actual_size(self) -> int:
        """Return how long it is."""

    def change(self) -> str:
        """Return what somebody did to it."""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes [start, end)."""


class Trail:
    """What of one open file has no entry yet: its blocks, oldest first."""

    def __init__(self, name: str, inode: int, start: int) -> None:
        self.name = name
        self.inode = inode
        self.start = start
        self.begin: Entry | None = None
        """The manifest's first entry, when it could not be written yet."""
        self.blocks: list[Block] = []

    @property
    def end(self) -> int:
        """Up to where the blocks reach."""
        return self.blocks[-1].end if self.blocks else self.start

    def add(self, lines: Lines, *, rebuilt: str = "") -> list[Block]:
        """Take lines that stand at the end; return the blocks that they went to."""
        changed: list[Block] = []
        while lines.are_left:
            if not self.blocks or self.blocks[-1].is_closed or self.blocks[-1].rebuilt != rebuilt:
                self.blocks.append(Block(self.end, rebuilt))
            self.blocks[-1].add(lines)
            changed.append(self.blocks[-1])
        return changed


class Manifests:
    """The manifests of one instance, in the hands of its one writer."""

    def __init__(
        self,
        places: Places,
        instance: str,
        access: Access = PRIVATE,
        check_volume: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_behind = True
        """Whether `recover` has not been called yet."""
        self.error = ""
        """Why entries wait, when they do."""
        self._log_dir = places.log_dir
        self._belongings_dir = places.belongings_dir
        self._instance = instance
        self._access = access
        self._chain: Chain | None = None
        self._draft = Draft(places.runtime(DRAFT_NAME))
        self._trails: dict[str, Trail] = {}
        self._check_volume = check_volume
        self._is_recovered = False
        self._catalog_from = 0.0

    @property
    def directory(self) -> Path:
        """Where they are."""
        return directory_of(self._belongings_dir)

    @property
    def head(self) -> str:
        """The head of everything that has an entry, "" when there is none."""
        return self._chain.head if self._chain else ""

    def propose(
        self, file: Appended, offset: int, slices: list[bytes], counts: list[int] | None = None
    ) -> None:
        """
        Take note of what is going to be appended to a file at `offset`: slices of one producer each.

        `counts` are their lines, where somebody has counted them already.
        """
        trail = self._trail(file, offset)
        if trail is None:
            return
        changed: dict[int, Block] = {}
        for index, data in enumerate(slices):
            count = counts[index] if counts else data.count(b"\n")
            changed |= {block.offset: block for block in trail.add(Lines(data, count, is_slice=True))}
        self._draft.note([state_of(trail.name, trail.inode, block) for block in changed.values()])

    def publish(self, open_files: Iterable[Appended]) -> None:
        """Write the entries that are due, of what is synced."""
        written = [self._publish(file, is_last=False) for file in open_files]
        if any(written):
            self._trim()

    def leave(self, file: Appended) -> None:
        """Write the entries of all that is synced of a file that is not written on; then the catalog."""
        known = self._trails.pop(file.name, None)
        end = min(file.synced_size, file.actual_size())
        if file.change() == DELETED or not (known or end):
            return
        # Read once more: behind foreign bytes ours may stand elsewhere than where they were going to.
        if self._trail(file, end) is not None:
            self._publish(file, is_last=True)
        self._trails.pop(file.name, None)
        self._trim()
        self.store_catalog()

    def recover(self, beat: Callable[[], None]) -> None:
        """Bring the manifests of files that a dead writer left up to what is in the files, and sync those."""
        self.is_behind = False
        try:
            chain = self._open_chain()
            for name in sorted({*chain.files(), *self._draft.files()}):
                beat()
                if instance_of(name) == self._instance and name not in self._trails:
                    self._recover(chain, name)
        except OSError as error:
            self.error = str(error)
            return
        self._is_recovered = True
        self._trim()

    def say_goodbye(self, name: str, entry: Entry) -> None:
        """Write, durably, that a file is going to leave. OSError when the disk refuses, or it is in use."""
        if name in self._trails:
            raise OSError(errno.EBUSY, "the file is being written", name)
        self._open_chain().extend(name, [entry])

    def retire(self) -> None:
        """Write nothing any more, whoever still has this: the chain goes on in other hands."""
        self._check_volume = _refuse

    def store_catalog(self, *, is_last: bool = False) -> None:
        """Write the catalog anew; not again at once where that takes long, unless it is the last time."""
        began = clock.monotonic()
        if self._chain is None or (not is_last and began < self._catalog_from):
            return
        try:
            self._check_volume()
            catalog.store(self._log_dir, self._chain)
            self._catalog_from = clock.monotonic() + (clock.monotonic() - began) * _CATALOG_REST
        except OSError as error:
            self.error = str(error)

    def _open_chain(self) -> Chain:
        """Return the chain; OSError while the directory below a mount point would get its entries."""
        self._check_volume()
        if self._chain is not None and self._chain.is_replaced:
            # What was open belongs to files of the directory that is gone, whatever has their names here.
            self._chain = None
            self._trails.clear()
            raise OSError(errno.ESTALE, "the directory of the manifests was replaced", str(self._log_dir))
        if self._chain is None:
            known = catalog.load(self._log_dir, self._instance).get("head", "")
            chain = Chain(self._belongings_dir, self._instance, known, self._access)
            chain.settle()
            self._chain = chain
        return self._chain

    def _trail(self, file: Appended, offset: int) -> Trail | None:
        """Return the file's trail, which ends at `offset`; None when the disk refuses."""
        trail = self._trails.get(file.name)
        if trail is None or trail.inode != file.inode or trail.end != offset:
            try:
                trail = self._caught_up(file.name, file.inode, offset, file.read)
            except OSError as error:
                self.error = str(error)
                self._trails.pop(file.name, None)
                return None
            self._trails[file.name] = trail
        return trail

    def _caught_up(self, name: str, inode: int, end: int, read: Callable[[int, int], bytes]) -> Trail:
        """Return a trail from the last entry of a file to `end`, by what stands there."""
        chain = self._open_chain()
        trail = self._begun(chain, name, inode, end)
        if trail.start > end:
            chain.extend(name, [{"kind": CUT, "offset": end, "length": trail.start - end}])
            trail.start = end
        is_whole = True
        while trail.end < end and is_whole:
            reach = self._draft.longest(name, inode, trail.end) or BLOCK_BYTES
            is_whole = self._take(trail, read(trail.end, min(trail.end + reach, end)))
        return trail

    def _begun(self, chain: Chain, name: str, inode: int, end: int) -> Trail:
        """Return a trail that begins behind a file's last entry; if there is none, write the first."""
        if chain.has(name):
            return Trail(name, inode, chain.covered(name))
        trail = Trail(name, inode, 0 if self._draft.longest(name, inode, 0) else end)
        trail.begin = {"kind": BEGIN, "offset": trail.start}
        self._write(trail, [])
        self.store_catalog()
        return trail

    def _take(self, trail: Trail, data: bytes) -> bool:
        """Take what stands behind a trail; False when that is not whole lines to its end."""
        length = self._draft.explained(trail.name, trail.inode, trail.end, data)
        rebuilt = "" if length else UNEXPLAINED
        length = length or data.rfind(b"\n") + 1
        if trail.blocks:
            trail.blocks[-1].is_closed = True
        trail.add(Lines(data[:length], 0, is_slice=False), rebuilt=rebuilt)
        if trail.blocks:
            trail.blocks[-1].is_closed = True
        return length > 0

    def _publish(self, file: Appended, *, is_last: bool) -> bool:
        """Write the entries of a file that are due; whether there were any."""
        trail = self._trails.get(file.name)
        if trail is None:
            return False
        synced = [block for block in trail.blocks if block.end <= file.synced_size]
        due = [block for block in synced if is_last or block.is_due]
        return self._write(trail, due)

    def _write(self, trail: Trail, due: list[Block]) -> bool:
        entries = [trail.begin] if trail.begin else []
        entries += [block.entry() for block in due]
        if not entries:
            return False
        try:
            self._open_chain().extend(trail.name, entries)
        except OSError as error:
            self.error = str(error)
            return False
        self.error, trail.begin = "", None
        trail.start = due[-1].end if due else trail.start
        del trail.blocks[: len(due)]
        return True

    def _recover(self, chain: Chain, name: str) -> None:
        path = self._log_dir / name
        try:
            found = path.stat()
        except FileNotFoundError:
            return  # packed, expired or gone: what it is, verify says
        if chain.has(name) and chain.covered(name) >= found.st_size:
            return  # shorter than its entries: whoever goes on there writes it down
        fd = os.open(path, files.READ)
        try:
            os.fsync(fd)
            trail = self._caught_up(
                name, found.st_ino, found.st_size, lambda start, end: files.pread_all(fd, end - start, start)
            )
        finally:
            os.close(fd)
        self._write(trail, trail.blocks[:])

    def _trim(self) -> None:
        """Let the draft forget what has its entry, once nobody needs it who has not been looked at."""
        if self.error or not self._is_recovered:
            return
        states = [
            state_of(trail.name, trail.inode, block)
            for trail in self._trails.values()
            for block in trail.blocks
            if not block.rebuilt
        ]
        self._draft.keep(states)


def _refuse() -> None:
    raise OSError(errno.ESTALE, "the append lock was lost, and had again by somebody who goes on")
