"""An archive: three days that the real writer has written, with manifests of many small blocks."""

from collections.abc import Callable
from pathlib import Path

from support.rig import Rig

from pipeline.storage import manifest_block

DAYS = ["2025-11-21.jsonl", "2025-11-22.jsonl", "2025-11-23.jsonl"]
DAY_SEC = 86_400.0
BLOCK_BYTES = 4096


def small_blocks(rig: Rig) -> None:
    """Let blocks be of 4 KiB."""
    rig.patch.setattr(manifest_block, "BLOCK_BYTES", BLOCK_BYTES)


def write_days(rig: Rig, *, days: int = 3, records: int = 120) -> None:
    """Let two producers emit on some days, and the pipeline stop then."""
    small_blocks(rig)
    one, other = rig.producer(), rig.producer()
    rig.start_writer()
    for day in range(days):
        for tag in range(records):
            rig.emit(one, day * records + tag, size=60)
            if tag % 3 == 0:
                rig.emit(other, 10_000 + day * records + tag, size=200)
            if tag % 10 == 0:
                rig.step()
        rig.drain()
        if day + 1 < days:
            rig.pass_time(DAY_SEC)
    rig.close_producer(one)
    rig.close_producer(other)
    rig.drain()
    rig.writer.stop_own_lane("stopped")


def at_rest(place: Path, write: Callable[[Rig], object] = write_days) -> Path:
    """Return a copy of what the real writer has written; the rig that it ran in is gone."""
    rig = Rig()
    try:
        write(rig)
        return copy_of(rig, place)
    finally:
        rig.close()


def copy_of(rig: Rig, place: Path) -> Path:
    """Return a copy of the rig's log directory, at rest."""
    copy = place / "logs"
    rig.copy_to(copy)
    return copy
