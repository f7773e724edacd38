"""
The health document as Prometheus text (exposition format 0.0.4).

One table is the metrics, their help and the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from pipeline.health.reasons import DEGRADED, FAILING, OK, REASONS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BREAKER_STATES: Final = ("closed", "open", "half_open")
"""Those of delivery/breaker, which health is below of."""
Samples = Iterator[tuple[dict[str, str], float]]


class Metric(NamedTuple):
    """A metric: its name ends in its unit, or in `_total` for a counter."""

    name: str
    type: str
    help: str
    read: Callable[[dict[str, Any]], Samples]


def _plain(*path: str) -> Callable[[dict[str, Any]], Samples]:
    def read(health: dict[str, Any]) -> Samples:
        value: Any = health
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float):
            yield {}, value

    return read


def _per_worker(field: str) -> Callable[[dict[str, Any]], Samples]:
    def read(health: dict[str, Any]) -> Samples:
        for worker in _at_work(health):
            yield {"role": worker["role"]}, worker[field]

    return read


def _at_work(health: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one worker of each role; a stuck one is there beside the one that works."""
    return [worker for worker in health["workers"] if worker["state"] != "stuck"]


def _stuck(health: dict[str, Any]) -> Samples:
    yield {}, float(len(health["workers"]) - len(_at_work(health)))


def _worker_up(health: dict[str, Any]) -> Samples:
    for worker in _at_work(health):
        yield {"role": worker["role"]}, float(worker["state"] == "running")


def _status(health: dict[str, Any]) -> Samples:
    for status in (OK, DEGRADED, FAILING):
        yield {"status": status}, float(health["status"] == status)


def _reasons(health: dict[str, Any]) -> Samples:
    for code in REASONS:
        yield {"reason": code}, float(code in health["reasons"])


def _breaker(health: dict[str, Any]) -> Samples:
    breaker = health.get("breaker")
    if breaker:
        for state in BREAKER_STATES:
            yield {"state": state}, float(breaker["state"] == state)


def _by_name(field: str, label: str) -> Callable[[dict[str, Any]], Samples]:
    def read(health: dict[str, Any]) -> Samples:
        for name, count in health.get(field, {}).items():
            yield {label: name}, count

    return read


def _wrong_fields(health: dict[str, Any]) -> Samples:
    yield {}, sum(health.get("wrong_fields", {}).values())


def _packed(health: dict[str, Any]) -> Samples:
    totals = health.get("keeper", {}).get("totals", {})
    for side in ("before", "after"):
        if f"bytes_{side}" in totals:
            yield {"side": side}, totals[f"bytes_{side}"]


def _stayed(health: dict[str, Any]) -> Samples:
    if "stayed" in health.get("keeper", {}):
        yield {}, len(health["keeper"]["stayed"])


METRICS: Final = (
    Metric("pipeline_status", "gauge", "1 for the status that health has now.", _status),
    Metric("pipeline_reason", "gauge", "1 for each reason why health is not ok.", _reasons),
    Metric("pipeline_worker_up", "gauge", "Whether a worker runs.", _worker_up),
    Metric("pipeline_workers_stuck", "gauge", "Killed workers that are still there.", _stuck),
    Metric("pipeline_worker_restarts_total", "counter", "Restarts of a worker.", _per_worker("restarts")),
    Metric(
        "pipeline_worker_heartbeat_age_seconds",
        "gauge",
        "Age of a worker's heartbeat.",
        _per_worker("heartbeat_age_sec"),
    ),
    Metric(
        "pipeline_worker_resident_memory_bytes",
        "gauge",
        "Resident memory of a worker.",
        _per_worker("rss_bytes"),
    ),
    Metric(
        "pipeline_queue_records", "gauge", "Records emitted and not in the files.", _plain("queue", "records")
    ),
    Metric("pipeline_queue_bytes", "gauge", "Bytes emitted and not in the files.", _plain("queue", "bytes")),
    Metric(
        "pipeline_queue_memory_bytes", "gauge", "Memory that lanes take.", _plain("queue", "memory_bytes")
    ),
    Metric("pipeline_queue_disk_bytes", "gauge", "Disk that lanes take.", _plain("queue", "disk_bytes")),
    Metric("pipeline_queue_quota_bytes", "gauge", "What the queue may take.", _plain("queue", "quota_bytes")),
    Metric(
        "pipeline_queue_oldest_age_seconds",
        "gauge",
        "Age of the oldest record in the queue.",
        _plain("queue", "oldest_age_sec"),
    ),
    Metric("pipeline_lanes", "gauge", "Producers with a lane.", _plain("queue", "lanes")),
    Metric(
        "pipeline_records_emitted_total",
        "counter",
        "Records accepted by emit().",
        _plain("counts", "emitted"),
    ),
    Metric(
        "pipeline_records_written_total",
        "counter",
        "Records appended to day files.",
        _plain("counts", "written"),
    ),
    Metric(
        "pipeline_records_durable_total",
        "counter",
        "Records known to be on the disk.",
        _plain("counts", "durable"),
    ),
    Metric(
        "pipeline_records_dropped_total",
        "counter",
        "Records refused, by reason.",
        _by_name("dropped", "reason"),
    ),
    Metric(
        "pipeline_records_left_out_total",
        "counter",
        "Records that sampling (reason sampled) or a limit (rate_limited) has left out.",
        _by_name("left_out", "reason"),
    ),
    Metric(
        "pipeline_records_truncated_total",
        "counter",
        "Records that were cut, by the setting that asks for it: max_output_chars or max_record_bytes.",
        _by_name("truncated", "setting"),
    ),
    Metric(
        "pipeline_values_masked_total",
        "counter",
        "Values that were masked, by rule.",
        _by_name("masked", "rule"),
    ),
    Metric(
        "pipeline_wrong_fields_total",
        "counter",
        "Fields of records that are not as their types say.",
        _wrong_fields,
    ),
    Metric(
        "pipeline_written_bytes_total",
        "counter",
        "Bytes appended to day files by this writer.",
        _plain("counts", "bytes"),
    ),
    Metric(
        "pipeline_batches_total",
        "counter",
        "Appends to day files by this writer.",
        _plain("counts", "batches"),
    ),
    Metric(
        "pipeline_append_failures_total",
        "counter",
        "Appends and syncs that failed.",
        _plain("counts", "append_failures"),
    ),
    Metric(
        "pipeline_retried_total",
        "counter",
        "Batches tried again after a failure, by this writer.",
        _plain("counts", "retried"),
    ),
    Metric(
        "pipeline_breaker_state",
        "gauge",
        "1 for the state of the breaker in front of the day files.",
        _breaker,
    ),
    Metric(
        "pipeline_breaker_state_age_seconds",
        "gauge",
        "How long the breaker has been in that state.",
        _plain("breaker", "state_age_sec"),
    ),
    Metric(
        "pipeline_breaker_failures",
        "gauge",
        "Failed attempts in a row; the breaker opens at breaker_failures.",
        _plain("breaker", "failures"),
    ),
    Metric(
        "pipeline_records_replayed_total",
        "counter",
        "Records that this writer brought from fallback stores into files.",
        _plain("counts", "replayed"),
    ),
    Metric(
        "pipeline_rows_quarantined_total",
        "counter",
        "Rows of fallback stores with a wrong checksum, kept out of the files by this writer.",
        _plain("counts", "quarantined"),
    ),
    Metric(
        "pipeline_fallback_rows",
        "gauge",
        "Slices of records in the fallback store.",
        _plain("fallback", "rows"),
    ),
    Metric(
        "pipeline_fallback_records",
        "gauge",
        "Records in the fallback store, which are not in the files yet.",
        _plain("fallback", "records"),
    ),
    Metric(
        "pipeline_fallback_bytes",
        "gauge",
        "Bytes of records in the fallback store.",
        _plain("fallback", "bytes"),
    ),
    Metric(
        "pipeline_keeper_packed_files_total",
        "counter",
        "Files that keepers of this log directory have packed.",
        _plain("keeper", "totals", "files"),
    ),
    Metric(
        "pipeline_keeper_packed_bytes_total",
        "counter",
        "Bytes of these files, before and after.",
        _packed,
    ),
    Metric(
        "pipeline_keeper_runs_total",
        "counter",
        "Keepers that were started over this log directory.",
        _plain("keeper", "totals", "runs"),
    ),
    Metric(
        "pipeline_keeper_stayed_files",
        "gauge",
        "Files that the last keeper left as they were.",
        _stayed,
    ),
    Metric(
        "pipeline_disk_free_bytes", "gauge", "Free space where the day files are.", _plain("disk_free_bytes")
    ),
)


def render(health: dict[str, Any]) -> str:
    """Return the text that Prometheus scrapes."""
    lines: list[str] = []
    for metric in METRICS:
        samples = list(metric.read(health))
        if samples:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
            lines += [
                f"{metric.name}{_labels(labels)} {value:g}"
                if value != int(value)
                else f"{metric.name}{_labels(labels)} {int(value)}"
                for labels, value in samples
            ]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
