"""What a rig's files hold, and how tests get there: records written, drained, on disk, durable."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from support.rig import Rig


def written(rig: Rig, count: int = 20, *, killed_at: str = "") -> int:
    """
    Emit records, let the writer have written them (not synced), and kill it.

    Inside the next batch if asked.
    """
    emitter = rig.producer()
    if rig.writer is None:
        rig.start_writer()
    for tag in range(count):
        assert rig.emit(emitter, tag)
    rig.step(20)
    assert len(rig.tags()) == count
    if killed_at:
        for tag in range(count, count + 5):
            assert rig.emit(emitter, tag)
        assert rig.run_until_killed(killed_at)
        count += 5
    else:
        rig.kill_writer()
    return count


def drained(rig: Rig, count: int) -> None:
    """After a drain, each of the records is there once."""
    rig.drain()
    rig.check_positions()
    tags = rig.tags()
    assert sorted(tags.elements()) == list(range(count))


def records_among(lines: list[bytes]) -> list[dict[str, Any]]:
    """Return the records among lines; what a person wrote is passed over, and what that tore in two."""
    found = []
    for line in lines:
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            continue
        if isinstance(record, dict) and "producer" in record:
            found.append(record)
    return found


def tags_of(path: Path) -> list[int]:
    """Return the tags of the records in a file."""
    return [
        record["tag"]
        for record in records_among(path.read_bytes().splitlines(keepends=True))
        if "tag" in record
    ]


def tags_in_files(rig: Rig) -> Counter[int]:
    """Return how often each tag is in the day files, whatever a person wrote between them."""
    return Counter(tag for path in rig.day_files() for tag in tags_of(path))


def durable_tags(rig: Rig) -> set[int]:
    """Return the tags that a power cut leaves in the day files."""
    durable: set[int] = set()
    for path in rig.day_files():
        with path.open("rb") as file:
            synced = file.read(rig.synced.get(path.stat().st_ino, 0))
        durable |= {
            record["tag"] for record in records_among(synced.splitlines(keepends=True)) if "tag" in record
        }
    return durable


def tags_in_disk_lanes(rig: Rig) -> set[int]:
    """Return the tags of the records in segments on disk."""
    found: set[int] = set()
    segments = (rig.places.disk_lanes_dir.glob(f"*/*.{kind}") for kind in ("seg", "taken"))
    for path in (path for paths in segments for path in paths):
        lines = path.read_bytes()[128:].splitlines(keepends=True)
        found |= {record["tag"] for record in records_among(lines) if "tag" in record}
    return found
