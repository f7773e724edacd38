"""structlog, loguru and OpenTelemetry into records; print() and errors that nobody caught."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import loguru
import pytest
import structlog
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import pipeline
from pipeline.integrations import loguru as our_loguru, opentelemetry as our_otel, structlog as our_structlog
from pipeline.integrations.printing import capture_print
from pipeline.integrations.uncaught import capture_uncaught
from pipeline.testing import MemoryPipeline, capture_events


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Catch what goes to the default pipeline."""
    with capture_events() as events:
        yield events


def test_structlog_events_pass_a_processor_and_go_on(
    events: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a renderer: what is bound and what is given are fields."""
    shown: list[Any] = []
    logger = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            our_structlog.Record(),
            lambda _logger, _method, event: shown.append(dict(event)) or event,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    ).bind(user="ann")
    logger.warning("cart full", items=3)
    assert '"items": 3' in capsys.readouterr().out
    (event,) = events
    assert (event["level"], event["message"], event["user"], event["items"]) == (
        "WARNING",
        "cart full",
        "ann",
        3,
    )
    assert event["event_timestamp"] == shown[0]["timestamp"]


def test_structlog_can_record_and_nothing_else(events: list[dict[str, Any]]) -> None:
    """The logger factory: with event dicts, and with texts of a renderer."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.stdlib.render_to_log_kwargs][:1],
        wrapper_class=structlog.make_filtering_bound_logger("INFO"),
        logger_factory=our_structlog.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        logger = structlog.get_logger("shop")
        logger.debug("left out")
        logger.info("kept", price=3)
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("failed")
    finally:
        structlog.reset_defaults()
    assert [event["message"] for event in events] == ["kept", "failed"]
    assert (events[0]["logger"], events[0]["price"], events[1]["level"]) == ("shop", 3, "ERROR")
    assert events[1]["exception"].endswith("ValueError: bad")


def test_loguru_messages_come_with_what_was_bound_to_them(events: list[dict[str, Any]]) -> None:
    """A sink beside loguru's own; errors as text."""
    logger = loguru.logger
    sink = logger.add(our_loguru.sink(), level="INFO")
    try:
        logger.bind(request_id="r-1", level="x").info("hello {}", "ann")
        logger.debug("left out")
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.remove(sink)
    assert [event["message"] for event in events] == ["hello ann", "failed"]
    assert (events[0]["request_id"], events[0]["field_level"], events[0]["level"]) == ("r-1", "x", "INFO")
    assert events[0]["function"] == "test_loguru_messages_come_with_what_was_bound_to_them"
    assert events[1]["exception"].endswith("ValueError: bad")


def test_spans_of_opentelemetry_are_records(events: list[dict[str, Any]]) -> None:
    """Ids as W3C writes them, the parent's too, attributes, events, errors."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(our_otel.SpanExporter()))
    tracer = provider.get_tracer("cart")
    with tracer.start_as_current_span("outer") as outer:
        with (
            pytest.raises(ValueError, match="bad"),
            tracer.start_as_current_span("inner", attributes={"n": 3}),
        ):
            raise ValueError("bad")
        trace_id = f"{outer.get_span_context().trace_id:032x}"
    inner, outer_event = events
    assert (inner["name"], inner["status"], inner["attributes"]) == ("inner", "error", {"n": 3})
    assert inner["parent_span_id"] == outer_event["span_id"]
    assert inner["trace_id"] == outer_event["trace_id"] == trace_id
    assert inner["events"][0]["name"] == "exception"
    assert (outer_event["status"], outer_event["service"], outer_event["logger"]) == (
        "success",
        "shop",
        "cart",
    )
    assert outer_event["duration_ms"] >= inner["duration_ms"] >= 0


def test_log_records_of_opentelemetry_are_records(events: list[dict[str, Any]]) -> None:
    """Severity, body, attributes and the ids of the span around them."""
    logs = LoggerProvider(resource=Resource({"service.name": "shop"}))
    logs.add_log_record_processor(SimpleLogRecordProcessor(our_otel.LogRecordExporter()))
    with TracerProvider().get_tracer("x").start_as_current_span("s") as span:
        logs.get_logger("cart").emit(
            severity_text="warn", body="cart full", attributes={"items": 3}, timestamp=1763735535_000000000
        )
    (event,) = events
    assert (event["level"], event["message"], event["attributes"]) == ("WARN", "cart full", {"items": 3})
    assert event["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert (event["service"], event["logger"], event["at_ns"]) == ("shop", "cart", 1763735535_000000000)


def test_an_exporter_says_when_a_record_was_not_accepted() -> None:
    """A full queue is a failed export."""
    full = MemoryPipeline()
    full.refuses = True
    exporter = our_otel.SpanExporter(pipeline=full)  # type: ignore[arg-type]
    span = TracerProvider().get_tracer("x").start_span("s")
    span.end()
    assert exporter.export([span]) is our_otel.trace_export.SpanExportResult.FAILURE  # type: ignore[list-item]


def test_print_is_recorded_with_its_place_and_still_printed(
    events: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what goes to stdout and stderr; a print into a file is nobody's log line."""
    with capture_print(), open("/dev/null", "w") as other:
        print("a", 1, sep="-")
        print("error", file=sys.stderr)
        print("elsewhere", file=other)
    print("after")
    assert [event["message"] for event in events] == ["a-1", "error"]
    assert events[0]["function"] == "test_print_is_recorded_with_its_place_and_still_printed"
    assert events[0]["line"] > 0
    printed = capsys.readouterr()
    assert printed.out == "a-1\nafter\n"
    assert printed.err == "error\n"


def test_errors_that_nobody_caught_are_critical_records_and_shown_as_before(
    events: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread's, a thread's, an unraisable one and a task's."""
    # pytest puts hooks of its own where these go; Python's are what a program has.
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    class Ending:
        def __del__(self) -> None:
            raise ValueError("unraisable")

    def fail() -> None:
        raise ValueError("thread")

    async def main() -> None:
        caught.watch(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with capture_uncaught() as caught:
        thread = threading.Thread(target=fail, name="worker-1")
        thread.start()
        thread.join()
        Ending()
        gc.collect()
        asyncio.run(main())
        try:
            raise ValueError("main")
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert sys.excepthook is sys.__excepthook__
    assert [event["where"] for event in events] == ["thread", "unraisable", "asyncio", "main"]
    assert all(event["level"] == "CRITICAL" and event["status"] == "error" for event in events)
    assert all(event["error_type"] == "ValueError" for event in events)
    assert events[0]["name"] == "worker-1"
    assert "in fail" in events[2]["traceback"]
    assert capsys.readouterr().err.count("ValueError") >= 3


def test_captured_events_are_those_of_the_default_pipeline(pipeline_records: list[dict[str, Any]]) -> None:
    """The pytest fixture of this package, with the real encoding and the context."""
    with pipeline.context(session_id="s-1"):
        assert pipeline.emit("user_input", content="hi", tags={"x"}) == 1
    assert pipeline.emit("user_input", action_number=9) == 2
    first, second = pipeline_records
    assert list(first)[:4] == ["timestamp", "action_type", "action_number", "producer"]
    assert (first["session_id"], first["content"], first["tags"]) == ("s-1", "hi", ["x"])
    assert second["field_action_number"] == 9


def test_a_pipeline_in_memory_has_the_face_of_a_real_one() -> None:
    """Each public method of Pipeline is there; one that refuses answers 0."""
    public = {name for name in dir(pipeline.Pipeline) if not name.startswith("_")}
    assert public - set(dir(MemoryPipeline)) == {"log_dir", "queue", "settings"}
    with MemoryPipeline() as memory:
        assert memory.emit("a", x=1) == 1
        assert memory.flush()
        assert memory.health()["status"] == "ok"
        assert asyncio.run(memory.aemit("b")) == 2
        assert memory.of_type("b")[0]["action_number"] == 2
    assert memory.emit("late") == 0
