"""
The control page: what the writer is about to append, what it has committed, and what of it is durable.

    0        8         16          24       4 KiB          + 128 KiB     + 128 KiB      + 32 KiB
    +--------+---------+-----------+--------+--------------+-------------+--------------+------------+
    | magic  | version | committed | state  | intent, even | intent, odd | synced, even | synced, odd |
    +--------+---------+-----------+--------+--------------+-------------+--------------+------------+
      8 B      u64       u64         u64      each: u32 size, u32 crc, JSON

Two intents alternate, so the page always holds the last committed one and the open one, if any. Committing is
one 8-byte store of the batch number. `synced` says how long each file was when it was last synced, and how
far each lane was durable then: one belongs to the other, so that who cuts the files there and goes on behind
the positions loses and repeats nothing, without a look into any file. The page survives every process; it
does not survive the power, and recovery then goes by what the files hold. It is written with pwrite(2): the
writer maps nothing.

Invariants
    C1  An intent is complete before a byte of its batch is in the file.    crash/test_fail_points.py
    C2  The intent of the last committed batch is never overwritten before the next one is complete, so
        positions can always be derived from the page.                      property/test_delivery_model.py
    C3  A torn, old or missing page never stops a start.                    integration/test_recovery.py
    C4  Sizes and positions of one `synced` are of one moment; a torn one is passed over for the one before.
    C5  A sync that is not known to have worked is known to a successor.    property/test_simulation.py
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.errors import ControlPageError
from pipeline.host import failpoint, files
from pipeline.limits import INTENT_BYTES_MAX, require
from pipeline.queue.tailer import Slice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC: Final = b"PIPECTRL"
_VERSION: Final = 2
_HEAD: Final = struct.Struct("=8sQQQ")
_COMMITTED_OFFSET: Final = 16
_STATE_OFFSET: Final = 24
_UNKNOWN: Final = 0
"""Positions do not say it all; the files have to be asked."""
_TRUSTED: Final = 1
_RETREATING: Final = 2
"""What is not durable is being taken back: everything behind `synced` counts as not written."""
_UNSURE: Final = 3
"""As unknown; and a sync was begun, so what is behind `synced` may be in the files and on no disk."""
_INTENTS_OFFSET: Final = 4096
_SLOT_HEAD: Final = struct.Struct("=II")
_SYNCED_OFFSET: Final = _INTENTS_OFFSET + 2 * INTENT_BYTES_MAX
_SYNCED_BYTES_MAX: Final = 32 * 1024
"""Some 900 lanes; the page has to fit into a small memory."""
_PAGE_BYTES: Final = _SYNCED_OFFSET + 2 * _SYNCED_BYTES_MAX

require(_HEAD.size <= _INTENTS_OFFSET, "the control page's head fits its room")


def detach(path: Path) -> None:
    """Put a copy in place of a page: what a killed writer that is not gone yet has open is then nobody's."""
    if path.exists():
        files.replace(path, path.read_bytes())


class Intent(NamedTuple):
    """One append: to which file, where, and from which slices."""

    batch: int
    file: str
    volume: str
    inode: int
    offset: int
    length: int
    records: int
    """All records written since the instance began, this batch included."""
    slices: list[Slice]
    skipped: list[Slice]
    """Slices that this batch also settles: what recovery found of them in a file already."""

    def settled(self) -> list[Slice]:
        """Return all slices that are done once the batch is committed."""
        return [*self.slices, *self.skipped]


class Synced(NamedTuple):
    """What was durable at one moment. `records` is negative when there was no room to say so."""

    records: int = 0
    files: dict[str, tuple[str, int, int]] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    """(volume, inode, size) by name."""
    lanes: dict[str, int] = {}  # noqa: RUF012
    """Positions by producer."""


class ControlPage:
    """The open control page of one instance. Written by the writer alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists()
        """Whether no writer of this runtime directory came before us."""
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.posix_fallocate(self.fd, 0, _PAGE_BYTES)
        failpoint.reach("writer.page.created")
        self.committed = 0
        self.intents: dict[int, Intent] = {}
        self.synced = Synced()
        self._synced_turn = 0
        self.state = self._load()
        """Whether positions follow from the page. If not, the files have to be asked, until `trust`."""
        self.named_files = {intent.file for intent in self.intents.values()}
        """The files that the last writer was at: they may end in a half line."""
        if self.state == _UNKNOWN:
            self.distrust()
        elif self.is_unsure:
            self._forget_intents()

    @property
    def is_trusted(self) -> bool:
        """Whether positions follow from the page."""
        return self.state == _TRUSTED

    @property
    def is_unknown(self) -> bool:
        """Whether the files have to be asked."""
        return self.state in (_UNKNOWN, _UNSURE)

    @property
    def is_unsure(self) -> bool:
        """Whether, besides, files may hold what no disk does, behind `synced`."""
        return self.state == _UNSURE

    @property
    def is_retreating(self) -> bool:
        """Whether everything behind `synced` is being taken back."""
        return self.state == _RETREATING

    def propose(self, intent: Intent) -> None:
        """Write down what is going to be appended."""
        data = orjson.dumps([*intent[:7], *([list(piece) for piece in part] for part in intent[7:])])
        if len(data) > INTENT_BYTES_MAX - _SLOT_HEAD.size:
            raise ControlPageError("an intent does not fit its slot", where=str(self.path), cause=len(data))
        offset = _INTENTS_OFFSET + (intent.batch % 2) * INTENT_BYTES_MAX
        failpoint.reach("writer.intent.before")
        if failpoint.is_aimed_at("writer.intent.partial"):
            files.pwrite_all(self.fd, data[: len(data) // 2], offset + _SLOT_HEAD.size)
            failpoint.reach("writer.intent.partial")
        files.pwrite_all(self.fd, _SLOT_HEAD.pack(len(data), zlib.crc32(data)) + data, offset)
        self.intents[intent.batch % 2] = intent
        failpoint.reach("writer.intent.after")

    def commit(self, batch: int) -> None:
        """Say that the batch is in its file, whole."""
        failpoint.reach("writer.commit.before")
        os.pwrite(self.fd, struct.pack("=Q", batch), _COMMITTED_OFFSET)
        self.committed = batch
        failpoint.reach("writer.commit.after")

    def open_intent(self) -> Intent | None:
        """Return the intent that was not committed, None when there is none."""
        return next((intent for intent in self.intents.values() if intent.batch == self.committed + 1), None)

    def last_intent(self) -> Intent | None:
        """Return the intent that was committed last."""
        return next((intent for intent in self.intents.values() if intent.batch == self.committed), None)

    def note_synced(self, synced: Synced) -> None:
        """Write down what is durable now, before anybody is told."""
        self._synced_turn += 1
        data = orjson.dumps([self._synced_turn, *synced])
        if len(data) > _SYNCED_BYTES_MAX - _SLOT_HEAD.size:
            data = orjson.dumps([self._synced_turn, *Synced(-1)])
        offset = _SYNCED_OFFSET + (self._synced_turn % 2) * _SYNCED_BYTES_MAX
        files.pwrite_all(self.fd, _SLOT_HEAD.pack(len(data), zlib.crc32(data)) + data, offset)
        self.synced = synced
        failpoint.reach("writer.synced.noted")

    def withdraw(self) -> None:
        """Forget the open intent: nothing of it is in its file any more."""
        slot = (self.committed + 1) % 2
        os.pwrite(self.fd, bytes(_SLOT_HEAD.size), _INTENTS_OFFSET + slot * INTENT_BYTES_MAX)
        self.intents.pop(slot, None)

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """
        Say that a sync is under way, for good if it fails: a successor takes back what it was about.

        Behind one that failed another one reports success, whoever makes it.
        """
        self._set_state(_RETREATING if self.is_trusted else _UNSURE)
        failpoint.reach("writer.sync.begun")
        yield
        self.be_sure()

    def be_sure(self) -> None:
        """Say that what a sync was about is on the disk, or taken back."""
        self._set_state(_UNKNOWN if self.is_unknown else _TRUSTED)

    def retreat(self) -> None:
        """Say that what is behind `synced` is being taken back, until `settle`; a successor goes on."""
        self._set_state(_RETREATING)
        failpoint.reach("writer.retreat.begun")

    def settle(self) -> None:
        """Forget the intents: what they name is taken back. Positions follow from `synced` now."""
        for slot in ((self.committed + 1) % 2, self.committed % 2):
            os.pwrite(self.fd, bytes(_SLOT_HEAD.size), _INTENTS_OFFSET + slot * INTENT_BYTES_MAX)
        os.pwrite(self.fd, struct.pack("=Q", 0), _COMMITTED_OFFSET)
        self.committed = 0
        self.intents.clear()
        failpoint.reach("writer.retreat.settled")
        self._set_state(_TRUSTED)

    def distrust(self) -> None:
        """Forget what the page says: from now on, and for the next writer too, the files are asked."""
        self._set_state(_UNKNOWN)
        self._forget_intents()
        files.pwrite_all(self.fd, bytes(_SYNCED_OFFSET - _INTENTS_OFFSET), _INTENTS_OFFSET)
        files.pwrite_all(self.fd, _HEAD.pack(_MAGIC, _VERSION, 0, _UNKNOWN), 0)

    def doubt(self) -> None:
        """Have the next writer ask the files; this one knows what it is doing, until `trust`."""
        self._set_state(_UNSURE if self.is_unsure else _UNKNOWN)

    def trust(self) -> None:
        """Say that positions follow from the page again."""
        self._set_state(_TRUSTED)

    def move_to(self, path: Path) -> None:
        """Go on in a new file, with what is known; the old one was removed under us."""
        fresh = ControlPage(path)
        os.close(self.fd)
        self.fd, self.path = fresh.fd, path
        for intent in list(self.intents.values()):
            self.propose(intent)
        self.note_synced(self.synced)
        os.pwrite(self.fd, struct.pack("=Q", self.committed), _COMMITTED_OFFSET)
        self._set_state(self.state)

    def close(self) -> None:
        """Close the page; it stays."""
        os.close(self.fd)

    def _forget_intents(self) -> None:
        self.committed = 0
        self.intents.clear()

    def _set_state(self, state: int) -> None:
        os.pwrite(self.fd, struct.pack("=Q", state), _STATE_OFFSET)
        self.state = state

    def _load(self) -> int:
        head = files.pread_all(self.fd, _HEAD.size, 0).ljust(_HEAD.size, b"\0")
        magic, version, committed, state = _HEAD.unpack(head)
        if magic != _MAGIC or version != _VERSION:
            return _UNKNOWN
        self.committed = committed
        for slot in (0, 1):
            intent = self._load_slot(slot)
            if intent is not None:
                self.intents[slot] = intent
        self._synced_turn, self.synced = max(self._load_synced(0), self._load_synced(1))
        is_whole = state == _RETREATING or committed == 0 or self.last_intent() is not None
        is_known = state == _TRUSTED or (self._synced_turn > 0 and self.synced.records >= 0)
        return int(state) if is_whole and is_known else _UNKNOWN

    def _load_synced(self, slot: int) -> tuple[int, Synced]:
        """Return (turn, what was durable) of a slot, nothing for one that was being written."""
        found = self._load_json(_SYNCED_OFFSET + slot * _SYNCED_BYTES_MAX)
        if not found:
            return 0, Synced()
        turn, records, named, lanes = found
        sizes = {name: (str(volume), inode, size) for name, (volume, inode, size) in named.items()}
        return turn, Synced(records, sizes, lanes)

    def _load_slot(self, slot: int) -> Intent | None:
        """
        Return a slot's intent.

        None for one that was being written when the writer died: nothing was appended.
        """
        found = self._load_json(_INTENTS_OFFSET + slot * INTENT_BYTES_MAX)
        if not found:
            return None
        found[-2:] = [[Slice(*piece) for piece in part] for part in found[-2:]]
        return Intent(*found)._replace(volume=str(found[2]))

    def _load_json(self, offset: int) -> list[Any]:
        """Return the content of a slot, empty when it is not whole."""
        size, checksum = _SLOT_HEAD.unpack(files.pread_all(self.fd, _SLOT_HEAD.size, offset))
        data = files.pread_all(self.fd, min(size, INTENT_BYTES_MAX), offset + _SLOT_HEAD.size)
        if not size or len(data) != size or zlib.crc32(data) != checksum:
            return []
        found: list[Any] = orjson.loads(data)
        return found
