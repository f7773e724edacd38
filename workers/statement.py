"""What a writer says of itself, for the supervisor to make health of: the content of `writer.json`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pipeline.host import files
from pipeline.keeping import report
from pipeline.queue.layout import WRONG_FIELDS
from pipeline.queue.usage import preferred_place
from pipeline.storage import fallback_places

if TYPE_CHECKING:
    from workers.writer import Writer


def of(writer: Writer) -> dict[str, Any]:
    """Return what the writer knows, of its work only once it works."""
    said: dict[str, Any] = {
        "pid": os.getpid(),
        "state": writer.state,
        "is_stand_in": writer.is_stand_in,
        "append_error": writer.append_error,
        "append_lock_holder": writer.append_lock_holder,
        "last_error": writer.append_error,
        "recovered_by": writer.recovered_by,
        "disk_free_bytes": files.free_bytes(writer.places.log_dir),
        "counted_of_ended": writer.counted.of_ended,
        "place": preferred_place(writer.settings.lanes, is_memory=writer.places.is_memory)[0],
    }
    return said | _work(writer) if writer.state == "writing" else said


def _work(writer: Writer) -> dict[str, Any]:
    pump = writer.pump
    return {
        "counts": {
            "written": pump.records,
            "durable": pump.durable_records,
            "bytes": pump.bytes_written,
            "batches": pump.batches,
            "append_failures": writer.delivery.failures,
            "retried": writer.delivery.retries,
            "replayed": writer.replayer.done["replayed"],
            "quarantined": writer.replayer.done["quarantined"],
        },
        "breaker": writer.delivery.about_breaker(),
        "dropped": writer.announcer.dropped,
        "dropped_age_sec": writer.announcer.dropped_age_sec(),
        "counted": writer.counted.totals(),
        "wrong_fields_age_sec": writer.counted.age_sec(WRONG_FIELDS),
        "checkpoint_error": writer.journal.named(writer.checkpoint.error or writer.finisher.register.error),
        "head": writer.days.manifests.head,
        "retention": writer.upkeep.wish.outlook,
        "manifest_error": writer.journal.named(writer.days.manifests.error),
        "files": sorted(file.name for file in writer.days.open.values()),
        "lanes": len(writer.lanes.watched),
        "unknown_lanes": len(files.names_in(writer.places.unknown_lanes_dir)),
        "fallback": _fallback(writer),
        "keeper": report.load(writer.places),
    }


def _fallback(writer: Writer) -> dict[str, Any]:
    store = writer.fallback
    return store.summary()._asdict() | {
        "path": str(store.path),
        "max_bytes": store.max_bytes,
        "error": writer.journal.named(writer.delivery.fallback_error),
        "is_same_mount": fallback_places.is_same_mount(store.path, writer.home.log_dir),
    }
