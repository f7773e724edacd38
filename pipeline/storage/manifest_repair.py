"""
New entries after damage: what `pipeline repair` writes, for whoever holds the append lock and has no writer.

Nothing is rewritten. A `repaired` entry takes others out of force by their serials; what they covered gets
new entries, marked `rebuilt`, and `accepted` says up to which serial somebody takes that for good. A kill
between any two steps leaves ranges without an entry, and repairing again gives them theirs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import files
from pipeline.paths import QUARANTINE
from pipeline.storage import quarantine
from pipeline.storage.manifest import ACCEPTED, BEGIN, CUT, REPAIRED, repairs_name
from pipeline.storage.manifest_block import BLOCK_BYTES, Block, Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.storage.manifest import Chain, Entry

REBUILT: Final = "rebuilt by pipeline repair from what the file had then"
_ENTRIES_MAX: Final = 64
Range = tuple[int, int]


def take_out_of_force(chain: Chain, void: Sequence[Range]) -> None:
    """Say that these serials count no more: forged, gone, or of bytes that are gone."""
    chain.extend(repairs_name(chain.instance), [{"kind": REPAIRED, "void": [list(pair) for pair in void]}])


def accept(chain: Chain, missing: Mapping[str, Sequence[Range]]) -> None:
    """Say that all up to here is taken for good, and that these numbers of producers are known to be lost."""
    lost = {producer: [list(pair) for pair in ranges] for producer, ranges in missing.items()}
    entry = {"kind": ACCEPTED, "until": chain.serial, "missing": lost}
    chain.extend(repairs_name(chain.instance), [entry])


def note_shorter(chain: Chain, file: str, size: int) -> None:
    """Say that a file ends here now, or that it is gone (size 0)."""
    chain.extend(file, [{"kind": CUT, "offset": size, "length": 0}])


def rebuild(
    chain: Chain, log_dir: Path, file: str, ranges: Sequence[Range], progress: Callable[[int], None]
) -> int:
    """Write entries for ranges of a file as it is now; return how many bytes have one."""
    path = log_dir / file
    done = 0
    fd = os.open(path, files.READ)
    try:
        os.fsync(fd)
        if not chain.has(file):
            chain.extend(file, [{"kind": BEGIN, "offset": 0}])
        for start, end in ranges:
            done += _rebuild_range(chain, file, fd, start, end, progress)
    finally:
        os.close(fd)
    return done


def _rebuild_range(
    chain: Chain, file: str, fd: int, start: int, end: int, progress: Callable[[int], None]
) -> int:
    entries: list[Entry] = []
    place = start
    while place < end:
        data = _whole_lines(fd, place, end)
        if not data:
            break
        lines = Lines(data, 0, is_slice=False)
        while lines.are_left:
            block = Block(place, REBUILT)
            block.add(lines)
            entries.append(block.entry())
            place = block.end
        progress(len(data))
        if len(entries) >= _ENTRIES_MAX:
            chain.extend(file, entries)
            entries = []
    if entries:
        chain.extend(file, entries)
    return place - start


def _whole_lines(fd: int, place: int, end: int) -> bytes:
    """Return about a block of whole lines; more for a longer line, nothing when none ends before `end`."""
    reach = BLOCK_BYTES
    while True:
        data = files.pread_all(fd, min(reach, end - place), place)
        newline = data.rfind(b"\n")
        if newline >= 0 or place + len(data) >= end or len(data) < reach:
            return data[: newline + 1]
        reach *= 2


def cut_tail(belongings_dir: Path, path: Path, offset: int) -> int:
    """Cut a file to a size, after what is cut is in quarantine; return how many bytes that were."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = files.pread_all(fd, os.fstat(fd).st_size - offset, offset)
        quarantine.keep(belongings_dir / QUARANTINE, f"{path.name}.{offset}", data)
        os.ftruncate(fd, offset)
        os.fsync(fd)
    finally:
        os.close(fd)
    return len(data)


def drop_lines(belongings_dir: Path, manifest: Path, numbers: Sequence[int]) -> None:
    """Take lines that hold no entry out of a manifest; as it was it goes to quarantine."""
    data = manifest.read_bytes()
    quarantine.keep(belongings_dir / QUARANTINE, manifest.name, data)
    lines = data.split(b"\n")
    kept: list[Any] = [line for number, line in enumerate(lines, 1) if number not in set(numbers)]
    files.replace(manifest, b"\n".join(kept), durable=True)
