"""Context: what follows the flow of control, what is carried, and how it meets OpenTelemetry's spans."""

import asyncio
import contextvars
import pickle
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import pipeline
from pipeline import bind, context, tracing, unbind
from pipeline.records import open_telemetry
from pipeline.records.context import in_force
from pipeline.testing import capture_events

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"
tracer = TracerProvider().get_tracer("test")


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Give what is emitted, and run the test in a context of its own."""
    with capture_events() as events:
        yield events


def in_a_context_of_its_own(work: Any) -> Any:
    """Run work whose bind() must not outlive it."""
    return contextvars.Context().run(work)


def fields(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record without those of every record."""
    return {name: value for name, value in event.items() if name not in EVERY}


EVERY = {"timestamp", "action_type", "action_number", "producer"}


# Fields


def test_inner_contexts_add_and_the_record_wins(events: list[dict[str, Any]]) -> None:
    """All ids that a context has are in the record; baggage grows within itself."""
    with context(session_id="s", execution_id="e", user_id="u", baggage={"a": "1"}):
        with context(baggage={"b": "2"}):
            pipeline.emit("x", user_id="mine")
        pipeline.emit("x")
    pipeline.emit("x")
    both = {"session_id": "s", "execution_id": "e"}
    assert fields(events[0]) == {**both, "user_id": "mine", "baggage": {"a": "1", "b": "2"}}
    assert fields(events[1]) == {**both, "user_id": "u", "baggage": {"a": "1"}}
    assert fields(events[2]) == {}


def test_bind_holds_until_unbind_or_the_end_of_the_block(events: list[dict[str, Any]]) -> None:
    """What is bound inside a block goes with it; what is bound outside stays until it is taken out."""

    def work() -> None:
        bind(a=1, b=2)
        with context(c=3):
            bind(d=4)
            pipeline.emit("x")
        unbind("a")
        pipeline.emit("x")
        unbind()
        pipeline.emit("x")

    in_a_context_of_its_own(work)
    assert [fields(event) for event in events] == [{"a": 1, "b": 2, "c": 3, "d": 4}, {"b": 2}, {}]


def test_context_follows_tasks_and_to_thread(events: list[dict[str, Any]]) -> None:
    """A task has the context of where it was made, what it binds is its own, and to_thread takes it along."""

    async def child(number: int) -> None:
        bind(child=number)
        await asyncio.sleep(0)
        await asyncio.to_thread(pipeline.emit, "in_thread")
        pipeline.emit("in_task")

    async def main() -> None:
        with context(session_id="s"):
            await asyncio.gather(child(1), child(2))
            pipeline.emit("in_parent")

    asyncio.run(main())
    found = {(event["action_type"], event.get("child")) for event in events}
    assert found == {(kind, n) for kind in ("in_thread", "in_task") for n in (1, 2)} | {("in_parent", None)}
    assert all(event["session_id"] == "s" for event in events)


def test_threads_have_what_is_carried_to_them(events: list[dict[str, Any]]) -> None:
    """A thread of a pool begins without context; wrap() and resume() give it, and take it back again."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipeline.emit, "warm_up").result()
        with context(session_id="s", step=1):
            carried = context.carry()
            pool.submit(context.wrap(pipeline.emit), "wrapped", own=True).result()
            pool.submit(pipeline.emit, "plain").result()
    with context(session_id="other", stale=True), context.resume(carried):
        pipeline.emit("resumed")
    assert [fields(event) for event in events] == [
        {},
        {"session_id": "s", "step": 1, "own": True},
        {},
        {"session_id": "s", "step": 1},
    ]


def test_what_is_carried_can_be_pickled() -> None:
    """A process pool's queue takes it as it is, flags of the trace included."""
    with tracing.continued({"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1"}):
        carried = pickle.loads(pickle.dumps(context.carry()))
        wrapped = pickle.loads(pickle.dumps(context.wrap(tracing.inject)))
    assert context.carry().fields == {}
    with context.resume(carried):
        assert tracing.inject({}) == {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1"}
    assert wrapped({}) == {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1"}


# W3C headers


def test_traceparent_goes_in_and_out(events: list[dict[str, Any]]) -> None:
    """Ids of a caller are in the records, and go on to whom we call, baggage and tracestate with them."""
    headers = {"Traceparent": HEADER, "TRACESTATE": "vendor=1", "Baggage": "tenant=a%20b;p=1, x=2"}
    with tracing.continued(headers):
        pipeline.emit("x")
        sent = tracing.inject({"accept": "*/*"})
    assert fields(events[0]) == {"trace_id": TRACE, "span_id": SPAN, "baggage": {"tenant": "a b", "x": "2"}}
    assert sent == {
        "accept": "*/*",
        "traceparent": HEADER,
        "tracestate": "vendor=1",
        "baggage": "tenant=a%20b,x=2",
    }
    assert tracing.inject({}) == {}


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (HEADER, (TRACE, SPAN, True)),
        (f" 00-{TRACE}-{SPAN}-00 ", (TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        ("", None),
        (None, None),
        (b"00", None),
    ],
)
def test_traceparent_is_read_as_the_standard_says(header: Any, parent: object) -> None:
    """Newer versions are read as far as they are known; what breaks the format is taken for absent."""
    assert tracing.parse_traceparent(header) == parent


def test_a_caller_without_a_trace_changes_nothing() -> None:
    """Headers without traceparent leave the trace in force as it is; ids that are no W3C ids are not sent."""
    with context(trace_id=TRACE, span_id=SPAN), tracing.continued({"traceparent": "nonsense"}):
        assert tracing.inject({}) == {"traceparent": HEADER}
    with context(trace_id="abc123", span_id="xyz789"):
        assert tracing.inject({}) == {}
    with context(trace_id=TRACE):
        assert tracing.parse_traceparent(tracing.inject({})["traceparent"]).trace_id == TRACE


def test_baggage_beyond_the_bounds_of_the_standard_is_not_sent() -> None:
    """At most 64 entries and 8192 bytes; names that are no tokens have no place in a header."""
    many = {f"k{number}": "v" for number in range(100)}
    with context(baggage={"a b": "1", "ü": "2", "long": "x" * 9000, **many}):
        sent = tracing.inject({})["baggage"]
    assert len(sent) <= 8192
    assert sent.startswith("k0=v,k1=v,")
    assert len(sent.split(",")) <= 64


# OpenTelemetry


def ids_of(span: trace.Span) -> dict[str, str]:
    """Return the ids of a span of OpenTelemetry as records have them."""
    found = span.get_span_context()
    return {"trace_id": trace.format_trace_id(found.trace_id), "span_id": trace.format_span_id(found.span_id)}


def test_the_ids_of_the_current_span_are_in_every_record(events: list[dict[str, Any]]) -> None:
    """A span's ids go before those set around it, after those set inside it; outside of it there are none."""
    with context(trace_id=TRACE, span_id=SPAN):
        with tracer.start_as_current_span("outer") as outer:
            pipeline.emit("x")
            with context(step=1):
                pipeline.emit("x")
            with context(trace_id=TRACE, span_id=SPAN):
                pipeline.emit("x")
                with tracer.start_as_current_span("inner") as inner:
                    pipeline.emit("x")
                    pipeline.emit("x", trace_id="mine")
        pipeline.emit("x")
    mine = {"trace_id": TRACE, "span_id": SPAN}
    assert [fields(event) for event in events] == [
        ids_of(outer),
        {**ids_of(outer), "step": 1},
        mine,
        ids_of(inner),
        {**ids_of(inner), "trace_id": "mine"},
        mine,
    ]


def test_the_current_span_is_what_is_handed_on() -> None:
    """inject() sends OpenTelemetry's own ids and flags; carry() takes them to where there is no span."""
    with tracer.start_as_current_span("outer") as outer:
        sent = tracing.inject({})["traceparent"]
        carried = context.carry()
    assert tracing.parse_traceparent(sent) == (*ids_of(outer).values(), True)
    with context.resume(carried):
        assert in_force() == ids_of(outer)


def test_a_module_that_is_half_imported_or_broken_costs_no_record(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another thread imports OpenTelemetry, or when its span raises, records have no ids of it."""
    monkeypatch.setitem(sys.modules, open_telemetry.MODULE, types.ModuleType("half"))
    assert pipeline.emit("x") == 1
    broken = types.SimpleNamespace(get_current_span=lambda: 1 / 0)
    monkeypatch.setitem(sys.modules, open_telemetry.MODULE, broken)
    assert pipeline.emit("x") == 2
    assert [fields(event) for event in events] == [{}, {}]


def test_a_thread_has_no_span_of_another(events: list[dict[str, Any]]) -> None:
    """The ids are those of the thread that emits."""
    with tracer.start_as_current_span("outer"):
        thread = threading.Thread(target=pipeline.emit, args=("x",))
        thread.start()
        thread.join()
    assert fields(events[0]) == {}
