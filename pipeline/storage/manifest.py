"""
The manifests of an instance: what the blocks of each day file are, and the chain that holds all of them.

Beside `2025-11-21.jsonl` stands `.pipeline/manifests/2025-11-21.jsonl.manifest`: JSON lines, one an entry,
only ever appended to. An entry carries its `serial`, which counts 1, 2, 3 … over all manifests of the
instance, and `previous`, the SHA-256 of the line of the entry before it, whichever manifest that is in. So
the first entry of a day names the head of all the days before it, and one head, `SERIAL:SHA-256`, stands for
everything up to it. docs/internals/manifest.md has the format.

Invariants
    M1  An entry claims only bytes that were fsynced before it was written.
    M2  An entry is fsynced before the next one is written into another manifest, and before anybody is told
        its head: what a power cut takes is a tail of the chain.
    M3  A half line at the end of a manifest is cut before the next entry; it was told to nobody.
    M6  The entry that a new extender goes on behind is written again and synced first: the sync of who
        wrote it may have failed.                                                 property/test_simulation.py
The other tests are integration/test_manifest.py and the fail points `writer.manifest.*` of tests/crash.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import clock, failpoint, files
from pipeline.storage.directories import PRIVATE, make_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.storage.directories import Access

SUFFIX: Final = ".manifest"
DIRECTORY: Final = "manifests"
REPAIRS: Final = "repairs"
"""What the manifest is called that belongs to no file: what `pipeline repair` did."""

BEGIN: Final = "begin"
BLOCK: Final = "block"
CUT: Final = "cut"
EXPIRED: Final = "expired"
REPAIRED: Final = "repaired"
ACCEPTED: Final = "accepted"

_INSTANCE: Final = re.compile(r"\.(i[0-9a-f]{8})\.")
_TAIL_BYTES: Final = 64 * 1024
_LAST_BYTES: Final = 4 * 1024
"""Most last entries are shorter; who looks after files asks for the last one of each."""
NO_HEAD: Final = "0" * 64
"""What the first entry of all has as `previous`."""

Entry = dict[str, Any]


def directory_of(belongings_dir: Path) -> Path:
    """Return where the manifests are."""
    return belongings_dir / DIRECTORY


def instance_of(name: str) -> str:
    """Return the instance that a file's name says, "" for the first one."""
    match = _INSTANCE.search(name)
    return match[1] if match else ""


def repairs_name(instance: str) -> str:
    """Return the name under which entries that belong to no file are kept."""
    return f"{REPAIRS}.{instance}.jsonl" if instance else f"{REPAIRS}.jsonl"


class Chain:
    """The manifests of one instance, for their writer. Methods raise OSError when the disk refuses."""

    def __init__(
        self, belongings_dir: Path, instance: str, known_head: str = "", access: Access = PRIVATE
    ) -> None:
        self.directory = directory_of(belongings_dir)
        self.instance = instance
        self.access = access
        self._known_head = known_head
        self._last_written: Path | None = None
        self._is_settled = False
        self.serial = 0
        self.digest = NO_HEAD
        self._load()

    @property
    def is_replaced(self) -> bool:
        """Whether another directory stands in the place of ours: a volume was mounted over it, for one."""
        here = _identity_of(self.directory)
        return here != self._identity and None not in (here, self._identity)

    @property
    def head(self) -> str:
        """`SERIAL:SHA-256` of the last entry, "" before the first."""
        return f"{self.serial}:{self.digest}" if self.serial else ""

    def path_of(self, file: str) -> Path:
        """Return where the manifest of a day file is."""
        return self.directory / (file + SUFFIX)

    def files(self) -> list[str]:
        """Return the day files of this instance that have a manifest."""
        names = sorted(name for name in files.names_in(self.directory) if name.endswith(SUFFIX))
        own = [name.removesuffix(SUFFIX) for name in names if instance_of(name) == self.instance]
        return [name for name in own if not name.startswith(REPAIRS)]

    def has(self, file: str) -> bool:
        """Whether the file has a manifest with an entry in it."""
        return last_entry(self.path_of(file)) is not None

    def covered(self, file: str) -> int:
        """Return up to where the entries of a file reach."""
        end = 0
        for line in self._lines_of(file):
            entry = parsed(line) or {}
            offset = int(entry.get("offset", 0))
            if entry.get("kind") == CUT:
                end = offset
            elif entry.get("kind") in (BEGIN, BLOCK):
                end = max(end, offset + int(entry.get("length", 0)))
        return end

    def settle(self) -> None:
        """Have the entry that was found last on the disk, once, before its head is told (M6)."""
        if not self._is_settled and self._last_written is not None:
            files.write_again(self._last_written, 0)
            files.sync_file(self._last_written)
        self._is_settled = True

    def extend(self, file: str, entries: Sequence[Entry]) -> None:
        """Add entries of one file, durably; after an error none of them counts."""
        if self._last_written is not None and not self._last_written.exists():
            self._load()  # the log directory was replaced
        self.settle()
        serial, digest, at, lines = self.serial, self.digest, clock.wall_text(), []
        for entry in entries:
            serial += 1
            line = orjson.dumps({"serial": serial, "at": at, "file": file, **entry, "previous": digest})
            digest = digest_of(line)
            lines.append(line + b"\n")
        self._store(self.path_of(file), b"".join(lines))
        self.serial, self.digest = serial, digest

    def _lines_of(self, file: str) -> list[bytes]:
        try:
            return self.path_of(file).read_bytes().split(b"\n")[:-1]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _store(self, path: Path, data: bytes) -> None:
        if not self.directory.is_dir():
            make_directory(self.directory, self.access)
            files.sync_directory(self.directory.parent)
            self._identity = _identity_of(self.directory)
        is_new = not path.exists()
        fd = os.open(path, files.APPEND | os.O_NOFOLLOW, self.access.file_mode)
        try:
            if is_new:
                self.access.give_file(fd)
            failpoint.reach("writer.manifest.before")
            end = _cut_half_line(fd)
            if failpoint.is_aimed_at("writer.manifest.partial"):
                files.write_all(fd, data[: len(data) // 2])
                failpoint.reach("writer.manifest.partial")
                data = data[len(data) // 2 :]
            try:
                files.write_all(fd, data)
                os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
            failpoint.reach("writer.manifest.after")
        finally:
            os.close(fd)
        if is_new:
            files.sync_directory(self.directory)
        self._last_written = path

    def _load(self) -> None:
        """Find the last entry of all; when there is less than somebody knows of, go on behind that."""
        self._identity = _identity_of(self.directory)
        self._is_settled = False
        serial, _, digest = self._known_head.partition(":")
        self.serial, self.digest, self._last_written = int(serial or 0), digest or NO_HEAD, None
        for name in files.names_in(self.directory):
            if not name.endswith(SUFFIX) or instance_of(name) != self.instance:
                continue
            line = last_line(self.directory / name)
            entry = parsed(line) or {}
            if entry.get("serial", 0) >= max(self.serial, 1):
                self.serial, self.digest = int(entry["serial"]), digest_of(line)
                self._last_written = self.directory / name


def _identity_of(directory: Path) -> tuple[int, int] | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def digest_of(data: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parsed(line: bytes) -> Entry | None:
    """Return the entry in a line, None when it holds none."""
    try:
        entry = orjson.loads(line)
    except ValueError:
        return None
    is_entry = isinstance(entry, dict) and type(entry.get("serial")) is int and "kind" in entry
    return entry if is_entry else None


def last_entry(path: Path) -> Entry | None:
    """Return the last whole entry of a manifest, None when there is none."""
    return parsed(last_line(path))


def last_line(path: Path) -> bytes:
    """Return the last line that holds an entry, without its newline; empty when there is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            reach = _LAST_BYTES
            while True:
                start = max(0, size - reach)
                file.seek(start)
                lines = file.read(size - start).split(b"\n")[:-1]
                whole = lines if start == 0 else lines[1:]
                found = next((line for line in reversed(whole) if parsed(line)), b"")
                if found or start == 0:
                    return found
                reach *= 4
    except (FileNotFoundError, NotADirectoryError):
        return b""


def covered_by(entry: Entry) -> int:
    """Return up to where the bytes reach that an entry of a file tells of."""
    return int(entry.get("offset", 0)) + int(entry.get("length", 0))


def _cut_half_line(fd: int) -> int:
    """Cut what stands behind the last newline, and return where the file ends then."""
    end = size = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        newline = files.pread_all(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
    return end
