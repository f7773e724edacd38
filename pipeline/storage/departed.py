"""
What the manifests say of files that have left: an entry `expired`, durable before the file goes.

A manifest stays when its file leaves, so that its numbers are known for good: `verify` and `account` count
them, and a record that comes back after a power loss is not stored again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import files
from pipeline.storage import naming
from pipeline.storage.manifest import BLOCK, CUT, EXPIRED, SUFFIX, last_entry, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from pipeline.storage.manifest import Entry
    from pipeline.storage.naming import DayName


def cause_of(manifest: Path) -> str:
    """Return why the manifest says that its file has left, empty when it does not."""
    entry = last_entry(manifest) or {}
    return str(entry.get("cause") or EXPIRED) if entry.get("kind") == EXPIRED else ""


def entry_for(manifest: Path, cause: str, words: Entry | None = None) -> Entry:
    """
    Return the entry for a file that is going to leave; `records` and `length` are what is known of it.

    `words` are what only the file itself says (`keeping/last_words`): `producers`, `told`.
    """
    records = length = 0
    for block in _blocks(manifest):
        records += int(block.get("lines", 0))
        length = max(length, int(block["offset"]) + int(block["length"]))
    words = words or {}
    ranges = [pair for pairs in words.get("producers", {}).values() for pair in pairs]
    records += sum(last - first + 1 for first, last in ranges)
    return {"kind": EXPIRED, "offset": 0, "length": length, "cause": cause, "records": records, **words}


def requested(found: dict[str, object]) -> Entry | None:
    """Return the entry that a request holds, None when it is none."""
    records, length, cause = found.get("records"), found.get("length"), found.get("cause")
    if found.get("kind") != EXPIRED or type(records) is not int or type(length) is not int or not cause:
        return None
    entry = {"kind": EXPIRED, "offset": 0, "length": length, "cause": str(cause), "records": records}
    words = ("producers", "told")
    return entry | {name: found[name] for name in words if isinstance(found.get(name), dict)}


def covered(manifest: Path) -> list[tuple[int, int]]:
    """Return the stretches [first, last] of bytes of a file that blocks tell of."""
    found: list[tuple[int, int]] = []
    for entry in _entries(manifest):
        offset, length = int(entry.get("offset", 0)), int(entry.get("length", 0))
        if entry["kind"] == CUT:
            found = [known for known in found if known[1] < offset]
        elif entry["kind"] == BLOCK and length:
            found.append((offset, offset + length - 1))
    return found


def files_of(manifests: Path) -> list[str]:
    """Return the files that have a manifest, there or not."""
    return [name.removesuffix(SUFFIX) for name in files.names_in(manifests) if name.endswith(SUFFIX)]


def parts_of(manifests: Path, period: str, instance: str) -> list[DayName]:
    """Return the parts of a period that have left, without replayed ones."""
    days = (naming.parse(name) for name in files_of(manifests))
    own = (day for day in days if day is not None and (day.period, day.instance) == (period, instance))
    return [day for day in own if not day.is_replay and cause_of(manifests / f"{day}{SUFFIX}")]


def numbers_of(
    manifests: Path,
    periods: Collection[str],
    producers: Collection[str],
    beat: Callable[[], None],
) -> dict[str, set[int]]:
    """Return which numbers the files had that have left, of these periods and producers, of any instance."""
    found: dict[str, set[int]] = {producer: set() for producer in producers}
    for name in files_of(manifests):
        path = manifests / (name + SUFFIX)
        if naming.period_of(name) not in periods or not cause_of(path):
            continue
        beat()
        for entry in _entries(path):
            for producer, stretches in entry.get("producers", {}).items():
                if producer in found:
                    found[producer].update(*(range(first, last + 1) for first, last in stretches))
    return found


def _blocks(manifest: Path) -> Iterator[Entry]:
    return (entry for entry in _entries(manifest) if entry["kind"] == BLOCK)


def _entries(manifest: Path) -> Iterator[Entry]:
    try:
        lines = manifest.read_bytes().split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return
    entries = (parsed(line) for line in lines)
    yield from (entry for entry in entries if entry)
