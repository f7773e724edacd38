"""What is in the files, compared with what was accepted: a stranger's count, apart from `pipeline verify`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from pipeline.cli.demonstration import scanners, web

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

NOTES_TYPE = "fault_injected"
Stored = dict["Path", list[dict[str, Any]]]
"""The records of each file, in their order there."""


@dataclass
class Expected:
    """What one producer had accepted. `files` are what a scanner emitted, in this order."""

    name: str
    accepted: int
    was_killed: bool = False
    files: Sequence[str] = ()


@dataclass
class Row:
    """One producer's line of the table."""

    name: str
    end: str
    accepted: int
    stored: int
    replayed: int
    """How many of the stored have come by way of the fallback store."""
    lost: int
    twice: int
    is_right: bool
    """Whether nothing is lost, nothing is there twice, and all is in order."""


def day_files(log_dir: Path) -> list[Path]:
    """Return the day files."""
    return sorted(log_dir.glob("*.jsonl"))


def replayed_parts(log_dir: Path) -> list[Path]:
    """Return the day files that were written by way of the fallback store."""
    return [path for path in day_files(log_dir) if is_replayed(path)]


def is_replayed(path: Path) -> bool:
    """Whether a day file's name is one of a replayed part, `DATE.rN.jsonl`."""
    return ".r" in path.name


def lines(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Yield every record of some files; what is none is counted by `verify`, and missing here."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def rows(log_dir: Path, expected: Sequence[Expected]) -> list[Row]:
    """Count each producer's records, and look whether they are the right ones."""
    stored = {path: list(lines([path])) for path in day_files(log_dir)}
    ends = {
        record["subject"]: str(record["action_type"])
        for record in chain(*stored.values())
        if record["action_type"] in ("producer_closed", "producer_died")
    }
    return [_row(one, _of(one, stored), ends) for one in expected]


def _of(expected: Expected, stored: Stored) -> Stored:
    return {
        path: [record for record in records if _name_of(record) == expected.name]
        for path, records in stored.items()
    }


def _row(expected: Expected, stored: Stored, ends: dict[str, str]) -> Row:
    """Compare accepted with stored: within a file numbers ascend, over all files none is missing."""
    runs = [[record["action_number"] for record in records] for records in stored.values()]
    records = sorted(chain(*stored.values()), key=lambda record: record["action_number"])
    places = [(record["producer"], record["action_number"]) for record in records]
    numbers = [number for _, number in places]
    distinct = len(set(places))
    # A process can be killed between emit() and its own count of it: one record more than it knew of.
    doubt = 1 if expected.was_killed else 0
    is_counted = expected.accepted <= distinct <= expected.accepted + doubt
    is_in_order = all(run == sorted(run) for run in runs) and numbers == list(range(1, len(numbers) + 1))
    paths = [record["path"] for record in records] if expected.files else []
    is_same = paths == list(expected.files[: len(paths)])
    said = {ends.get(producer, "open") for producer, _ in places}
    return Row(
        name=expected.name,
        end=" ".join(sorted(said)),
        accepted=expected.accepted,
        stored=len(records),
        replayed=sum(len(records) for path, records in stored.items() if is_replayed(path)),
        lost=max(0, expected.accepted - distinct),
        twice=len(places) - distinct,
        is_right=is_counted and is_in_order and is_same,
    )


def _name_of(record: dict[str, Any]) -> str:
    """Return which row a record belongs to; empty for the pipeline's own."""
    if record["action_type"] == scanners.ACTION_TYPE:
        return str(record["scanner"])
    return {web.ACTION_TYPE: "web server", NOTES_TYPE: "this demo"}.get(str(record["action_type"]), "")
