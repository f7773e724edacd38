"""
The judge of a queue that drops: what is stored and what is named is together everything, and nothing is both.

For a rig (tests/support/rig.py), after a drain.
"""

from pathlib import Path
from typing import Any

from support.accounts import balance
from support.rig import Rig

from pipeline.queue import usage
from pipeline.verification import verify

_STUB = 4
"""What marks a stub, in the thirteenth byte of its header."""


def used(rig: Rig) -> int:
    """Return the bytes that all segments take."""
    return usage.used_bytes(rig.places.lanes_dir) + usage.used_bytes(rig.places.disk_lanes_dir)


def stubs(rig: Rig) -> list[Path]:
    """Return the stubs that stand in the queue."""
    paths = (
        path
        for parent in (rig.places.lanes_dir, rig.places.disk_lanes_dir)
        for kind in ("seg", "taken")
        for path in parent.glob(f"*/*.{kind}")
    )
    return [path for path in paths if path.read_bytes()[12] >= _STUB]


def named(records: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Return the numbers of each producer that `records_dropped` records name."""
    found: dict[str, list[int]] = {}
    for record in records:
        if record["action_type"] == "records_dropped" and "first_action_number" in record:
            numbers = set(range(record["first_action_number"], record["last_action_number"] + 1))
            numbers -= set(record.get("kept", ()))
            assert len(numbers) == record["count"]
            assert record["reason"] == "drop_oldest"
            found.setdefault(record["subject"], []).extend(numbers)
    return found


def settle(rig: Rig, *, may_repeat: bool = False) -> tuple[set[int], int]:
    """Drain, and judge; returns (the tags that are stored, how many records were dropped)."""
    rig.drain()
    rig.pass_time(2.0)
    rig.drain()
    records = rig.records()
    gone = named(records)
    stored: dict[str, list[int]] = {}
    for record in records:
        stored.setdefault(record["producer"], []).append(record["action_number"])
    for producer in {*stored, *gone}:
        dropped = gone.get(producer, [])
        assert may_repeat or len(set(dropped)) == len(dropped), "a drop was told twice"
        both = sorted([*stored.get(producer, ()), *set(dropped)])
        assert both == list(range(1, len(both) + 1)), f"{producer}: {both[:20]} … {both[-20:]}"
    report = verify(rig.places.log_dir)
    assert report.ok, [finding.sentence for finding in report.findings]
    balance(rig)
    tags = [record["tag"] for record in records if "tag" in record]
    assert len(set(tags)) == len(tags)
    return set(tags), sum(len(set(numbers)) for numbers in gone.values())
