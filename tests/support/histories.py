"""
Histories to verify: files full of records in the making, and short ways to ask a report about them.

A history is clean as it is made. A test damages it, writes it, and says what has to be found.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.verification import Finding, Report

DAY, NEXT_DAY = "2025-11-21.jsonl", "2025-11-22.jsonl"
WRITER = "writer000000"
ADA, BOB, EVE = "ada000000000", "bob000000000", "eve000000000"
GOOD = b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a","action_number":7,"producer":"p"}'
"""A line with nothing wrong, without its newline."""


def record(producer: str, number: int, action_type: str = "tool_call", **fields: object) -> bytes:
    """Return one line."""
    first = f'"timestamp":"2025-11-21T14:32:15.{number % 1_000_000:06d}Z","action_type":"{action_type}"'
    rest = json.dumps(fields)[1:-1]
    more = f",{rest}" if rest else ""
    return f'{{{first},"action_number":{number},"producer":"{producer}"{more}}}\n'.encode()


@dataclass
class Log:
    """Files in the making: lists of lines, damaged at will and then written."""

    files: dict[str, list[bytes]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def emit(self, producer: str, file: str, action_type: str = "tool_call", **fields: object) -> None:
        """Append a producer's next record to a file."""
        self.numbers[producer] = self.numbers.get(producer, 0) + 1
        line = record(producer, self.numbers[producer], action_type, **fields)
        self.files.setdefault(file, []).append(line)

    def end(self, producer: str, file: str, action_type: str = "producer_closed") -> None:
        """Let the writer say that the producer has ended."""
        self.emit(WRITER, file, action_type, subject=producer, last_action_number=self.numbers[producer])

    def drop(self, producer: str, count: int, file: str) -> None:
        """Skip numbers, and let the writer say so."""
        first, last = self.numbers[producer] + 1, self.numbers[producer] + count
        self.numbers[producer] = last
        self.emit(
            WRITER,
            file,
            "records_dropped",
            subject=producer,
            first_action_number=first,
            last_action_number=last,
        )

    def index(self, file: str, producer: str, number: int) -> int:
        """Return where in a file a record stands."""
        return self.files[file].index(record(producer, number))

    def write(self, directory: Path) -> Path:
        """Write all files."""
        for name, lines in self.files.items():
            (directory / name).write_bytes(b"".join(lines))
        return directory


def clean_log() -> Log:
    """Two days: ada closes on the second, bob dies on the first, the pipeline stops."""
    log = Log()
    log.emit(WRITER, DAY, "pipeline_started", pid=1)
    for _ in range(10):
        log.emit(ADA, DAY)
        log.emit(BOB, DAY)
    log.end(BOB, DAY, "producer_died")
    for _ in range(10):
        log.emit(ADA, NEXT_DAY)
    log.end(ADA, NEXT_DAY)
    log.emit(WRITER, NEXT_DAY, "pipeline_stopped", reason="stopped")
    return log


def only(report: Report) -> Finding:
    """Return the one finding there is."""
    assert sum(report.counts.values()) == 1, [finding.sentence for finding in report.findings]
    return report.findings[0]


def range_of(finding: Finding) -> tuple[str | None, int | None, int | None]:
    """Return the producer and the numbers of a finding."""
    return finding.producer, finding.first_action_number, finding.last_action_number


def kinds(report: Report) -> dict[str, int]:
    """Return the findings by kind."""
    return {kind.value: count for kind, count in report.counts.items()}


def ends(report: Report) -> dict[str, int]:
    """Return how producers ended, without the ways in which none did."""
    return {end.value: count for end, count in report.producers.items() if count}
