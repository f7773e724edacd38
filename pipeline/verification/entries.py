"""
The entries of the manifests as they stand on the disk, each with its place and its digest.

docs/internals/manifest.md has the format. Nothing in here trusts an entry: what it says is checked against
the chain (`chain`), against the bytes (`blocks`) and, with `--full`, against the lines.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from orjson import JSONDecodeError, loads

from pipeline.host.terminal import visible
from pipeline.verification.findings import Finding, Kind, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.verification.findings import Findings

DIRECTORY: Final = ".pipeline/manifests"
NAME: Final = re.compile(r"(?P<file>[^/]+)\.manifest", re.ASCII)
INSTANCE: Final = re.compile(r"\.(i[0-9a-f]{8})\.", re.ASCII)
LOOKS_MAX: Final = 20
"""How often manifests are read again because a writer was adding to them."""

Ranges = tuple[tuple[int, int], ...]


class Entry(NamedTuple):
    """One entry. `fields` is what its line says, unchecked beyond what this tuple has."""

    instance: str
    serial: int
    kind: str
    file: str
    previous: str
    digest: str
    """SHA-256 of its line."""
    fields: dict[str, Any]
    manifest: str
    line: int
    offset: int
    length: int

    def finding(self, kind: Kind, sentence: str, check: str = "chain") -> Finding:
        """Return a finding at this entry."""
        return Finding(kind, sentence, self.manifest, self.line, self.offset, self.length, check=check)


class Block(NamedTuple):
    """What an entry says of a piece of a file."""

    offset: int
    length: int
    lines: int
    producers: dict[str, Ranges]
    digest: str
    serial: int
    unproven: str
    """Why its bytes are not proven to be what was appended; empty for most."""

    @property
    def end(self) -> int:
        """The offset behind its last byte."""
        return self.offset + self.length


def read_entries(log_dir: Path, findings: Findings) -> list[Entry]:
    """Return all entries of all manifests; what is none is a finding."""
    directory = log_dir / DIRECTORY
    contents: dict[str, bytes] = {}
    for _ in range(LOOKS_MAX):
        # An entry in a manifest that was read late may follow one in a manifest that was read early.
        sizes = _sizes(directory)
        if sizes == {name: len(data) for name, data in contents.items()}:
            break
        contents = _read(directory, sizes, findings)
    return [entry for name in sorted(contents) for entry in _entries(name, contents[name], findings)]


def instance_of(name: str) -> str:
    """Return the instance that a file name says, "" for the first one."""
    match = INSTANCE.search(name)
    return match[1] if match else ""


def block_of(entry: Entry) -> Block | None:
    """Return what an entry says of a block, None when it is not well formed."""
    fields = entry.fields
    offset, length, lines = (fields.get(name) for name in ("offset", "length", "lines"))
    digest, producers = fields.get("digest"), producers_of(fields.get("producers"))
    if not (is_count(offset) and is_count(length) and is_count(lines)):
        return None
    if not length or not isinstance(digest, str) or producers is None:
        return None
    rebuilt = fields.get("rebuilt", "")
    return Block(offset, length, lines, producers, digest, entry.serial, rebuilt and visible(str(rebuilt)))


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number from 0 on."""
    return type(value) is int and value >= 0


def range_of(value: object) -> tuple[int, int] | None:
    """Return [first, last] as a pair, None when it is no range of numbers from 1 on."""
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - first and last
        return None
    first, last = value
    return (first, last) if type(first) is int and type(last) is int and 0 < first <= last else None


def producers_of(value: object) -> dict[str, Ranges] | None:
    """Return ranges of numbers by producer, None when the value is something else."""
    if not isinstance(value, dict):
        return None
    found = {}
    for producer, ranges in value.items():
        pairs = [range_of(pair) for pair in ranges] if isinstance(ranges, list) else [None]
        if None in pairs:
            return None
        found[producer] = tuple(pair for pair in pairs if pair)
    return found


def _sizes(directory: Path) -> dict[str, int]:
    try:
        paths = [path for path in directory.iterdir() if NAME.fullmatch(path.name)]
        return {path.name: path.stat().st_size for path in paths}
    except OSError:
        return {}


def _read(directory: Path, names: dict[str, int], findings: Findings) -> dict[str, bytes]:
    contents = {}
    for name in names:
        try:
            contents[name] = (directory / name).read_bytes()
        except OSError as error:
            sentence = f"cannot be read: {error.strerror}"
            findings.add(Finding(Kind.UNREADABLE, sentence, f"{DIRECTORY}/{name}", check="chain"))
    return contents


def _entries(name: str, data: bytes, findings: Findings) -> Iterator[Entry]:
    manifest, offset = f"{DIRECTORY}/{name}", 0
    # What follows the last newline was being written when its writer died, or is: nobody was told of it.
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        entry = _entry(name, line, (manifest, number, offset, len(line)))
        if isinstance(entry, str):
            sentence = f"{entry}: {excerpt(line)}"
            findings.add(
                Finding(Kind.BROKEN_CHAIN, sentence, manifest, number, offset, len(line), check="chain")
            )
        else:
            yield entry
        offset += len(line) + 1


def _entry(name: str, line: bytes, place: tuple[str, int, int, int]) -> Entry | str:
    """Return the entry in a line, or what is wrong with it."""
    try:
        fields = loads(line)
    except JSONDecodeError:
        return "not JSON, and so no entry"
    if not isinstance(fields, dict):
        return "no entry of a manifest"
    serial, kind, file, previous = (fields.get(field) for field in ("serial", "kind", "file", "previous"))
    if type(serial) is not int or serial < 1 or not isinstance(kind, str) or not isinstance(previous, str):
        return "an entry without serial, kind or previous"
    if file != name.removesuffix(".manifest"):
        return "an entry of another file"
    digest = hashlib.sha256(line).hexdigest()
    return Entry(instance_of(name), serial, kind, file, previous, digest, fields, *place)
