"""
What the manifest says of one file, and whether bytes are that: read anew for each file that is packed.

`rebuilt` entries count: nobody knows that those bytes are what was appended, and packed they are what they
were. The same goes for what was there before the manifest began, of which no entry has a digest.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import PackingRefused
from pipeline.storage import manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pipeline.storage.manifest import Entry


class Range(NamedTuple):
    """A stretch of a file with the SHA-256 of its bytes in hexadecimal, "" where no entry has one."""

    start: int
    end: int
    digest: str


class Digests:
    """The digests of ranges that follow each other, of bytes that come piece by piece."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ends = [found.end for found in ranges]
        self._place = 0
        self._running = hashlib.sha256()
        self.done: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes. What goes beyond the last range is one digest more."""
        view = memoryview(data)
        while view:
            room = self._ends[len(self.done)] - self._place if len(self.done) < len(self._ends) else len(view)
            taken = view[:room]
            self._running.update(taken)
            self._place += len(taken)
            view = view[room:]
            if len(taken) == room:
                self.done.append(self._running.hexdigest())
                self._running = hashlib.sha256()


def ranges_of(belongings_dir: Path, name: str, size: int) -> list[Range]:
    """Return what the entries say of all `size` bytes of a file; PackingRefused where they do not."""
    void = _void_serials(belongings_dir, manifest.instance_of(name))
    found: list[Range] = []
    end = begin = 0
    for entry in _entries(belongings_dir, name):
        if any(first <= entry["serial"] <= last for first, last in void):
            continue
        offset, length = int(entry.get("offset", 0)), int(entry.get("length", 0))
        if entry["kind"] == manifest.BEGIN and not found:
            begin = end = offset
        elif entry["kind"] == manifest.CUT:
            found = [known for known in found if known.end <= offset]
            begin, end = min(begin, offset), offset
        elif entry["kind"] == manifest.BLOCK:
            found.append(Range(offset, offset + length, str(entry.get("digest", ""))))
            end = max(end, offset + length)
    if begin:
        found.append(Range(0, begin, ""))
    found.sort()
    _require_whole(found, end, size)
    return found


def differs(ranges: Sequence[Range], digests: Sequence[str]) -> bool:
    """Whether bytes with these digests are not what the entries say."""
    if len(digests) != len(ranges):
        return True
    return any(known.digest not in ("", digest) for known, digest in zip(ranges, digests, strict=True))


def _require_whole(found: Sequence[Range], end: int, size: int) -> None:
    if not found:
        raise PackingRefused("it has no entry in a manifest", remedy="Try: pipeline repair")
    if end > size:
        raise PackingRefused(f"it is {end - size:,} bytes shorter than its manifest says")
    place = 0
    for known in found:
        if known.start != place:
            raise PackingRefused(f"the entries of its manifest do not fit together at byte {place:,}")
        place = known.end
    if place < size:
        raise PackingRefused(
            f"its last {size - place:,} bytes have no entry in its manifest", remedy="Try: pipeline repair"
        )


def _void_serials(belongings_dir: Path, instance: str) -> list[tuple[int, int]]:
    """Return the ranges of serials that repairs have taken out of force."""
    repairs = _entries(belongings_dir, manifest.repairs_name(instance))
    voids = [entry.get("void", []) for entry in repairs if entry["kind"] == manifest.REPAIRED]
    return [(int(first), int(last)) for void in voids for first, last in void]


def _entries(belongings_dir: Path, name: str) -> Iterable[Entry]:
    path = manifest.directory_of(belongings_dir) / (name + manifest.SUFFIX)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [entry for line in lines if (entry := manifest.parsed(line)) is not None]
