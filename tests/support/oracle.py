"""
A small oracle: accepted = stored.

It knows the ledger (what `emit()` returned to whom) and the files, and nothing of the library: no line of
it is shared with the writer or with `pipeline verify`, so that neither can hide a mistake of the other.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.unpacking import content, one_form_each

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from support.ledger import Row

_BEGINNING = ["timestamp", "action_type", "action_number", "producer"]
_NAMED_MAX = 12


def digest(source: int, sequence: int, payload: str) -> str:
    """Return what a record carries to prove that its payload is the one that was emitted."""
    text = f"{source}/{sequence}/{payload}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


@dataclass
class Verdict:
    """What was found; `faults` is empty when the promise was kept."""

    accepted: int = 0
    stored: int = 0
    unacknowledged: int = 0
    refused: int = 0
    dropped: int = 0
    foreign: int = 0
    lost_with_power: int = 0
    """Accepted, and gone as a power loss may take it."""
    faults: list[str] = field(default_factory=list)

    def blame(self, what: str, which: Iterable[Any] = ()) -> None:
        """Note a fault, with the first few places."""
        places = list(which)
        more = f" … ({len(places)})" if len(places) > _NAMED_MAX else ""
        self.faults.append(what + (f": {places[:_NAMED_MAX]}{more}" if places else ""))


def files_in(log_dir: Path) -> list[Path]:
    """Return the files with records, renamed ones included; of one that is just being packed one form."""
    return one_form_each(path for path in log_dir.iterdir() if path.is_file() and ".jsonl" in path.name)


def judge(
    log_dir: Path,
    rows: Collection[Row],
    foreign: Collection[bytes] = (),
    *,
    moved_to: Path | None = None,
    after_power_loss: bool = False,
    critical_every: int = 0,
) -> Verdict:
    """
    Compare the files with what producers were told.

    `foreign` are whole lines that others wrote into our files; `moved_to` is where files go that leave. A
    power loss may take what came last of a source, behind all that was told to be on the disk. Every
    `critical_every`th record of a source must not be dropped.
    """
    verdict = Verdict()
    records = [
        (path.name, place, record)
        for path in [*files_in(log_dir), *(files_in(moved_to) if moved_to and moved_to.exists() else ())]
        for place, record in _records_of(path, foreign, verdict)
    ]
    dropped = _dropped(records, verdict)
    _judge_numbers(records, dropped, verdict)
    _judge_order(records, verdict)
    _judge_ends([record for _, _, record in records], dropped, verdict)
    stored: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for _, _, record in records:
        if "source" in record:
            stored[record["source"]].append(record)
    _judge_drops([record for _, _, record in records], rows, verdict)
    for row in rows:
        gone = _judge_source(row, stored.pop(row.source, []), dropped, verdict, after_power_loss)
        if critical_every and any(sequence % critical_every == 0 for sequence in gone):
            verdict.blame(f"source {row.source}: critical records were dropped", sorted(gone))
    if stored:
        verdict.blame("records of sources that emitted nothing", stored)
    return verdict


def _records_of(
    path: Path, foreign: Collection[bytes], verdict: Verdict
) -> Iterable[tuple[int, dict[str, Any]]]:
    data = content(path)
    if data and not data.endswith(b"\n"):
        verdict.blame(f"{path.name} ends in the middle of a line", [data[-80:]])
    for place, line in enumerate(data.split(b"\n")[:-1], 1):
        if line in foreign:
            verdict.foreign += 1
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            verdict.blame(f"{path.name}:{place} does not parse ({error})", [line[:200]])
            continue
        if not isinstance(record, dict) or list(record)[:4] != _BEGINNING:
            verdict.blame(f"{path.name}:{place} does not begin as a record does", [line[:200]])
            continue
        yield place, record


def _dropped(records: list[tuple[str, int, dict[str, Any]]], verdict: Verdict) -> dict[str, set[int]]:
    """Return the numbers of each producer that the stream names as dropped; none of them may be stored."""
    found: dict[str, set[int]] = defaultdict(set)
    for _, _, record in records:
        if record["action_type"] == "records_dropped" and "first_action_number" in record:
            named = set(range(record["first_action_number"], record["last_action_number"] + 1))
            found[record["subject"]] |= named - set(record.get("kept", ()))
    for name, place, record in records:
        if record["action_number"] in found.get(record["producer"], ()):
            verdict.blame(f"{name}:{place} is stored, and named as dropped")
    return found


def _judge_numbers(
    records: list[tuple[str, int, dict[str, Any]]], dropped: dict[str, set[int]], verdict: Verdict
) -> None:
    """Each producer's numbers are 1 … n, each once, but for the dropped ones."""
    places: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, place, record in records:
        places[record["producer"]][record["action_number"]].append(f"{name}:{place}")
    for producer, numbers in places.items():
        twice = {number: where for number, where in numbers.items() if len(where) > 1}
        if twice:
            verdict.blame(f"{producer} has numbers twice", twice.items())
        missing = set(range(1, max(numbers) + 1)) - set(numbers) - dropped.get(producer, set())
        if missing:
            verdict.blame(f"{producer} has gaps", sorted(missing))


def _judge_order(records: list[tuple[str, int, dict[str, Any]]], verdict: Verdict) -> None:
    """In each file a producer's numbers rise; over all files a source's sequence rises with its numbers."""
    last: dict[tuple[str, str], int] = {}
    for name, place, record in records:
        key, number = (name, record["producer"]), record["action_number"]
        if number <= last.get(key, 0):
            verdict.blame(f"{name}:{place}: {record['producer']} has {number} behind {last[key]}")
        last[key] = max(number, last.get(key, 0))
    sequences: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for _, _, record in records:
        if "source" in record:
            key = (record["producer"], record["source"])
            sequences[key].append((record["action_number"], record["seq"]))
    for key, pairs in sequences.items():
        order = [sequence for _, sequence in sorted(pairs)]
        if order != sorted(order):
            verdict.blame(f"the records of {key} are out of order", order)


def _judge_ends(records: list[dict[str, Any]], dropped: dict[str, set[int]], verdict: Verdict) -> None:
    """Blame what the stream says of a producer's end and is not true."""
    last: dict[str, int] = defaultdict(int)
    for record in records:
        last[record["producer"]] = max(last[record["producer"]], record["action_number"])
    for record in records:
        if record["action_type"] in ("producer_closed", "producer_died"):
            subject, told = record["subject"], record["last_action_number"]
            if max(last[subject], *dropped.get(subject, ()), 0) != told:
                verdict.blame(
                    f"{subject}: {record['action_type']} says {told}, and {last[subject]} is stored"
                )


def _judge_drops(records: list[dict[str, Any]], rows: Collection[Row], verdict: Verdict) -> None:
    """Blame refusals that the stream does not tell of, and ones that it invents."""
    sources = {record["producer"] for record in records if "source" in record}
    told = [r for r in records if r["action_type"] == "records_dropped" and "first_action_number" not in r]
    refused = sum(len(row.refused()) for row in rows)
    unanswered = sum(row.begun - len(row.accepted()) - len(row.refused()) for row in rows)
    if sum(record["count"] for record in told) < refused:
        verdict.blame(f"{refused} records were refused, and the stream tells of fewer", told)
    if sum(record["count"] for record in told if record["subject"] in sources) > refused + unanswered:
        verdict.blame(f"{refused} records were refused, and the stream tells of more", told)


def _judge_source(
    row: Row,
    stored: list[dict[str, Any]],
    dropped: dict[str, set[int]],
    verdict: Verdict,
    after_power_loss: bool,
) -> set[int]:
    """
    Compare a source with its row: accepted is stored or named, besides at most what nobody answered.

    Returns which of its records were dropped.
    """
    who = f"source {row.source} (pid {row.pid})"
    accepted, refused = row.accepted(), row.refused()
    found = {record["seq"]: record for record in stored}
    verdict.accepted += len(accepted)
    verdict.stored += len(stored)
    verdict.refused += len(refused)
    if len(found) != len(stored):
        verdict.blame(
            f"{who} has records twice", sorted(r["seq"] for r in stored if r is not found[r["seq"]])
        )
    mine = {record["producer"] for record in stored} or set(dropped)
    named = {number for producer in mine for number in dropped.get(producer, ())}
    gone = {seq for seq in set(accepted) - set(found) if accepted[seq] in named}
    verdict.dropped += len(gone)
    lost = sorted(set(accepted) - set(found) - gone)
    if after_power_loss:
        kept = max(row.last_durable(), *found, 0)
        verdict.lost_with_power += sum(seq > kept for seq in lost)
        lost = [seq for seq in lost if seq <= kept]
    if lost:
        verdict.blame(f"{who}: accepted and lost", [(seq, accepted[seq]) for seq in lost])
    other = {s for s, n in accepted.items() if s in found and found[s]["action_number"] != n}
    if other:
        verdict.blame(f"{who}: stored under another number than was told", sorted(other))
    surplus = set(found) - set(accepted)
    verdict.unacknowledged += len(surplus)
    if surplus - {row.begun} or surplus & refused or (surplus and row.is_done):
        verdict.blame(f"{who}: stored although emit() did not accept it", sorted(surplus))
    wrong = {s for s, r in found.items() if r.get("digest") != digest(row.source, s, r.get("payload", ""))}
    if wrong:
        verdict.blame(f"{who}: the payload is not the one emitted", sorted(wrong))
    return gone
