"""
OpenTelemetry: exporters that put spans and log records where a crash does not reach them.

    provider.add_span_processor(SimpleSpanProcessor(SpanExporter()))
    logs.add_log_record_processor(SimpleLogRecordProcessor(LogRecordExporter()))

Use the *simple* processors: recording takes a few microseconds, and the SDK's batch processors hold what they
have in memory, where it dies with the process and is cleared by a fork.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk.trace import export as trace_export
from opentelemetry.trace import StatusCode

from pipeline import app

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from pipeline.app import Pipeline

_NANO_PER_MILLI: Final = 1_000_000
_DEFAULT_FLUSH_MS: Final = 30_000


class SpanExporter(trace_export.SpanExporter):
    """Records ended spans as `span` records."""

    def __init__(self, *, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline

    def export(self, spans: Sequence[ReadableSpan]) -> trace_export.SpanExportResult:
        """Record spans; FAILURE when one was not accepted."""
        accepted = [_emit(self._pipeline, "span", span_fields(span)) for span in spans]
        result = trace_export.SpanExportResult
        return result.SUCCESS if all(accepted) else result.FAILURE

    def force_flush(self, timeout_millis: int = _DEFAULT_FLUSH_MS) -> bool:
        """Wait until what was recorded is in the files."""
        return _flush(self._pipeline, timeout_millis)


class LogRecordExporter(logs_export.LogRecordExporter):
    """Records log records as `log` records."""

    def __init__(self, *, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline

    def export(self, batch: Sequence[Any]) -> logs_export.LogRecordExportResult:
        """Record log records; FAILURE when one was not accepted."""
        accepted = [_emit(self._pipeline, "log", log_fields(one)) for one in batch]
        result = logs_export.LogRecordExportResult
        return result.SUCCESS if all(accepted) else result.FAILURE

    def shutdown(self) -> None:
        """Nothing is held here."""

    def force_flush(self, timeout_millis: int = _DEFAULT_FLUSH_MS) -> bool:
        """Wait until what was recorded is in the files."""
        return _flush(self._pipeline, timeout_millis)


def span_fields(span: ReadableSpan) -> dict[str, Any]:
    """Return the fields of a `span` record: ids as W3C writes them, times in ns since the epoch."""
    fields: dict[str, Any] = {
        "name": span.name,
        **_ids(span.context),
        "kind": span.kind.name.lower(),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "duration_ms": _duration_ms(span.start_time, span.end_time),
        "status": "error" if span.status.status_code is StatusCode.ERROR else "success",
        "attributes": dict(span.attributes or {}),
    }
    if span.parent is not None:
        fields["parent_span_id"] = f"{span.parent.span_id:016x}"
    if span.status.description:
        fields["error_message"] = span.status.description
    if span.events:
        fields["events"] = [
            {"name": event.name, "at_ns": event.timestamp, "attributes": dict(event.attributes or {})}
            for event in span.events
        ]
    if span.links:
        fields["links"] = [_ids(link.context) for link in span.links]
    return fields | _origin(span.resource.attributes, span.instrumentation_scope)


def log_fields(one: Any) -> dict[str, Any]:
    """Return the fields of a `log` record for the SDK's readable log record."""
    record = one.log_record
    fields: dict[str, Any] = {
        "level": (record.severity_text or "INFO").upper(),
        "message": record.body if isinstance(record.body, str) else json.dumps(record.body, default=str),
        "at_ns": record.timestamp or record.observed_timestamp,
    }
    if record.trace_id:
        fields |= {"trace_id": f"{record.trace_id:032x}", "span_id": f"{record.span_id:016x}"}
    if getattr(record, "event_name", None):
        fields["event_name"] = record.event_name
    attributes = dict(record.attributes or {})
    if attributes:
        fields["attributes"] = attributes
    return fields | _origin(one.resource.attributes, one.instrumentation_scope)


def _origin(resource: Mapping[str, Any], scope: Any) -> dict[str, Any]:
    """Return who it comes from; of the resource the service, as the rest is the same in every record."""
    fields: dict[str, Any] = {"logger": scope.name} if scope is not None else {}
    service = resource.get("service.name")
    return fields | ({"service": service} if service else {})


def _ids(span_context: Any) -> dict[str, str]:
    if span_context is None:
        return {}
    return {"trace_id": f"{span_context.trace_id:032x}", "span_id": f"{span_context.span_id:016x}"}


def _duration_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / _NANO_PER_MILLI


def _emit(pipeline: Pipeline | None, action_type: str, fields: dict[str, Any]) -> bool:
    return (app.emit if pipeline is None else pipeline.emit)(action_type, **fields) > 0


def _flush(pipeline: Pipeline | None, timeout_millis: int) -> bool:
    return (app.flush if pipeline is None else pipeline.flush)(timeout_millis / 1000)
