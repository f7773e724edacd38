"""
Episodes: blocks of code whose beginning and end are records.

    with pl.tool("bash", args={"command": "ls"}) as use:     # tool_call
        use.output = run("ls")                               # tool_result, or tool_error with what was raised

The record at the end has the duration, and is there however the block ends: an error is recorded and goes on
its way, Ctrl+C as well. A program that is killed inside leaves the first record without the second.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from pipeline import tracing
from pipeline.host import clock
from pipeline.records.context import context, in_force
from pipeline.records.exception_forms import error_fields, is_plain_exit

if TYPE_CHECKING:
    from types import TracebackType


class Episodes:
    """What a pipeline offers for work that has a beginning and an end."""

    def emit(self, record: Any, /, *, durable: bool = False, **fields: Any) -> int:
        """Accept a record; the pipeline's own."""
        raise NotImplementedError

    def tool(
        self,
        tool_name: str,
        /,
        *,
        args: dict[str, Any] | None = None,
        tool_use_id: str = "",
        permission_level: str | None = None,
        **fields: Any,
    ) -> Tool:
        """
        Record the use of a tool around a block: `tool_call`, then `tool_result` or `tool_error`.

        `fields` go into both. Without a `tool_use_id` there is a new one, in the episode's `id`.
        """
        used = tool_use_id or f"toolu_{os.urandom(12).hex()}"
        call = _given(args=args, permission_level=permission_level)
        return Tool(self, used, {"tool_use_id": used, "tool_name": tool_name, **fields}, call)

    def llm(self, model: str, /, *, provider: str | None = None, request_id: str = "", **request: Any) -> Llm:
        """
        Record a call of a model around a block: `llm_request`, then `llm_response` or `llm_error`.

        `request` are further fields of the request, such as messages_count or temperature.
        """
        asked = request_id or f"req-{os.urandom(8).hex()}"
        fields = {"request_id": asked, **_given(provider=provider), "model": model}
        return Llm(self, asked, fields, request)

    def session(
        self,
        project_name: str | None = None,
        /,
        *,
        session_id: str = "",
        metadata: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Session:
        """
        Record a session around a block: `session_start` and `session_end`, and its id in all between.

        Without a `session_id` there is a new one, such as `session-20251121143210-123456`.
        """
        opened = session_id or _new_session_id()
        start = _given(project_name=project_name, metadata=metadata)
        return Session(self, opened, {"session_id": opened, **fields}, start)

    def span(self, name: str, /, *, logger: str | None = None, **attributes: Any) -> Span:
        """
        Record a span of a trace around a block: one `span`, at its end, with its ids in all between.

        It is a child of the span in force, also of one of OpenTelemetry's; without one it begins a trace.
        """
        return Span(self, name, logger, attributes)


class Tracer:
    """A source of spans with a name, in OpenTelemetry's words. Get one from `get_tracer()`."""

    def __init__(self, episodes: Episodes, name: str) -> None:
        self._episodes = episodes
        self._name = name

    def start_as_current_span(self, name: str, attributes: dict[str, Any] | None = None) -> Span:
        """Record a span around a block."""
        return Span(self._episodes, name, self._name, dict(attributes or {}))


class _Episode:
    """A block: `_begin` before it, `_end` behind it with what it has raised."""

    def __init__(self, episodes: Episodes, id_: str, fields: dict[str, Any], first: dict[str, Any]) -> None:
        self.id = id_
        """What ties its records together."""
        self._emit = episodes.emit
        self._fields = fields
        self._first = first
        self._last: dict[str, Any] = {}
        self._around: context | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = clock.monotonic()
        self._begin()
        if self._around is not None:
            self._around.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(None if is_plain_exit(error) else error)
        finally:
            if self._around is not None:
                self._around.__exit__(kind, error, trace)

    def add(self, **fields: Any) -> None:
        """Add fields to the record at the end."""
        self._last |= fields

    def _duration(self) -> dict[str, Any]:
        return {"duration_ms": round((clock.monotonic() - self._began) * 1000, 3)}

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self, error: BaseException | None) -> None:
        raise NotImplementedError


class Tool(_Episode):
    """The use of a tool. Get one from `tool()`."""

    output: Any = None
    """What the tool gave back, for the `tool_result`."""
    success: bool = True
    """Whether it reached what it was called for."""

    def _begin(self) -> None:
        self._emit("tool_call", **{**self._fields, **self._first})

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._emit(
                "tool_error", **{**self._fields, **error_fields(error), **self._duration(), **self._last}
            )
            return
        done = {"success": self.success, "status": "success" if self.success else "error"}
        output = {} if self.output is None else {"output": self.output}
        self._emit("tool_result", **{**self._fields, **done, **output, **self._duration(), **self._last})


class Llm(_Episode):
    """A call of a model. Get one from `llm()`; `add(input_tokens=…, output_tokens=…)` says what came."""

    def _begin(self) -> None:
        self._emit("llm_request", **{**self._fields, **self._first})

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            retry = _given(retry_after=getattr(error, "retry_after", None))
            told = {**error_fields(error), **retry, **self._duration(), **self._last}
            self._emit("llm_error", **{**self._fields, **told})
            return
        self._emit("llm_response", **{**self._fields, "status": "success", **self._duration(), **self._last})


class Session(_Episode):
    """A session. Get one from `session()`."""

    def pause(self, reason: str | None = None, **fields: Any) -> int:
        """Record that the session rests."""
        return self._emit("session_pause", **{**self._fields, **_given(reason=reason), **fields})

    def resume(self, reason: str | None = None, **fields: Any) -> int:
        """Record that the session goes on."""
        return self._emit("session_resume", **{**self._fields, **_given(reason=reason), **fields})

    def _begin(self) -> None:
        self._around = context(session_id=self.id)
        self._emit("session_start", **{**self._fields, **self._first})

    def _end(self, error: BaseException | None) -> None:
        told = {"status": "success"} if error is None else error_fields(error)
        self._emit("session_end", **{**self._fields, **told, **self._duration(), **self._last})


class Span(_Episode):
    """A span of a trace. Get one from `span()`, or from a tracer."""

    def __init__(self, episodes: Episodes, name: str, logger: str | None, attributes: dict[str, Any]) -> None:
        super().__init__(episodes, tracing.new_span_id(), {"name": name, **_given(logger=logger)}, attributes)
        self._events: list[dict[str, Any]] = []
        self._status = ""
        self._start_ns = 0

    def set_attribute(self, name: str, value: Any) -> None:
        """Say more of the span."""
        self._first[name] = value

    def add_event(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        """Note that something has happened in it, now."""
        event = {"name": name, "at_ns": clock.wall_ns()}
        self._events.append({**event, "attributes": dict(attributes)} if attributes else event)

    def set_status(self, status: Any) -> None:
        """Say how it went: success, error, or OpenTelemetry's `Status` or `StatusCode`."""
        code = getattr(status, "status_code", status)
        word = str(getattr(code, "name", code)).lower()
        self._status = {"ok": "success", "unset": ""}.get(word, word)

    def _begin(self) -> None:
        before = in_force()
        trace_id = before.get("trace_id") or tracing.new_trace_id()
        parent = _given(parent_span_id=before.get("span_id") if before.get("trace_id") else None)
        self._fields = {"trace_id": trace_id, "span_id": self.id, **parent, **self._fields}
        self._start_ns = clock.wall_ns()
        self._around = context(trace_id=trace_id, span_id=self.id)

    def _end(self, error: BaseException | None) -> None:
        told = {"status": self._status or "success"} if error is None else error_fields(error)
        duration = self._duration()
        end_ns = self._start_ns + round(duration["duration_ms"] * 1_000_000)  # the clock may have been set
        more: dict[str, Any] = {"start_ns": self._start_ns, "end_ns": end_ns, **duration}
        more |= {"attributes": self._first} if self._first else {}
        more |= {"events": self._events} if self._events else {}
        self._emit("span", **{**self._fields, **more, **told, **self._last})


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _new_session_id() -> str:
    now = datetime.fromtimestamp(clock.wall_ns() // clock.NANO, UTC)
    return f"session-{now:%Y%m%d%H%M%S}-{int.from_bytes(os.urandom(4)) % 10**6:06d}"
