"""
What is in a finished file, counted once, for the catalog: records by type and status, its span, its digest.

The keeper counts a file when it is sealed, and keeps what came of it in `.pipeline/counts/FILE.json`; the
catalog, which its one writer writes, takes it from there. Nothing else depends on it: counts that are lost
or damaged are made again, and `verify` goes by the manifests.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.host import files
from pipeline.query.facts import status_of
from pipeline.storage.catalog import COUNTS, counts_path
from pipeline.verification.files import describe
from pipeline.verification.opener import READ_ERRORS, read_chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.paths import Places

_NAMES_MAX: Final = 1000
"""Types and statuses that are counted by name; a program that makes up new ones all the time has more."""
_OTHERS: Final = "(others)"


class _Line(msgspec.Struct):
    timestamp: str
    action_type: str
    status: Any = None


def is_counted(places: Places, name: str) -> bool:
    """Whether a file has its counts."""
    return counts_path(places.belongings_dir, name).exists()


def count(places: Places, file: str, name: str, beat: Callable[[], None]) -> None:
    """
    Count the file `file` of the log directory, which is called `name` while it is plain.

    OSError when it cannot be read to its end, or the disk refuses.
    """
    found = _counted(places.log_dir / file, beat)
    directory = places.belongings_dir / COUNTS
    files.make_private(directory)
    files.write_json(counts_path(places.belongings_dir, name), found, is_only_writer=True)


def _counted(path: Path, beat: Callable[[], None]) -> dict[str, Any]:
    log_file = describe(path)
    if log_file is None:
        raise OSError(f"{path.name} is no day file")
    tally, digest, carry, size = _Tally(), hashlib.sha256(), b"", 0
    try:
        for chunk in read_chunks(log_file):
            beat()
            size += len(chunk.data)
            digest.update(chunk.data)
            *lines, carry = (carry + chunk.data).split(b"\n")
            tally.take(lines)
    except READ_ERRORS as error:
        raise OSError(f"{path.name} cannot be read: {error}") from error
    return {**tally.document(), "unpacked_bytes": size, "sha256": digest.hexdigest()}


class _Tally:
    """The counts so far."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Line).decode
        self._types: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._first = self._last = ""
        self._strange = 0

    def take(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                record = self._decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._strange += 1
                continue
            _add(self._types, record.action_type)
            status = status_of({"status": record.status, "action_type": record.action_type})
            _add(self._statuses, str(status))
            if not self._first or record.timestamp < self._first:
                self._first = record.timestamp
            self._last = max(self._last, record.timestamp)

    def document(self) -> dict[str, Any]:
        return {
            "records": self._types.total(),
            "other_lines": self._strange,
            "first": self._first,
            "last": self._last,
            "types": dict(sorted(self._types.items())),
            "statuses": dict(sorted(self._statuses.items())),
        }


def _add(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _NAMES_MAX else _OTHERS] += 1
