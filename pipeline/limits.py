"""
Every bound of the pipeline, each with its unit, and the relations between them.

The relations are checked when this module is imported, and not with `assert`, which `python -O` removes: a
wrong bound here would corrupt files without any other symptom.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

SEGMENT_HEADER_BYTES: Final = 128
"""Two cache lines: the head word never shares one with the records."""

SEGMENT_BYTES_MIN: Final = 256 * KIB
SEGMENT_BYTES_MAX: Final = 8 * MIB
SEGMENT_GROW_SEC: Final = 2.0
"""A segment that was filled faster than this is followed by one of twice the size."""
SEGMENT_SHRINK_SEC: Final = 60.0
"""A segment that was open longer than this is followed by one of the smallest size."""
OFFSET_BITS: Final = 32
"""The head word has 32 bits for the offset and 32 for the number of records."""

RECORD_BYTES_MAX_CEILING: Final = 512 * MIB
"""`max_record_bytes` cannot be set above this: a record has to fit one segment, and offsets have 32 bits."""

BATCH_BYTES_MAX: Final = 4 * MIB
BATCH_SLICES_MAX: Final = 512
"""Bounds the size of an intent, and stays below the 1,024 buffers that one writev(2) takes."""
INTENT_BYTES_MAX: Final = 128 * KIB
INTENT_BYTES_PER_SLICE_MAX: Final = 120
_WRITEV_BUFFERS_MAX: Final = 1024

SYNC_BYTES_MAX: Final = 64 * MIB
"""Bytes written but not durable at which the writer does not wait for `fsync_interval_sec`."""

POLL_BUSY_SEC: Final = 0.05
POLL_IDLE_SEC: Final = 0.25
"""How often the writer looks into the lanes when nobody rings; each look costs 0.5 ms with cold caches."""
BEAT_INTERVAL_SEC: Final = 0.5
"""The writer never waits longer than this without stamping its heartbeat (promise: once a second)."""
LANE_GRACE_SEC: Final = 2.0
"""
How long a lane without its lock is still read while its process lives.

The producer looks once a second.
"""
SEAL_AFTER_SEC: Final = 60.0
SLOW_WRITE_SEC: Final = 0.05
"""A disk lane whose write(2) took longer than this uses memory for `SLOW_WRITE_REST_SEC`."""
SLOW_WRITE_REST_SEC: Final = 60.0
STALE_CREATION_SEC: Final = 60.0

FALLBACK_BUSY_SEC: Final = 0.5
"""How long the fallback store is waited for while somebody else has locked it."""
FALLBACK_WAL_BYTES: Final = 16 * MIB
"""Length of its write-ahead log at which that is moved into the database."""

PRODUCER_CHARS: Final = 12
"""60 random bits in 5-bit letters."""

CRITICAL_RESERVE: Final = 0.05
PRESSURE_AT: Final = 0.8
"""Share of the quota from which back-pressure is reported and `drop_low` begins."""

WORKERS_LOG_BYTES_MAX: Final = 1 * MIB


def require(is_true: bool, claim: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """Raise RuntimeError unless the claim holds."""
    if not is_true:
        raise RuntimeError(f"limits contradict each other: {claim}")


require(SEGMENT_BYTES_MAX < 1 << OFFSET_BITS, "an offset in a segment fits its bits of the head word")
require(
    RECORD_BYTES_MAX_CEILING + SEGMENT_HEADER_BYTES < 1 << OFFSET_BITS, "the largest record fits a segment"
)
require(SEGMENT_BYTES_MIN < 1 << 20, "a full segment of one-byte records cannot overflow the record count")
require(
    BATCH_SLICES_MAX * INTENT_BYTES_PER_SLICE_MAX + 4 * KIB <= INTENT_BYTES_MAX, "a full intent fits its slot"
)
require(BATCH_SLICES_MAX <= _WRITEV_BUFFERS_MAX, "a batch fits one writev(2)")
require(BEAT_INTERVAL_SEC < 1.0, "a heartbeat is stamped at least once a second")
require(FALLBACK_BUSY_SEC < 1.0, "a locked fallback store does not stop the heartbeat")
require(POLL_IDLE_SEC < BEAT_INTERVAL_SEC, "an idle writer stamps its heartbeat")
require(LANE_GRACE_SEC > 1.0, "a producer looks at its lane within the grace time")
