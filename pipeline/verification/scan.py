"""What was read and what was proven, put together in the order of the files: numbers, testimony, findings."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.host.terminal import visible
from pipeline.verification.findings import Finding, Findings, Kind, numbers
from pipeline.verification.lines import Place
from pipeline.verification.locating import locate
from pipeline.verification.reading import Spot, Telling
from pipeline.verification.sequence import Numbers, Stretch, enter
from pipeline.verification.shape import examine
from pipeline.verification.survey import Part
from pipeline.verification.testimony import TELLING, Testimony

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.verification.blocks import Proof
    from pipeline.verification.coverage import Coverage
    from pipeline.verification.entries import Block
    from pipeline.verification.fallback import Stored
    from pipeline.verification.files import LogFile
    from pipeline.verification.reading import Reading
    from pipeline.verification.survey import Sheet

NO_ENTRY: Final = "it has no entry in a manifest yet"
NO_MANIFEST: Final = "it has no manifest"
BEFORE: Final = "it was there before the manifest began"


class Unproven(NamedTuple):
    """A range of a file of which no digest says that it is what was appended."""

    file: str
    offset: int
    length: int
    why: str


class Scan:
    """Gathers what the sheets of a survey say, file by file."""

    def __init__(self, files: Sequence[LogFile], *, is_live: bool, findings: Findings) -> None:
        self._is_live = is_live
        self.files = files
        self.names = [file.name for file in files]
        self.findings = findings
        self.testimony = Testimony()
        self.producers: dict[str, Numbers] = {}
        self.records = 0
        self.bytes = 0
        self.proven_bytes = 0
        self.unproven: list[Unproven] = []
        self.fallback_records = 0
        self.unfinished = 0
        """Last lines that are still being written."""
        self._file = 0
        self._line = 0
        """Lines of the file before what is taken in now."""
        self._highest: dict[str, int] = {}

    def take(self, index: int, sheet: Sheet) -> None:
        """Take in one file."""
        self._file, self._line, self._highest = index, 0, {}
        for part in sheet.parts:
            if part.reading is not None:
                self._take_reading(part.reading, is_last=part is sheet.parts[-1])
            elif part.block is not None and part.proof is not None:
                self._take_block(part.block, part.proof)
            self._judge_proof(sheet, part)
        if sheet.coverage is not None and not sheet.file.trouble:
            self._judge_size(sheet, sheet.coverage.end)

    def excuse(self, coverage: Coverage) -> None:
        """Take the numbers in a file that has left as stored: they were; and what it said of producers."""
        place = Place(0, 1, 0, 0)
        for record in coverage.told():
            self.testimony.hear(record, place, is_settled=False)
        for producer, (first, last) in coverage.stretches():
            if producer in self.testimony.ends:  # its end may be told in a later file than its last record
                self.producers.setdefault(producer, Numbers(producer))
            known = self.producers.get(producer)
            if known is not None:
                deque(enter(known, Stretch(first, last, place, 0), 0, is_settled=False), maxlen=0)

    def hold(self, stored: Stored) -> None:
        """Take in what lies in the fallback: numbers that are no gap, and what records there tell."""
        place = Place(0, 1, 0, 0)
        for producer, first, last in stored.ranges:
            known = self.producers.setdefault(producer, Numbers(producer))
            # One that is in a file as well is being replayed: its row goes when the file is synced.
            deque(enter(known, Stretch(first, last, place, 0), 0, is_settled=False), maxlen=0)
        for _, _, line in stored.lines:
            _, _, record = examine(line)
            if record is not None and record["action_type"] in TELLING:
                self.testimony.hear(record, place, is_settled=False)
        self.fallback_records = stored.records

    def located(self, place: Place, producer: str, number: int) -> Place:
        """Return where a record stands exactly, as far as that can be found out."""
        return place if place.length else locate(self.files[place.file], place, producer, number)

    def _take_reading(self, reading: Reading, *, is_last: bool) -> None:
        for kind, sentence, spot in reading.complaints:
            self._add(kind, sentence, self._place(spot))
        for kind, count in reading.counts.items():
            kept = sum(complaint.kind is kind for complaint in reading.complaints)
            self.findings.counts[kind] += count - kept
        for producer, first, last, spot, is_settled in reading.stretches:
            self._enter(producer, first, last, self._place(spot), is_settled=is_settled)
        for telling in reading.told:
            self._hear(telling)
        if reading.rest is not None:
            self._judge_rest(reading.rest.sentence, reading.rest.spot, is_last=is_last)
        if reading.trouble is not None:
            _, line, offset, _ = self._place(reading.trouble.spot)
            file = self.names[self._file]
            self.findings.add(Finding(Kind.UNREADABLE, reading.trouble.sentence, file, line, offset))
        self._line += reading.lines
        self.records += reading.records
        self.bytes += reading.bytes

    def _take_block(self, block: Block, proof: Proof) -> None:
        for producer, ranges in block.producers.items():
            for first, last in ranges:
                place = Place(self._file, self._line + 1, block.offset, 0)
                self._enter(producer, first, last, place, is_settled=True)
                self.records += last - first + 1
        for line, offset, data in proof.telling:
            _, _, record = examine(data)
            if record is not None and record["action_type"] in TELLING:
                self._hear(Telling(record, Spot(line, offset, len(data)), is_settled=True))
        self._line += block.lines
        self.bytes += block.length

    def _enter(self, producer: str, first: int, last: int, place: Place, *, is_settled: bool) -> None:
        known = self.producers.get(producer)
        if known is None:
            known = self.producers[producer] = Numbers(producer)
        highest = self._highest.get(producer, 0)
        new = Stretch(first, last, place, place.file)
        for kind, begin, end, there in enter(known, new, highest, is_settled=is_settled):
            if kind is not None:
                self._judge_part(kind, new, begin, end, there, highest, producer)
        self._highest[producer] = max(highest, last)

    def _judge_part(
        self,
        kind: Kind,
        new: Stretch,
        first: int,
        last: int,
        there: Stretch | None,
        highest: int,
        producer: str,
    ) -> None:
        place = new.start if first == new.first else new.start._replace(length=0)
        if there is not None:
            where, until = self.names[there.start.file], self.names[there.end_file]
            places = where if where == until else f"{where} to {until}"
            sentence = f"{numbers(first, last)} of {visible(producer)} stored again; also in {places}"
        else:
            which = f"{numbers(first, last)} of {visible(producer)}"
            sentence = f"{which} behind its number {highest} in the same file"
        found = self.located(place, producer, first)
        file = self.names[place.file]
        self.findings.add(Finding(kind, sentence, file, *found[1:], producer, first, last))

    def _hear(self, telling: Telling) -> None:
        record, spot, is_settled = telling
        place = self._place(spot)
        complaint = self.testimony.hear(record, place, is_settled=is_settled)
        if complaint:
            self._add(Kind.WRONG_FIELD, f"{record['action_type']}: {complaint}", place)

    def _judge_rest(self, start: str, spot: Spot, *, is_last: bool) -> None:
        if not is_last:
            self._add(Kind.TORN, f"a line is cut off where a proven block begins: {start}", self._place(spot))
        elif self._is_live and not self.files[self._file].packing:
            self.unfinished += 1
        else:
            sentence = f"the last line has no newline and nobody is writing it: {start}"
            self._add(Kind.TORN, sentence, self._place(spot))

    def _judge_proof(self, sheet: Sheet, part: Part) -> None:
        """Say of a part what its digest proves."""
        name = sheet.file.name
        if part.block is not None:
            if part.block.unproven:
                self.unproven.append(
                    Unproven(name, part.block.offset, part.block.length, part.block.unproven)
                )
            else:
                self.proven_bytes += part.block.length
            if part.reading is not None:
                self._compare(name, part.block, part.reading)
            return
        if sheet.file.packing and part.reading is not None:
            self._judge_packed(sheet, part.reading)
            return
        changed = [
            block
            for block, proof in zip(sheet.blocks, sheet.proofs, strict=False)
            if not proof.is_same and part.start <= block.offset < part.end
        ]
        self._judge_changed(name, changed, part)
        covered = changed[-1].end if changed else part.start
        if covered < part.end:
            self.unproven.append(Unproven(name, covered, part.end - covered, self._why(sheet, covered)))

    def _judge_changed(self, name: str, changed: Sequence[Block], part: Part) -> None:
        if not changed:
            return
        first, last = changed[0], changed[-1]
        which = f"entry {first.serial}" if first is last else f"entries {first.serial} to {last.serial}"
        sentence = f"{last.end - first.offset:,} bytes are not those that {which} of the manifest saw"
        line = None if part.reading is None else self._line - part.reading.lines + 1
        line = line if part.start == first.offset else None
        self.findings.add(Finding(Kind.CHANGED, sentence, name, line, first.offset, last.end - first.offset))

    def _judge_packed(self, sheet: Sheet, reading: Reading) -> None:
        within = [block for block in sheet.blocks if block.end <= reading.bytes]
        changed = {sheet.blocks[index].serial for index in reading.changed}
        for block in within:
            if block.serial in changed:
                self._judge_changed(sheet.file.name, [block], Part(0, 0))
            elif not block.unproven:
                self.proven_bytes += block.length
            else:
                self.unproven.append(Unproven(sheet.file.name, block.offset, block.length, block.unproven))
        if not within and reading.bytes:
            self.unproven.append(Unproven(sheet.file.name, 0, reading.bytes, NO_MANIFEST))

    def _judge_size(self, sheet: Sheet, end: int) -> None:
        size = sheet.file.size
        if sheet.file.packing:
            size = sum(part.reading.bytes for part in sheet.parts if part.reading is not None)
            if any(part.reading is not None and part.reading.trouble for part in sheet.parts):
                return  # it is said already why not all of it was read
        gone = end - size
        if gone > 0:
            sentence = f"{gone:,} bytes that the manifest has are gone from the end"
            self.findings.add(Finding(Kind.CUT, sentence, sheet.file.name, None, size, gone))

    def _compare(self, name: str, block: Block, reading: Reading) -> None:
        """Compare what an entry says of its block with the lines."""
        found: dict[str, list[tuple[int, int]]] = {}
        for stretch in reading.stretches:
            found.setdefault(stretch.producer, []).append((stretch.first, stretch.last))
        said = {producer: list(ranges) for producer, ranges in block.producers.items()}
        if found != said or reading.lines != block.lines:
            sentence = f"entry {block.serial} of the manifest says other numbers than its bytes have"
            self.findings.add(
                Finding(Kind.BROKEN_CHAIN, sentence, name, None, block.offset, block.length, check="lines")
            )

    def _why(self, sheet: Sheet, offset: int) -> str:
        if sheet.coverage is None:
            return NO_MANIFEST
        return BEFORE if offset < sheet.coverage.begin else NO_ENTRY

    def _place(self, spot: Spot) -> Place:
        return Place(self._file, self._line + spot.line + 1, spot.offset, spot.length)

    def _add(self, kind: Kind, sentence: str, place: Place) -> None:
        self.findings.add(Finding(kind, sentence, self.names[place.file], *place[1:]))
