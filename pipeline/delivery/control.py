"""
The control page: what the writer is about to append, and what it has committed.

    0        8         16          24        4096                 4096 + 128 KiB
    +--------+---------+-----------+---------+--------------------+-------------------+
    | magic  | version | committed | trusted | intent, even batch | intent, odd batch |
    +--------+---------+-----------+---------+--------------------+-------------------+
      8 B      u64       u64         u64       u32 size, u32 crc, JSON

Two intents alternate, so the page always holds the last committed one and the open one, if any. Committing is
one 8-byte store of the batch number. The page survives every process; it does not survive the power, and
recovery then goes by what the files hold. It is written with pwrite(2): the writer maps nothing.

Invariants
    C1  An intent is complete before a byte of its batch is in the file.    crash/test_writer_killed.py
    (writer.intent.*) C2  The intent of the last committed batch is never overwritten before the next one is
    complete, so positions
        can always be derived from the page.                                property/test_delivery_model.py
    C3  A torn, old or missing page never stops a start.                    integration/test_recovery.py
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.errors import ControlPageError
from pipeline.host import failpoint, files
from pipeline.limits import INTENT_BYTES_MAX, require
from pipeline.queue.tailer import Slice

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"PIPECTRL"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("=8sQQQ")
_COMMITTED_OFFSET: Final = 16
_TRUSTED_OFFSET: Final = 24
_INTENTS_OFFSET: Final = 4096
_SLOT_HEAD: Final = struct.Struct("=II")
_PAGE_BYTES: Final = _INTENTS_OFFSET + 2 * INTENT_BYTES_MAX

require(_HEAD.size <= _INTENTS_OFFSET, "the control page's head fits its room")


class Intent(NamedTuple):
    """One append: to which file, where, and from which slices."""

    batch: int
    file: str
    device: int
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


class ControlPage:
    """The open control page of one instance. Written by the writer alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.posix_fallocate(self.fd, 0, _PAGE_BYTES)
        failpoint.reach("writer.page.created")
        self.committed = 0
        self.intents: dict[int, Intent] = {}
        self.is_trusted = self._load()
        """Whether positions follow from the page. If not, the files have to be asked, until `trust`."""
        self.named_files = {intent.file for intent in self.intents.values()}
        """The files that the last writer was at: they may end in a half line."""
        if not self.is_trusted:
            self.distrust()

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

    def distrust(self) -> None:
        """Forget what the page says: from now on, and for the next writer too, the files are asked."""
        os.pwrite(self.fd, struct.pack("=Q", 0), _TRUSTED_OFFSET)
        self.is_trusted = False
        self.committed = 0
        self.intents.clear()
        files.pwrite_all(self.fd, bytes(_PAGE_BYTES - _INTENTS_OFFSET), _INTENTS_OFFSET)
        files.pwrite_all(self.fd, _HEAD.pack(_MAGIC, _VERSION, 0, 0), 0)

    def doubt(self) -> None:
        """Have the next writer ask the files; this one knows what it is doing, until `trust`."""
        os.pwrite(self.fd, struct.pack("=Q", 0), _TRUSTED_OFFSET)
        self.is_trusted = False

    def trust(self) -> None:
        """Say that positions follow from the page again."""
        os.pwrite(self.fd, struct.pack("=Q", 1), _TRUSTED_OFFSET)
        self.is_trusted = True

    def move_to(self, path: Path) -> None:
        """Go on in a new file, with what is known; the old one was removed under us."""
        fresh = ControlPage(path)
        os.close(self.fd)
        self.fd, self.path = fresh.fd, path
        for intent in list(self.intents.values()):
            self.propose(intent)
        os.pwrite(self.fd, struct.pack("=Q", self.committed), _COMMITTED_OFFSET)
        if self.is_trusted:
            self.trust()

    def close(self) -> None:
        """Close the page; it stays."""
        os.close(self.fd)

    def _load(self) -> bool:
        head = files.pread_all(self.fd, _HEAD.size, 0).ljust(_HEAD.size, b"\0")
        magic, version, committed, trusted = _HEAD.unpack(head)
        if magic != _MAGIC or version != _VERSION:
            return False
        self.committed = committed
        for slot in (0, 1):
            intent = self._load_slot(slot)
            if intent is not None:
                self.intents[slot] = intent
        return bool(trusted) and (committed == 0 or self.last_intent() is not None)

    def _load_slot(self, slot: int) -> Intent | None:
        """
        Return a slot's intent.

        None for one that was being written when the writer died: nothing was appended.
        """
        offset = _INTENTS_OFFSET + slot * INTENT_BYTES_MAX
        size, checksum = _SLOT_HEAD.unpack(files.pread_all(self.fd, _SLOT_HEAD.size, offset))
        data = files.pread_all(self.fd, min(size, INTENT_BYTES_MAX), offset + _SLOT_HEAD.size)
        if not size or len(data) != size or zlib.crc32(data) != checksum:
            return None
        found = _parsed(data)
        found[-2:] = [[Slice(*piece) for piece in part] for part in found[-2:]]
        return Intent(*found)


def _parsed(data: bytes) -> list[Any]:
    found: list[Any] = orjson.loads(data)
    return found
