"""
Traces across processes and programs: W3C `traceparent`, `tracestate` and `baggage` headers, in and out.

    with tracing.continued(request.headers):      # ids of the caller in every record inside
        pipeline.emit("user_input", content="hi")
        client.get(url, headers=tracing.inject({}))

Formats: https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/. A header that breaks them is
taken for absent, as they ask for. Where OpenTelemetry has a current span, that is what is handed on.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.records import open_telemetry
from pipeline.records.context import Carried, Onward, current, in_force, onward, resumed

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_SAMPLED: Final = 1
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_BAGGAGE_KEY: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAGGAGE_MAX: Final = 64
_BAGGAGE_BYTES_MAX: Final = 8192
"""The standard's bounds: entries, and bytes of the header."""


class TraceParent(NamedTuple):
    """What a `traceparent` header says."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits: the span of the caller."""
    is_sampled: bool


def parse_traceparent(header: str | None) -> TraceParent | None:
    """Return what a header says, None for one that is absent or not valid."""
    found = _TRACEPARENT.fullmatch(header.strip()) if isinstance(header, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    is_unknown = version == "ff" or (version == "00" and more is not None)
    if is_unknown or int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def new_trace_id() -> str:
    """Return a new trace id, 32 hex digits."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Return a new span id, 16 hex digits."""
    return os.urandom(8).hex()


def extract(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that headers give, of trace_id, span_id and baggage."""
    lower = _lower(headers)
    parent = parse_traceparent(lower.get("traceparent"))
    fields: dict[str, Any] = {"trace_id": parent.trace_id, "span_id": parent.span_id} if parent else {}
    baggage = _parse_baggage(lower.get("baggage", ""))
    return {**fields, "baggage": baggage} if baggage else fields


def continued(headers: Mapping[str, str]) -> resumed:
    """Go on with the trace that headers name, as `with` over the work for that request."""
    lower = _lower(headers)
    parent = parse_traceparent(lower.get("traceparent"))
    beyond = Onward(int(parent.is_sampled), lower.get("tracestate", "")) if parent else onward()
    return resumed(Carried({**current(), **extract(headers)}, beyond))


def inject(headers: MutableMapping[str, str]) -> MutableMapping[str, str]:
    """Put the trace in force into headers, and return them. Without one they stay as they are."""
    fields, (flags, tracestate) = in_force(), onward()
    span = open_telemetry.span_context()
    if span is not None and fields.get("span_id") == f"{span.span_id:016x}":
        flags, tracestate = int(span.trace_flags), span.trace_state.to_header()
    trace_id, span_id = fields.get("trace_id"), fields.get("span_id")
    if trace_id:
        header = f"00-{trace_id}-{span_id or new_span_id()}-{flags & 0xFF:02x}"
        if parse_traceparent(header):
            headers["traceparent"] = header
            if tracestate:
                headers["tracestate"] = tracestate
    baggage = fields.get("baggage")
    if isinstance(baggage, dict) and (text := _format_baggage(baggage)):
        headers["baggage"] = text
    return headers


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _parse_baggage(header: str) -> dict[str, str]:
    from urllib.parse import unquote

    found: dict[str, str] = {}
    for entry in header[:_BAGGAGE_BYTES_MAX].split(",")[:_BAGGAGE_MAX]:
        key, sign, value = entry.partition(";")[0].partition("=")  # behind the semicolon are properties
        if sign and _BAGGAGE_KEY.fullmatch(key.strip()):
            found[key.strip()] = unquote(value.strip())
    return found


def _format_baggage(baggage: dict[Any, Any]) -> str:
    """Return the header for what has a place in it: names that are tokens, values as their text."""
    from urllib.parse import quote

    entries: list[str] = []
    room = _BAGGAGE_BYTES_MAX
    for key, value in list(baggage.items())[:_BAGGAGE_MAX]:
        entry = f"{key}={quote(str(value), safe='')}"
        if _BAGGAGE_KEY.fullmatch(str(key)) and len(entry) < room:
            entries.append(entry)
            room -= len(entry) + 1
    return ",".join(entries)
