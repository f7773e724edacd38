"""
Which bytes are proven by digests, and which have to be read line by line; both, in as few passes as possible.

First the blocks of all files are compared with their digests. What a proven block holds its entry says. Then
the lines of everything else are read: files without a manifest, what has no entry yet, blocks that are not
what they were. With `is_full` the lines of proven blocks are read too, and compared with what the entry says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.limits import MIB
from pipeline.verification import workforce
from pipeline.verification.blocks import Proof, prove
from pipeline.verification.files import packed_twin
from pipeline.verification.reading import Reading, read
from pipeline.verification.workforce import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pipeline.verification.coverage import Coverage
    from pipeline.verification.entries import Block
    from pipeline.verification.files import LogFile

TASK_BYTES: Final = 16 * MIB


class Part(NamedTuple):
    """A range of a file: a block with what became of it, or lines that were read, or both."""

    start: int
    end: int
    block: Block | None = None
    proof: Proof | None = None
    reading: Reading | None = None


@dataclass
class Sheet:
    """One file of the survey, and its parts in order once they are known."""

    file: LogFile
    coverage: Coverage | None
    blocks: list[Block] = field(default_factory=list)
    """Those that lie within the file."""
    proofs: list[Proof] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


def survey(
    files: Sequence[LogFile],
    coverages: Mapping[str, Coverage],
    progress: Callable[[int], None],
    *,
    is_full: bool,
) -> list[Sheet]:
    """Return the files with what is known of each of their ranges."""
    sheets = [_sheet(file, coverages.get(file.stem)) for file in files]
    done = _prove(sheets, progress)
    for sheet in sheets:
        if not sheet.file.packing and not sheet.file.trouble and not os.path.exists(sheet.file.path):
            sheet.file = packed_twin(sheet.file) or sheet.file
            sheet.proofs = []
        sheet.parts = [*_parts(sheet, is_full=is_full)]
    _read(sheets, done, progress)
    return sheets


def _sheet(file: LogFile, coverage: Coverage | None) -> Sheet:
    sheet = Sheet(file, coverage)
    if coverage is not None and not file.trouble:
        is_plain = not file.packing
        sheet.blocks = [block for block in coverage.blocks if not is_plain or block.end <= file.size]
    return sheet


def _prove(sheets: Sequence[Sheet], progress: Callable[[int], None]) -> int:
    tasks, owners = [], []
    for sheet in sheets:
        for blocks in _groups(sheet.blocks if not sheet.file.packing else []):
            tasks.append(Task(prove, (sheet.file.path, blocks), sum(block.length for block in blocks)))
            owners.append(sheet)
    for sheet, proofs in zip(owners, workforce.do(tasks, progress), strict=True):
        sheet.proofs += proofs
    return sum(task.bytes for task in tasks)


def _groups(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    for block in blocks:
        group.append(block)
        if sum(other.length for other in group) >= TASK_BYTES:
            yield group
            group = []
    if group:
        yield group


def _parts(sheet: Sheet, *, is_full: bool) -> Iterator[Part]:
    """Yield the ranges of a file; a reading that has still to be done is an empty one."""
    file, place = sheet.file, 0
    if file.packing or file.trouble:
        yield Part(0, file.size, reading=Reading())
        return
    for block, proof in zip(sheet.blocks, sheet.proofs, strict=False):
        if not proof.is_same:
            continue
        if block.offset > place:
            yield Part(place, block.offset, reading=Reading())
        yield Part(block.offset, block.end, block, proof, Reading() if is_full else None)
        place = block.end
    if place < file.size or not sheet.proofs:
        yield Part(place, file.size, reading=Reading())


def _read(sheets: Sequence[Sheet], done: int, progress: Callable[[int], None]) -> None:
    """Read the lines of every part that wants it; long ones are cut up first."""
    tasks, places = [], []
    for sheet in sheets:
        sheet.parts = [piece for part in sheet.parts for piece in _cut_up(sheet.file, part)]
        for index, part in enumerate(sheet.parts):
            if part.reading is not None:
                tasks.append(_task(sheet, part))
                places.append((sheet, index))
    readings = workforce.do(tasks, lambda count: progress(done + count))
    for (sheet, index), reading in zip(places, readings, strict=True):
        sheet.parts[index] = sheet.parts[index]._replace(reading=reading)


def _task(sheet: Sheet, part: Part) -> Task:
    file = sheet.file
    if file.packing or (part.start == 0 and part.end == file.size):
        arguments: tuple[Any, ...] = (file, tuple(sheet.blocks) if file.packing else ())
    else:
        arguments = (file.piece(part.start, part.end),)
    return Task(read, arguments, part.end - part.start)


def _cut_up(file: LogFile, part: Part) -> Iterator[Part]:
    """Cut a long range without a block at newlines, so that several can read it."""
    start = part.start
    if part.block is None and part.reading is not None and not file.packing and not file.trouble:
        while part.end - start > 2 * TASK_BYTES:
            cut = _line_start(file, start + TASK_BYTES, part.end)
            if cut is None:
                break
            yield Part(start, cut, reading=Reading())
            start = cut
    yield part._replace(start=start)


def _line_start(file: LogFile, place: int, end: int) -> int | None:
    """Return where the first line behind a place begins, None when none does within reach."""
    try:
        with open(file.path, "rb", buffering=0) as raw:
            raw.seek(place)
            newline = raw.read(min(TASK_BYTES, end - place)).find(b"\n")
    except OSError:
        return None
    return None if newline < 0 else place + newline + 1
