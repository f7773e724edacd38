"""What is told beside an answer: what waits outside of the files, what was not read, how large files are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pipeline.cli.listing.summary import DiskUse
from pipeline.host import files
from pipeline.storage import naming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from pipeline.paths import Places
    from pipeline.query import Report

_ON_ITS_WAY_SEC: Final = 1.0
"""What a writer that works has not written by then is worth a word."""
_UNREADABLE_MAX: Final = 5


def not_in_files(places: Places, fallback_dir: str = "") -> str:
    """Return a sentence on what waits in queue and fallback store, empty when nothing does."""
    from pipeline.queue import depth

    left = depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir))
    waits = []
    if left.records and left.oldest_age_sec >= _ON_ITS_WAY_SEC:
        waits.append(f"{left.records:,} records in the queue")
    stored = _in_fallback(places, fallback_dir)
    if stored:
        waits.append(f"{stored:,} in the fallback store")
    if not waits:
        return ""
    return f"not in the files yet: {' and '.join(waits)}; --unwritten shows them too"


def _in_fallback(places: Places, fallback_dir: str) -> int:
    from pipeline.storage import fallback_places

    stores = fallback_places.stores(places, fallback_dir or fallback_places.AUTO)
    if not stores:
        return 0
    from pipeline.storage import fallback_reader  # sqlite is paid for by who has a store

    found = (fallback_reader.summary(store) for store in stores)
    return sum(one.records for one in found if one is not None)


def unreadable(report: Report) -> Iterator[str]:
    """Yield a sentence for each file that could not be read."""
    for name, why in report.unreadable[:_UNREADABLE_MAX]:
        yield f"{name} could not be read: {why}"
    rest = len(report.unreadable) - _UNREADABLE_MAX
    if rest > 0:
        yield f"and {rest} more files could not be read"


def disk_use(places: Places, today: date, days: float) -> DiskUse:
    """Return the bytes of today's files and of all, as they are on the disk."""
    today_bytes = all_bytes = 0
    for name in files.names_in(places.log_dir):
        day = naming.parse(naming.unpacked(name)[0])
        if day is None:
            continue
        try:
            size = os.stat(places.log_dir / name).st_size
        except OSError:
            continue  # packed or removed just now
        all_bytes += size
        today_bytes += size if day.period.startswith(str(today)) else 0
    return DiskUse(today_bytes, all_bytes, days)
