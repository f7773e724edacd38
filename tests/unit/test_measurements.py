"""Metrics and profiles: what is measured becomes records, as their types say."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from pipeline import get_metrics_collector, profile
from pipeline.records.checks import checks_of
from pipeline.testing import FakeClock, MemoryPipeline, capture_events

EVERY = {"timestamp", "action_type", "action_number", "producer"}


@pytest.fixture
def caught() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Give a function that returns the fields that were emitted; they have to be as their types say."""
    with capture_events() as events:

        def fields() -> list[dict[str, Any]]:
            return [{name: event[name] for name in event if name not in EVERY} for event in events]

        yield fields
        for event, found in zip(events, fields(), strict=True):
            assert checks_of(event["action_type"]).faults(found) == []


def test_instruments_record_each_measurement(caught: Callable[[], list[dict[str, Any]]]) -> None:
    """R-086, as the document's example has it; attributes are an object of their own."""
    metrics = get_metrics_collector()
    assert metrics.counter("llm_requests_total").increment() == 1
    metrics.counter("llm_requests_total").increment(3, model="m")
    metrics.histogram("llm_request_duration").record(1.23)
    metrics.gauge("active_sessions").set(5)
    assert caught() == [
        {"name": "llm_requests_total", "kind": "counter", "value": 1},
        {"name": "llm_requests_total", "kind": "counter", "value": 3, "attributes": {"model": "m"}},
        {"name": "llm_request_duration", "kind": "histogram", "value": 1.23},
        {"name": "active_sessions", "kind": "gauge", "value": 5},
    ]


def test_a_handle_of_ones_own_is_used_and_none_is_needed() -> None:
    """Without a pipeline nothing is recorded and nothing fails; with a handle it goes there."""
    assert get_metrics_collector().gauge("g").set(1) == 0
    with profile("nobody listens"):
        pass
    mine = MemoryPipeline()
    get_metrics_collector(mine).gauge("g").set(1)
    with profile("mine", pipeline=mine, user_id="u"):
        pass
    assert [event["action_type"] for event in mine.events] == ["metric", "profile"]
    assert mine.events[1]["user_id"] == "u"


def test_profile_is_a_context_manager_and_a_decorator(caught: Callable[[], list[dict[str, Any]]]) -> None:
    """R-088: around a block, a function, a coroutine, with a name and without; a function stays itself."""

    @profile
    def answer(question: str) -> str:
        """Think."""
        clock.advance(0.25)
        return question + "!"

    @profile("thinks")
    async def think() -> int:
        clock.advance(2)
        await asyncio.sleep(0)
        return 42

    with FakeClock() as clock:
        with profile("block"):
            clock.advance(1.5)
        assert answer("why") == "why!"
        assert asyncio.run(think()) == 42
    assert (answer.__name__, answer.__doc__) == ("answer", "Think.")
    block, called, awaited = caught()
    assert (block["name"], block["duration_ms"], block["status"]) == ("block", 1500, "success")
    assert called["name"] == f"{__name__}.{answer.__qualname__}"
    assert (called["duration_ms"], awaited["duration_ms"], awaited["name"]) == (250, 2000, "thinks")
    assert block["cpu_ms"] >= 0


def test_a_generator_is_measured_until_its_end(caught: Callable[[], list[dict[str, Any]]]) -> None:
    """Not only until it is made; what is sent to it and what it returns pass through."""

    @profile
    def talk() -> Generator[int, str, str]:
        clock.advance(1)
        heard = yield 1
        return heard

    with FakeClock() as clock:
        talking = talk()
        assert next(talking) == 1
        clock.advance(2)
        with pytest.raises(StopIteration, match="heard"):
            talking.send("heard")
        given_up = talk()
        next(given_up)
        given_up.close()
    assert [(one["duration_ms"], one["status"]) for one in caught()] == [(3000, "success"), (1000, "success")]


def test_a_function_that_calls_itself_or_raises_is_measured_call_by_call(
    caught: Callable[[], list[dict[str, Any]]],
) -> None:
    """Each call has its own record, the inner one first; an error is recorded and goes on."""

    @profile
    def down(levels: int) -> None:
        if not levels:
            raise ValueError("bottom")
        down(levels - 1)

    with pytest.raises(ValueError, match="bottom"):
        down(2)
    assert [(one["status"], one["error_type"], one["error_message"]) for one in caught()] == [
        ("error", "ValueError", "bottom")
    ] * 3


def test_processor_time_is_that_of_the_thread() -> None:
    """A block that only waits has next to none; one that works has some."""
    mine = MemoryPipeline()
    with profile("works", pipeline=mine):
        sum(number * number for number in range(200_000))
    assert mine.events[0]["cpu_ms"] > 1
