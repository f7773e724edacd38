"""What is told of a chaos soak when it is over."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from support import oracle
from support.unpacking import content

if TYPE_CHECKING:
    from pathlib import Path

    from crash.chaos import Soak

VIA_FALLBACK = "via fallback"


def stored_in(*directories: Path) -> Counter[str]:
    """Count what the stream tells of a soak: the pipeline's own records by type, and records replayed."""
    found: Counter[str] = Counter()
    paths = [path for one in directories if one.exists() for path in oracle.files_in(one)]
    for path in paths:
        for line in content(path).split(b"\n"):
            if not line or b'"action_type":"crash_probe"' in line[:80]:
                continue
            record = json.loads(line)
            found[record["action_type"]] += 1
            if record["action_type"] == "fallback_replayed":
                found[VIA_FALLBACK] += record["records"]
    return found


def summary(soak: Soak) -> str:
    """Return the table of what happened."""
    rows, verdict = soak.ground.ledger.rows(), soak.verdict
    longest = max((row.longest_ns for row in rows), default=0)
    told = {key: count for key, count in sorted(soak.stored.items()) if key != VIA_FALLBACK}
    table = {
        "seed": soak.seed,
        "seconds": f"{soak.seconds:g}",
        **{f"event {kind}": count for kind, count in sorted(soak.events.items())},
        "commands, exit codes": _listed(soak.commands.codes),
        "producers": len({row.pid for row in rows}),
        "records accepted": f"{verdict.accepted:,}",
        "records stored": f"{verdict.stored:,} ({verdict.unacknowledged} of them not answered)",
        "records via fallback": f"{soak.stored[VIA_FALLBACK]:,}",
        "records dropped, refused": f"{verdict.dropped}, {verdict.refused}",
        "told by the stream": _listed(told),
        "longest emit()": f"{longest / 1e6:.1f} ms",
        "longest heal to drained": f"{max(soak.drained_sec, default=0):.1f} s",
        "files packed, moved": _kept(soak),
        "keepers killed": soak.keepers.killed,
        "most descriptors of a worker": soak.descriptors_max,
        "faults": len(verdict.faults),
    }
    return "\n".join(f"{name:30} {value}" for name, value in table.items())


def _kept(soak: Soak) -> str:
    packed = [path for path in oracle.files_in(soak.ground.log_dir) if path.suffix != ".jsonl"]
    moved = oracle.files_in(soak.moved_to) if soak.moved_to.exists() else []
    return f"{len(packed)}, {len(moved)}; {soak.crew.settings}"


def _listed(counts: dict[str, int]) -> str:
    return " ".join(f"{key}:{count}" for key, count in sorted(counts.items()))
