"""
The ids of OpenTelemetry's current span, where the application uses OpenTelemetry.

Nothing of it is imported here: an application that has a span has the module loaded. What was set innermost
wins. So when ids of a trace are set, the span of that moment is remembered, and does not hide them; a span
that is begun later does.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any, Final

from pipeline.host import handlers

MODULE: Final = "opentelemetry.trace"
loaded_modules: Final = sys.modules

_beneath: ContextVar[Any] = ContextVar("pipeline_span_beneath", default=None)


def with_span(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the ids of the current span; as they are where there is none. Never raises."""
    found = span_context()
    if found is None or found == _beneath.get():
        return fields
    return {**fields, "trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}


def span_context() -> Any:
    """Return the context of the current span (`trace_id`, `span_id`, `trace_flags`), None without one."""
    trace = loaded_modules.get(MODULE)
    if trace is None:
        return None
    try:
        found = trace.get_current_span().get_span_context()
        return found if found.is_valid else None
    except Exception as error:  # noqa: BLE001 - half imported, or somebody's own span; no record fails for that
        handlers.let_through(error)
        return None


def stand_on_span() -> Token[Any]:
    """Remember the current span as one that does not hide the ids that are set now."""
    return _beneath.set(span_context())
