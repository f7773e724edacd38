"""Episodes: the records at the beginning and the end of a block, however it ends."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

import pipeline
from pipeline.records.checks import checks_of
from pipeline.testing import MemoryPipeline, capture_events

EVERY = {"timestamp", "action_type", "action_number", "producer"}


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Give what is emitted; at the end, all of it has to be as its types say."""
    with capture_events() as events:
        yield events
    for event in events:
        fields = {name: value for name, value in event.items() if name not in EVERY}
        assert checks_of(event["action_type"]).faults(fields) == []


def types_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of records in their order."""
    return [event["action_type"] for event in events]


def test_a_tool_is_called_and_gives_a_result(events: list[dict[str, Any]]) -> None:
    """tool_call, then tool_result with output and duration, tied by one tool_use_id."""
    with pipeline.tool("bash", args={"command": "ls"}, permission_level="NORMAL", agent="a1") as use:
        use.output = "README.md"
        use.add(exit_code=0)
    call, result = events
    assert types_of(events) == ["tool_call", "tool_result"]
    assert (call["tool_name"], call["args"], call["permission_level"]) == (
        "bash",
        {"command": "ls"},
        "NORMAL",
    )
    assert (result["output"], result["success"], result["status"]) == ("README.md", True, "success")
    assert call["tool_use_id"] == result["tool_use_id"] == use.id
    assert call["agent"] == result["agent"] == "a1"
    assert result["exit_code"] == 0
    assert result["duration_ms"] >= 0
    assert "duration_ms" not in call


def test_a_tool_that_did_its_work_in_vain_says_so(events: list[dict[str, Any]]) -> None:
    """success=False is a result and an error; an id of the caller's is kept."""
    with pipeline.tool("grep", tool_use_id="toolu_1") as use:
        use.success = False
    assert (events[1]["success"], events[1]["status"], events[1]["tool_use_id"]) == (
        False,
        "error",
        "toolu_1",
    )


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_a_tool_that_raises_leaves_an_error_and_the_error_goes_on(
    events: list[dict[str, Any]], error: BaseException
) -> None:
    """tool_error with type, message and duration, also for Ctrl+C; the block's own error is not touched."""
    with pytest.raises(type(error)) as raised, pipeline.tool("bash"):
        raise error
    assert raised.value is error
    assert types_of(events) == ["tool_call", "tool_error"]
    assert (events[1]["error_type"], events[1]["error_message"]) == (type(error).__name__, str(error))
    assert (events[1]["status"], events[1]["tool_name"]) == ("error", "bash")


def test_an_error_that_cannot_describe_itself_is_recorded(events: list[dict[str, Any]]) -> None:
    """Somebody's __str__ raises: the first error goes on, and the record says what is known."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise OSError

    with pytest.raises(MuteError), pipeline.tool("bash"):
        raise MuteError
    assert events[1]["error_message"] == "<unprintable MuteError: OSError>"


def test_a_program_that_exits_well_inside_has_no_error(events: list[dict[str, Any]]) -> None:
    """sys.exit(0) within a session ends it with success."""
    with pytest.raises(SystemExit), pipeline.session("my-project"):
        raise SystemExit(0)
    assert (events[1]["action_type"], events[1]["status"]) == ("session_end", "success")


def test_a_model_is_asked_and_answers(events: list[dict[str, Any]]) -> None:
    """llm_request with what was asked, llm_response with what came, tied by one request_id."""
    with pipeline.llm("claude", provider="anthropic", messages_count=5, temperature=0.7) as call:
        call.add(response_type="tool_use", input_tokens=1234, output_tokens=567)
    request, response = events
    assert types_of(events) == ["llm_request", "llm_response"]
    assert request["request_id"] == response["request_id"] == call.id
    assert (request["messages_count"], request["temperature"]) == (5, 0.7)
    assert (response["input_tokens"], response["status"], response["model"]) == (1234, "success", "claude")


def test_a_model_that_does_not_answer_leaves_an_error(events: list[dict[str, Any]]) -> None:
    """llm_error takes retry_after from the error, where that has one."""
    error = ConnectionError("Rate limit exceeded")
    error.retry_after = 60
    with pytest.raises(ConnectionError), pipeline.llm("claude", request_id="req-1"):
        raise error
    assert types_of(events) == ["llm_request", "llm_error"]
    assert (events[1]["retry_after"], events[1]["request_id"]) == (60, "req-1")


def test_a_session_gives_its_id_to_all_inside(events: list[dict[str, Any]]) -> None:
    """session_start, pause, resume and end; what is emitted between has the id, what comes after has not."""
    with pipeline.session("my-project", metadata={"platform": "linux"}) as session:
        pipeline.emit("user_input", content="hi")
        session.pause("lunch")
        session.resume()
    pipeline.emit("user_input", content="bye")
    kinds = ["session_start", "user_input", "session_pause", "session_resume", "session_end", "user_input"]
    assert types_of(events) == kinds
    assert re.fullmatch(r"session-\d{14}-\d{6}", session.id)
    assert [event.get("session_id") for event in events] == [session.id] * 5 + [None]
    assert (events[0]["project_name"], events[0]["metadata"]) == ("my-project", {"platform": "linux"})
    assert events[2]["reason"] == "lunch"
    assert events[4]["duration_ms"] >= 0


def test_spans_make_a_tree(events: list[dict[str, Any]]) -> None:
    """A span inside a span is its child in one trace; records inside have its ids."""
    with pipeline.span("request", path="/") as outer:
        with pipeline.span("query") as inner:
            pipeline.emit("user_input", content="x")
            inner.add_event("row", {"n": 1})
        outer.set_attribute("rows", 1)
    record, query, request = events
    assert types_of(events) == ["user_input", "span", "span"]
    assert record["span_id"] == query["span_id"] == inner.id
    assert query["parent_span_id"] == request["span_id"] == outer.id
    assert len({event["trace_id"] for event in events}) == 1
    assert "parent_span_id" not in request
    assert request["attributes"] == {"path": "/", "rows": 1}
    assert [(event["name"], event["attributes"]) for event in query["events"]] == [("row", {"n": 1})]
    assert request["start_ns"] <= query["start_ns"] <= query["events"][0]["at_ns"]
    assert request["end_ns"] - request["start_ns"] == round(request["duration_ms"] * 1_000_000)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status(StatusCode.OK), "success"),
        (StatusCode.ERROR, "error"),
        (Status(StatusCode.UNSET), "success"),
        ("warning", "warning"),
    ],
)
def test_a_span_takes_a_status_of_either_kind(
    events: list[dict[str, Any]], status: object, word: str
) -> None:
    """A word of ours, or OpenTelemetry's object, as its own examples have it."""
    with pipeline.get_tracer("tooling").start_as_current_span("work", {"a": 1}) as span:
        span.set_status(status)
    assert (events[0]["status"], events[0]["logger"], events[0]["attributes"]) == (word, "tooling", {"a": 1})


def test_a_span_is_a_child_of_open_telemetry_s(events: list[dict[str, Any]]) -> None:
    """Inside a span of the SDK ours has its trace and parent, and records inside ours have ours."""
    with TracerProvider().get_tracer("t").start_as_current_span("sdk") as sdk, pipeline.span("ours") as ours:
        pipeline.emit("user_input", content="x")
    found = sdk.get_span_context()
    assert events[1]["trace_id"] == events[0]["trace_id"] == f"{found.trace_id:032x}"
    assert events[1]["parent_span_id"] == f"{found.span_id:016x}"
    assert events[0]["span_id"] == ours.id


def test_a_span_that_raises_is_an_error(events: list[dict[str, Any]]) -> None:
    """The span ends with the error's type and message."""
    with pytest.raises(ZeroDivisionError), pipeline.span("division"):
        _ = 1 / 0
    assert (events[0]["status"], events[0]["error_type"]) == ("error", "ZeroDivisionError")


def test_episodes_of_a_handle_go_into_that_handle() -> None:
    """`pl.tool(…)` records in `pl`, whatever the default pipeline is."""
    mine = MemoryPipeline()
    with mine.session("p"), mine.tool("bash"), mine.llm("m"), mine.span("s"):
        pass
    assert len(mine.events) == 7
    assert pipeline.tool("bash").__enter__().id  # without a pipeline the block runs all the same
