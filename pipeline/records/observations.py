"""What programs say beside actions: a request they served, a log line, a span of a trace."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from pipeline.records.typed import DurationMs, ErrorMessage, ErrorType, Model, Provider, Record


class ApiRequest(Record):
    """A request that an API has served."""

    method: Annotated[str, Meta(description="HTTP method.")]
    path: Annotated[str, Meta(description="Path, without the query.")]
    http_status: Annotated[int, Meta(description="HTTP status of the answer.")] | None = None
    duration_ms: DurationMs | None = None
    client: Annotated[str, Meta(description="Address of the client.")] | None = None
    request_size: Annotated[int, Meta(description="Bytes of the request's body.")] | None = None
    response_size: Annotated[int, Meta(description="Bytes of the answer's body.")] | None = None
    request_body: Annotated[Any, Meta(description="The request's body, where that is asked for.")] = None
    response_body: Annotated[Any, Meta(description="The answer's body, where that is asked for.")] = None
    id: Annotated[str, Meta(description="Id of the request, a UUID.")] | None = None
    api_key_id: Annotated[str, Meta(description="Id of the key that was used, never the key.")] | None = None
    provider: Provider | None = None
    model: Model | None = None
    error_message: ErrorMessage | None = None
    created_at: Annotated[str, Meta(description="When the request came, RFC 3339.")] | None = None
    updated_at: Annotated[str, Meta(description="When it was last changed, RFC 3339.")] | None = None


class Log(Record):
    """A line of a logger."""

    message: Annotated[str, Meta(description="The line.")]
    logger: Annotated[str, Meta(description="Name of the logger.")] | None = None
    module: Annotated[str, Meta(description="Module that logged it.")] | None = None
    function: Annotated[str, Meta(description="Function that logged it.")] | None = None
    line: Annotated[int, Meta(description="Line of the source.")] | None = None
    file: Annotated[str, Meta(description="File of the source.")] | None = None
    thread: Annotated[str, Meta(description="Name of the thread.")] | None = None
    process: Annotated[int, Meta(description="Process id.")] | None = None
    template: Annotated[str, Meta(description="The message before its arguments were put in.")] | None = None
    args: (
        Annotated[list[Any] | dict[str, Any], Meta(description="Those arguments: a list, or by name.")] | None
    ) = None
    exception: Annotated[str, Meta(description="Traceback, as Python prints it.")] | None = None
    stack: Annotated[str, Meta(description="Stack, where the line asked for it.")] | None = None
    message_error: Annotated[str, Meta(description="Why the message could not be made.")] | None = None


class Span(Record):
    """A span of a trace, recorded at its end. Its ids are trace_id, span_id and parent_span_id."""

    name: Annotated[str, Meta(description="What was done.")]
    start_ns: Annotated[int, Meta(description="When it began, in ns since the epoch.")] | None = None
    end_ns: Annotated[int, Meta(description="When it ended, in ns since the epoch.")] | None = None
    duration_ms: DurationMs | None = None
    kind: Annotated[str, Meta(description="internal, server, client, producer or consumer.")] | None = None
    logger: Annotated[str, Meta(description="Name of the tracer that it is of.")] | None = None
    service: Annotated[str, Meta(description="Name of the service.")] | None = None
    attributes: Annotated[dict[str, Any], Meta(description="What is known of it, by name.")] | None = None
    events: (
        Annotated[list[Any], Meta(description="What happened in it: objects with `name` and `at_ns`.")] | None
    ) = None
    links: Annotated[list[Any], Meta(description="Other spans: objects with their ids.")] | None = None
    error_type: ErrorType | None = None
    error_message: ErrorMessage | None = None


class Metric(Record):
    """A measurement. Get instruments from `get_metrics_collector()`."""

    name: Annotated[str, Meta(description="What is measured, such as `llm_requests_total`.")]
    kind: Annotated[str, Meta(description="counter, gauge or histogram.")]
    value: Annotated[
        float, Meta(description="What a counter grew by, how a gauge is now, one value of a histogram.")
    ]
    attributes: Annotated[dict[str, Any], Meta(description="What else is known of it, by name.")] | None = (
        None
    )


class Profile(Record):
    """How long a block of code or a function took."""

    name: Annotated[str, Meta(description="What was done, or the function.")]
    duration_ms: DurationMs
    cpu_ms: Annotated[float, Meta(description="CPU time of the thread, in milliseconds.")] | None = None
    error_type: ErrorType | None = None
    error_message: ErrorMessage | None = None
