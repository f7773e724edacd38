"""How fast records come into the fallback store, and back into the files."""

import time
from pathlib import Path

from bench.peer import Peer

_RECORD = (
    b'{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"tool_call","action_number":%d,'
    b'"producer":"bench0000000","filling":"%s"}\n'
)
_RECORD_BYTES = 300
_BATCH_BYTES = 4 << 20


def replay(_subject: Peer, directory: Path, *, count: int, per_row: int) -> dict[str, float]:
    """Put ``count`` records of 300 bytes into a store, ``per_row`` together, then replay them."""
    from pipeline.delivery.replay import Replay
    from pipeline.paths import places_for
    from pipeline.settings import Settings
    from pipeline.storage.fallback import Fallback

    (directory / ".pipeline").mkdir()  # the manifests' home, which a writer makes at its start
    home = directory.parent / "fallback"
    store = Fallback(home / "fallback.db", max_bytes=8 << 30, quarantine_dir=home)
    store.open()
    stored_sec = _fill(store, count, per_row)
    run = Replay(store, places_for(directory), "", Settings())
    began, longest = time.perf_counter(), 0.0
    while True:
        step_began = time.perf_counter()
        if not run.step(_BATCH_BYTES):
            break
        longest = max(longest, time.perf_counter() - step_began)
    seconds = time.perf_counter() - began
    left = store.summary().records
    store.close()
    lines = sum(path.read_bytes().count(b"\n") for path in directory.glob("*.jsonl"))
    return {
        "store_per_second": count / stored_sec,
        "per_second": count / seconds,
        "piece_ms": longest * 1e3,
        "missing": count - lines + left,
    }


def _fill(store: object, count: int, per_row: int) -> float:
    """Store the records; the seconds that took, without making them."""
    from pipeline.storage.fallback import FallbackRow

    filling = b"x" * (_RECORD_BYTES - len(_RECORD % (count, b"")))
    seconds, batch, size = 0.0, [], 0
    for first in range(1, count + 1, per_row):
        last = min(first + per_row - 1, count)
        data = b"".join(_RECORD % (number, filling) for number in range(first, last + 1))
        batch.append(FallbackRow("bench0000000", "2025-11-21", first, last, last - first + 1, data, "EIO"))
        size += len(data)
        if size >= _BATCH_BYTES or last == count:
            began = time.perf_counter()
            store.store(batch, {"bench0000000": last})
            seconds += time.perf_counter() - began
            batch, size = [], 0
    return seconds
