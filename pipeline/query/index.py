"""
The block index: of each block of a file from when to when it is, which types it has, and a filter of its ids.

`.pipeline/index/FILE.index` begins with a line, a CRC-32 of all that follows and JSON; behind it stand the
filters: the CRC-32 of each id, sorted, in four bytes. (A Bloom filter for one stranger in 300 is half as
long, and takes three times as long to make in Python.) Where the directory cannot be written to, the file is
in the user's cache, or nowhere. It may be removed at any time.

Invariants
    X1  An entry counts only for a block of the same place and digest in the manifest, and is made only of
        bytes that have that digest.
    X2  It decides what is not read, never what is found. Where there is no entry, the bytes are read.
    X3  It counts only as long as the file has only grown, or has the time of last change that it had; one
        that somebody has touched is indexed anew.
    X4  Nothing but index files is ever written here.
The tests are integration/test_query_index.py.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from array import array
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.host import files
from pipeline.query.scan import STAMP
from pipeline.storage.directories import PRIVATE, make_directory
from pipeline.storage.fallback_places import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.query.blocks import Block
    from pipeline.query.sources import Source
    from pipeline.storage.directories import Access

VERSION: Final = 1
SUFFIX: Final = ".index"
DIRECTORY: Final = "index"
ID_FIELDS: Final = ("session_id", "trace_id", "tool_use_id", "user_id", "user", "request_id")
"""Fields that a look-up by value is quick for."""
_SEEDS: Final = {field: zlib.crc32(field.encode()) for field in ID_FIELDS}
_STORE_BYTES: Final = 256 << 20
"""So much of a file is indexed between two stores: who is killed has done a few seconds for nothing."""


class Summary(NamedTuple):
    """What the index says of a block."""

    first: str
    last: str
    types: frozenset[str]
    ids: memoryview
    """Numbers of `id_of`, sorted, four bytes each."""

    def may_hold(self, number: int) -> bool:
        """Tell whether the block may have an id; False is certain."""
        numbers = self.ids.cast("I")
        place = bisect_left(numbers, number)
        return place < len(numbers) and numbers[place] == number


Place = tuple[int, str]
"""(offset, digest) of a block."""


class Index:
    """The index of one file, as far as it is made."""

    def __init__(self, log_dir: Path, source: Source, access: Access | None = None) -> None:
        """With an `access` it is the one that all readers share, made for these, never that of a user."""
        self._paths = _paths(log_dir, source.stem) if access is None else [path_of(log_dir, source.stem)]
        self._access = access or PRIVATE
        self._state = _state_of(source)
        self._known: dict[Place, Summary] = {}
        for path in self._paths:
            # Of another version, it may lack or have anything.
            with suppress(OSError, ValueError, LookupError, TypeError):
                self._known = _loaded(path.read_bytes(), self._state, is_packed=bool(source.packing))
            if self._known:
                break

    def of(self, block: Block) -> Summary | None:
        """Return what is known of a block, None when nothing is."""
        return self._known.get((block.offset, block.digest))

    def add(self, blocks: Iterable[Block], read: Callable[[Block], bytes], bytes_max: int) -> None:
        """Make what is missing, up to so many bytes of blocks, and store it where that can be done."""
        room, unsaved = bytes_max, 0
        for block in blocks:
            if self.of(block) is not None:
                continue
            room -= block.length
            if room < 0:
                break
            data = read(block)
            if hashlib.sha256(data).hexdigest() == block.digest:
                self._known[block.offset, block.digest] = _summary_of(data)
                unsaved += block.length
            if unsaved >= _STORE_BYTES:
                self._store()
                unsaved = 0
        if unsaved:
            self._store()

    def _store(self) -> None:
        entries = [
            {"offset": offset, "digest": digest, "first": one.first, "last": one.last}
            | {"types": sorted(one.types), "ids": len(one.ids)}
            for (offset, digest), one in self._known.items()
        ]
        head = orjson.dumps({"version": VERSION, "order": sys.byteorder, **self._state, "blocks": entries})
        rest = b"".join([head, b"\n", *(one.ids for one in self._known.values())])
        for path in self._paths:
            # A directory that is not ours to write to, or a full disk: the next place, or none.
            with suppress(OSError):
                if path is not self._paths[0]:
                    files.make_private(path.parent.parent)
                make_directory(path.parent, self._access)
                data = b"%08x %b" % (zlib.crc32(rest), rest)
                files.replace(path, data, give=self._access.give_file)
                return


def id_of(field: str, text: str) -> int:
    """Return an id as filters have it: the CRC-32 of its field and of its text up to the first quote."""
    return zlib.crc32(orjson.dumps(text)[1:-1].partition(b'"')[0], _SEEDS[field])


def path_of(log_dir: Path, stem: str) -> Path:
    """Return where the index of a file is that all readers share."""
    return log_dir / ".pipeline" / DIRECTORY / f"{stem}{SUFFIX}"


def _paths(log_dir: Path, stem: str) -> list[Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [
        path_of(log_dir, stem),
        Path(cache) / "pipeline" / key_of(log_dir) / DIRECTORY / f"{stem}{SUFFIX}",
    ]


def _state_of(source: Source) -> dict[str, int]:
    try:
        found = source.path.stat()
    except OSError:
        return {"size": 0, "changed": 0}
    return {"size": found.st_size, "changed": found.st_mtime_ns}


def _loaded(data: bytes, state: dict[str, int], *, is_packed: bool) -> dict[Place, Summary]:
    """Return what an index file says, nothing when it is damaged or of another state of its file."""
    if data[:8] != b"%08x" % zlib.crc32(memoryview(data)[9:]):
        return {}
    end = data.index(b"\n")
    head = orjson.loads(data[9:end])
    if not _still_counts(head, state, is_packed=is_packed):
        return {}
    found, place, view = {}, end + 1, memoryview(data)
    for one in head["blocks"]:
        ids = view[place : place + one["ids"]]
        place += one["ids"]
        found[one["offset"], one["digest"]] = Summary(one["first"], one["last"], frozenset(one["types"]), ids)
    return found


def _still_counts(head: dict[str, Any], state: dict[str, int], *, is_packed: bool) -> bool:
    if (head["version"], head["order"]) != (VERSION, sys.byteorder):
        return False
    if head["changed"] == state["changed"]:
        return True  # packed or not: packing keeps the time of the last change
    return not is_packed and head["size"] < state["size"]


def _summary_of(data: bytes) -> Summary:
    stamps = [line[STAMP] for line in data.split(b"\n")[:-1]]
    numbers = {number for field in ID_FIELDS for number in _numbers(data, field)}
    return Summary(
        min(stamps).decode("ascii", "replace"),
        max(stamps).decode("ascii", "replace"),
        frozenset(text.decode("utf-8", "replace") for text in _types(data)),
        memoryview(array("I", sorted(numbers)).tobytes()),
    )


def _numbers(data: bytes, field: str) -> set[int]:
    seed, crc32 = _SEEDS[field], zlib.crc32
    return {crc32(piece[: piece.find(b'"')], seed) for piece in _behind(data, field)}


def _types(data: bytes) -> set[bytes]:
    return {piece[: piece.find(b'"')] for piece in _behind(data, "action_type")}


def _behind(data: bytes, field: str) -> list[bytes]:
    """Return what follows each place where a text field begins, as far as the next."""
    return data.split(f'"{field}":"'.encode())[1:]
