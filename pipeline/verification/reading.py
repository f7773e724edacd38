"""
Lines read: each is judged, and its number entered into a stretch. What is read is a file or a piece of one.

A reading knows nothing of what is before or behind it, so that pieces can be read in several processes; what
it finds is put together afterwards, in order (`scan`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import JSONDecodeError, loads

from pipeline.host.terminal import visible
from pipeline.verification.findings import KEPT_PER_KIND, Kind, excerpt
from pipeline.verification.lines import LineReader
from pipeline.verification.opener import READ_ERRORS, read_chunks
from pipeline.verification.shape import BRACE, examine, is_timestamp
from pipeline.verification.testimony import TELLING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.verification.entries import Block as ProvenBlock
    from pipeline.verification.files import LogFile
    from pipeline.verification.lines import Block
    from pipeline.verification.opener import Chunk

NOT_A_RECORD: Final = (JSONDecodeError, KeyError, TypeError, IndexError)
"""What a line that is no record raises where the reading takes it for one."""


class Spot(NamedTuple):
    """Where a line stands: lines before it in what was read, its offset in the file, its length."""

    line: int
    offset: int
    length: int


class Stretch(NamedTuple):
    """Numbers of one producer that stand one behind the other, without a gap."""

    producer: str
    first: int
    last: int
    spot: Spot
    """Of the first of them."""
    is_settled: bool


class Complaint(NamedTuple):
    """A line that is wrong."""

    kind: Kind
    sentence: str
    spot: Spot


class Telling(NamedTuple):
    """A record that tells something of a producer."""

    record: dict[str, Any]
    spot: Spot
    is_settled: bool


@dataclass
class Reading:
    """What was read of a piece."""

    stretches: list[Stretch] = field(default_factory=list)
    """Those of one producer in the order in which they stand."""
    complaints: list[Complaint] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)
    told: list[Telling] = field(default_factory=list)
    lines: int = 0
    records: int = 0
    bytes: int = 0
    rest: Complaint | None = None
    """What follows the last newline."""
    trouble: Complaint | None = None
    """Why the rest could not be read."""
    changed: list[int] = field(default_factory=list)
    """Of the blocks asked about, the indexes of those that are not what their digests say."""


def read(
    piece: LogFile,
    blocks: Sequence[ProvenBlock] = (),
    progress: Callable[[int], None] | None = None,
) -> Reading:
    """Read a piece of a file. `blocks` are compared with their digests on the way; for packed files."""
    reader = _Reader(piece)
    digests = _Digests(blocks)
    reader.read_all(digests.watch(read_chunks(piece)), progress)
    reader.found.changed = digests.changed()
    return reader.found


class _Reader:
    def __init__(self, piece: LogFile) -> None:
        self.found = Reading()
        self._piece = piece
        self._runs: dict[str, list[Any]] = {}
        """By producer: [first number, the number that goes on, spot of the first]."""
        self._was_settled = True

    def read_all(self, chunks: Iterator[Chunk], progress: Callable[[int], None] | None) -> None:
        reader = LineReader(chunks, self._piece.start)
        try:
            for block in reader:
                self._read_block(block)
                if progress is not None:
                    progress(reader.disk_bytes)
            self._take_rest(reader)
        except READ_ERRORS as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            sentence = f"cannot be read from here on: {visible(cause)}"
            self.found.trouble = Complaint(Kind.UNREADABLE, sentence, Spot(reader.line - 1, reader.offset, 0))
        self._end_runs()
        self.found.lines = reader.line - 1
        self.found.bytes = reader.offset + reader.rest.length - self._piece.start

    def _read_block(self, block: Block) -> None:
        if self._was_settled and not block.is_settled:
            self._end_runs()
            self._was_settled = False
        runs, telling, second = self._runs, TELLING, ""
        for index, line in enumerate(block.lines):
            try:
                record = loads(line)
                stamp = record["timestamp"]
                action_type = record["action_type"]
                number = record["action_number"]
                producer = record["producer"]
                # One comparison proves order, spacing and quotes, and that no common field stands twice.
                head = (
                    f'{{"timestamp":"{stamp}","action_type":"{action_type}",'
                    f'"action_number":{number},"producer":"{producer}"'
                )
                is_plain = line.startswith(head.encode()) and line[-1] == BRACE and action_type and producer
                # Most times differ from the last one in the microseconds only; the pattern costs more.
                digits = stamp[20:26]
                if stamp[:20] != second or stamp[26:] != "Z" or not (digits.isdigit() and digits.isascii()):
                    is_plain = is_plain and is_timestamp(stamp)
                    second = stamp[:20] if is_plain else ""
            except NOT_A_RECORD:
                is_plain = False
            if not is_plain or type(number) is not int or number < 1:
                self._read_odd(block, index)
                continue
            run = runs.get(producer)
            if run is not None and run[1] == number:
                run[1] = number + 1
            else:
                self._turn(producer, number, _spot(block, index))
            if action_type in telling:
                self.found.told.append(Telling(record, _spot(block, index), block.is_settled))
        self.found.records += len(block.lines)

    def _read_odd(self, block: Block, index: int) -> None:
        kind, sentence, record = examine(block.lines[index])
        spot = _spot(block, index)
        if kind is not None:
            self._complain(Complaint(kind, sentence, spot))
        if record is None:
            self.found.records -= 1
            return
        self._turn(record["producer"], record["action_number"], spot)
        if kind is None and record["action_type"] in TELLING:
            self.found.told.append(Telling(record, spot, block.is_settled))

    def _complain(self, complaint: Complaint) -> None:
        self.found.counts[complaint.kind] += 1
        if self.found.counts[complaint.kind] <= KEPT_PER_KIND:
            self.found.complaints.append(complaint)

    def _turn(self, producer: str, number: int, spot: Spot) -> None:
        """Enter a number that may not continue what was read of its producer."""
        run = self._runs.get(producer)
        if run is not None and run[1] == number:
            run[1] += 1
            return
        if run is not None:
            self._end_run(producer, run)
        self._runs[producer] = [number, number + 1, spot]

    def _end_run(self, producer: str, run: list[Any]) -> None:
        self.found.stretches.append(Stretch(producer, run[0], run[1] - 1, run[2], self._was_settled))

    def _end_runs(self) -> None:
        for producer, run in self._runs.items():
            self._end_run(producer, run)
        self._runs = {}

    def _take_rest(self, reader: LineReader) -> None:
        rest = reader.rest
        if rest.length:
            spot = Spot(reader.line - 1, reader.offset, rest.length)
            self.found.rest = Complaint(Kind.TORN, excerpt(rest.kept()), spot)


class _Digests:
    """The digests of blocks of a stream of bytes."""

    def __init__(self, blocks: Sequence[ProvenBlock]) -> None:
        self._blocks = blocks
        self._same = [False] * len(blocks)

    def watch(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Pass the chunks on, and compare what is in them."""
        index, place, running = 0, 0, hashlib.sha256()
        for chunk in chunks:
            view, start = memoryview(chunk.data), place
            place += len(chunk.data)
            while index < len(self._blocks):
                block = self._blocks[index]
                running.update(view[max(0, block.offset - start) : max(0, block.end - start)])
                if place < block.end:
                    break
                self._same[index] = running.hexdigest() == block.digest
                index, running = index + 1, hashlib.sha256()
            yield chunk

    def changed(self) -> list[int]:
        """Return the indexes of the blocks that are not what their digests say."""
        return [index for index, is_same in enumerate(self._same) if not is_same]


def _spot(block: Block, index: int) -> Spot:
    _, line, offset, length = block.place(0, index)
    return Spot(line - 1, offset, length)
