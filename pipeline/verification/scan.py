"""One pass over the files: every line is judged, every number entered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orjson import JSONDecodeError, loads

from pipeline.verification.findings import Finding, Findings, Kind, excerpt, visible
from pipeline.verification.lines import LineReader
from pipeline.verification.opener import READ_ERRORS, read_chunks
from pipeline.verification.sequence import Numbers, Run
from pipeline.verification.shape import BRACE, examine, is_timestamp
from pipeline.verification.testimony import TELLING, Testimony

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.verification.files import LogFile
    from pipeline.verification.lines import Block, Place

NOT_A_RECORD: Final = (JSONDecodeError, KeyError, TypeError, IndexError)
"""What a line that is no record raises where the scan takes it for one."""


class Scan:
    """Reads files one after the other and gathers what they say."""

    def __init__(self, files: Sequence[LogFile], *, is_live: bool) -> None:
        self._is_live = is_live
        self.files = files
        self.names = [file.name for file in files]
        self.findings = Findings()
        self.testimony = Testimony()
        self.producers: dict[str, Numbers] = {}
        self.records = 0
        self.bytes = 0
        self.unfinished = 0
        """Last lines that are still being written."""
        self._file = 0
        self._runs: dict[str, Run] = {}
        self._was_settled = True

    def read_all(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read all files. `progress` is told the bytes of the disk that were read, and all there are."""
        total, done = sum(file.size for file in self.files), 0
        for index, file in enumerate(self.files):
            self._file, self._runs, self._was_settled = index, {}, True
            reader = LineReader(read_chunks(file))
            try:
                for block in reader:
                    self._read_block(block)
                    if progress is not None:
                        progress(min(done + reader.disk_bytes, total), total)
                self._judge_rest(reader, file)
            except READ_ERRORS as error:
                self._add_unreadable(reader, file, error)
            self._end_runs()
            self.bytes += reader.offset + reader.rest.length
            done += file.size
            if progress is not None:
                progress(done, total)

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
            if run is not None and number == run.next and number < run.barrier:
                run.next = number + 1
            else:
                self._turn(producer, number, block.place(self._file, index))
            if action_type in telling:
                self._hear(record, block.place(self._file, index), is_settled=block.is_settled)
        self.records += len(block.lines)

    def _read_odd(self, block: Block, index: int) -> None:
        kind, sentence, record = examine(block.lines[index])
        place = block.place(self._file, index)
        if kind is not None:
            self._add(kind, sentence, place)
        if record is None:
            self.records -= 1
            return
        self._turn(record["producer"], record["action_number"], place)
        if kind is None and record["action_type"] in TELLING:
            self._hear(record, place, is_settled=block.is_settled)

    def _turn(self, producer: str, number: int, place: Place) -> None:
        """Enter a number that may not continue what was read of its producer."""
        run = self._runs.get(producer)
        if run is None:
            numbers = self.producers.get(producer)
            if numbers is None:
                numbers = self.producers[producer] = Numbers(producer)
            run = self._runs[producer] = Run(numbers)
        elif number == run.next < run.barrier:
            run.next += 1
            return
        run.end(self.names, self.findings, is_settled=self._was_settled)
        run.begin(number, place)

    def _end_runs(self) -> None:
        for run in self._runs.values():
            run.end(self.names, self.findings, is_settled=self._was_settled)

    def _hear(self, record: dict[str, Any], place: Place, *, is_settled: bool) -> None:
        complaint = self.testimony.hear(record, place, is_settled=is_settled)
        if complaint:
            self._add(Kind.WRONG_FIELD, f"{record['action_type']}: {complaint}", place)

    def _judge_rest(self, reader: LineReader, file: LogFile) -> None:
        rest = reader.rest
        if not rest.length:
            return
        if self._is_live and not file.packing:
            self.unfinished += 1
            return
        sentence = f"the last line has no newline and nobody is writing it: {excerpt(rest.kept())}"
        self.findings.add(Finding(Kind.TORN, sentence, file.name, reader.line, reader.offset, rest.length))

    def _add_unreadable(self, reader: LineReader, file: LogFile, error: Exception) -> None:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sentence = f"cannot be read from here on: {visible(cause)}"
        self.findings.add(Finding(Kind.UNREADABLE, sentence, file.name, reader.line, reader.offset))

    def _add(self, kind: Kind, sentence: str, place: Place) -> None:
        self.findings.add(Finding(kind, sentence, self.names[place.file], *place[1:]))
