"""Slices as a fallback store keeps them, and what the files of a log directory hold of them."""

import json
from collections import Counter
from pathlib import Path

from pipeline.storage.fallback import Fallback, FallbackRow

A, B, C = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
DAY, NEXT_DAY = "2025-11-21", "2025-11-22"


def lines(producer: str, first: int, last: int, fill: int = 100) -> bytes:
    """Return records as they would stand in a day file."""
    return b"".join(
        b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"t","action_number":%d,"producer":"%s","x":"%s"}\n'
        % (number, producer.encode(), b"x" * fill)
        for number in range(first, last + 1)
    )


def row(
    producer: str, first: int, last: int, fill: int = 100, reason: str = "EIO", period: str = DAY
) -> FallbackRow:
    """Return the slice of these records."""
    data = lines(producer, first, last, fill)
    return FallbackRow(producer, period, first, last, last - first + 1, data, reason)


def make(directory: Path, notes: list[str], max_bytes: int = 64 << 20) -> Fallback:
    """Return a store, not open."""
    return Fallback(
        directory / "fallback.db", max_bytes=max_bytes, quarantine_dir=directory / "aside", note=notes.append
    )


def numbers_by_part(log_dir: Path) -> dict[str, list[tuple[str, int]]]:
    """Return what each day file holds, (producer, action_number) in order; every line has to be a record."""
    found = {}
    for path in sorted(log_dir.glob("*.jsonl")):
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        found[path.name] = [(record["producer"], record["action_number"]) for record in records]
    return found


def are_once_and_ascending(log_dir: Path, wanted: set[tuple[str, int]]) -> bool:
    """Whether the files hold exactly these records, each once, and in each file in the order of producers."""
    parts = numbers_by_part(log_dir)
    counts = Counter(record for part in parts.values() for record in part)
    for part in parts.values():
        for producer in {producer for producer, _ in part}:
            numbers = [number for its, number in part if its == producer]
            if numbers != sorted(numbers):
                return False
    return set(counts) == wanted and set(counts.values()) <= {1}
