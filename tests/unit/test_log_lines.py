"""The standard library's log lines as records: PipelineHandler, JsonFormatter, get_logger(), the console."""

import io
import json
import logging
import logging.config
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import pipeline
from pipeline.integrations.console import console_handler
from pipeline.integrations.logging import JsonFormatter, PipelineHandler
from pipeline.testing import MemoryPipeline, capture_events


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """Catch what goes to the default pipeline."""
    with capture_events() as events:
        yield events


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Give a logger with our handler and no other."""
    logger = logging.Logger("shop.cart")
    logger.addHandler(PipelineHandler())
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_a_line_is_a_record_with_its_message_template_arguments_and_place(
    events: list[dict[str, Any]], logger: logging.Logger
) -> None:
    """All of R-063; the template stays, so that alike lines can be counted."""
    logger.warning("%d items for %s", 3, "ann")
    (event,) = events
    assert event["action_type"] == "log"
    expected = {
        "level": "WARNING",
        "logger": "shop.cart",
        "message": "3 items for ann",
        "template": "%d items for %s",
        "args": [3, "ann"],
        "module": "test_log_lines",
        "function": "test_a_line_is_a_record_with_its_message_template_arguments_and_place",
        "thread": threading.current_thread().name,
    }
    assert {name: event[name] for name in expected} == expected
    assert event["line"] > 0
    assert event["file"] == __file__


def test_extra_fields_are_fields_whatever_their_names(
    events: list[dict[str, Any]], logger: logging.Logger
) -> None:
    """Also where emit() or the record has a name of its own for something."""
    logger.info("done", extra={"user_id": 7, "durable": "yes", "level": "x", "producer": "p", "tags": {"a"}})
    (event,) = events
    assert event["user_id"] == 7
    assert event["field_durable"] == "yes"
    assert event["field_level"] == "x"
    assert event["level"] == "INFO"
    assert event["field_producer"] == "p"
    assert event["tags"] == ["a"]


def test_errors_and_stacks_are_text_fields(events: list[dict[str, Any]], logger: logging.Logger) -> None:
    """`exc_info` and `stack_info` (R-066)."""
    try:
        raise KeyError("basket")
    except KeyError:
        logger.exception("failed", stack_info=True)
    (event,) = events
    assert event["exception"].startswith("Traceback (most recent call last):")
    assert event["exception"].endswith("KeyError: 'basket'")
    assert event["stack"].startswith("Stack (most recent call last):")


def test_a_line_that_cannot_be_made_is_recorded_as_its_template(
    events: list[dict[str, Any]], logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The wrong number of arguments, and an argument whose `__str__` raises, cost nobody anything."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    logger.info("%s and %s", 1)
    logger.info("it is %s", Broken())
    assert [event["message"] for event in events] == ["%s and %s", "it is %s"]
    assert "TypeError" in events[0]["message_error"]
    assert "RuntimeError" in events[1]["message_error"]
    assert capsys.readouterr().err == ""


def test_an_object_that_logs_when_it_is_shown_ends(
    events: list[dict[str, Any]], logger: logging.Logger
) -> None:
    """A `__str__` that logs itself would go round for ever; one level of it is recorded."""

    class Talker:
        def __str__(self) -> str:
            logger.info("shown: %s", Talker())
            return "talker"

    logger.info("hello %s", Talker())
    messages = [event["message"] for event in events]
    assert messages[-1] == "hello talker"
    assert set(messages[:-1]) == {"shown: talker"}
    assert logger.handlers[0].refused > 0  # type: ignore[attr-defined]


def test_filters_and_levels_are_those_of_any_handler(
    events: list[dict[str, Any]], logger: logging.Logger
) -> None:
    """Also a filter that returns another line, as Python 3.12 allows."""
    handler = logger.handlers[0]
    handler.setLevel("WARNING")
    handler.addFilter(lambda line: "secret" not in line.getMessage())
    logger.info("below")
    logger.error("a secret")
    logger.error("above")
    assert [event["message"] for event in events] == ["above"]
    if sys.version_info >= (3, 12):
        handler.addFilter(lambda line: logging.makeLogRecord({**vars(line), "msg": "another"}))
        logger.error("this")
        assert events[-1]["message"] == "another"


def test_what_is_logged_before_there_is_a_pipeline_is_counted() -> None:
    """Nothing is held in memory for later, and nobody is stopped."""
    handler = PipelineHandler()
    handler.handle(logging.makeLogRecord({"msg": "early"}))
    assert handler.refused == 1


def test_a_handler_can_have_a_pipeline_of_its_own_and_another_type() -> None:
    """`pipeline=` and `action_type=`."""
    own = MemoryPipeline()
    handler = PipelineHandler(pipeline=own, action_type="audit")  # type: ignore[arg-type]
    handler.handle(logging.makeLogRecord({"msg": "x"}))
    assert [event["action_type"] for event in own.events] == ["audit"]


def test_dict_config_knows_the_handler_and_the_formatter(events: list[dict[str, Any]]) -> None:
    """As people configure logging: a dict, by class names."""
    stream = io.StringIO()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "pipeline.integrations.logging.JsonFormatter"}},
            "handlers": {
                "recorder": {"class": "pipeline.integrations.logging.PipelineHandler", "level": "INFO"},
                "stream": {"class": "logging.StreamHandler", "formatter": "json", "stream": stream},
            },
            "loggers": {"configured": {"handlers": ["recorder", "stream"], "level": "DEBUG"}},
        }
    )
    logger = logging.getLogger("configured")
    logger.propagate = False
    try:
        logger.debug("both?")
        logger.info("both")
    finally:
        logger.handlers.clear()
    assert [event["message"] for event in events] == ["both"]
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["both?", "both"]


def test_the_json_formatter_writes_one_line_with_the_context(events: list[dict[str, Any]]) -> None:
    """A line break in a message stays inside its string; trace ids of the context are there (R-064)."""
    line = logging.makeLogRecord(
        {"msg": "a\nb", "levelname": "INFO", "name": "x", "created": 1763735535.123456}
    )
    with pipeline.context(trace_id="t", span_id="s"):
        text = JsonFormatter().format(line)
    assert "\n" not in text
    found = json.loads(text)
    assert found["timestamp"] == "2025-11-21T14:32:15.123456Z"
    assert (found["message"], found["trace_id"], found["span_id"]) == ("a\nb", "t", "s")


def test_a_console_without_a_terminal_gets_json_and_a_terminal_text_that_sends_nothing() -> None:
    """Control characters of a message are shown at a terminal, never sent to it."""
    piped = io.StringIO()
    handler = console_handler(stream=piped)
    handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 20, "levelname": "INFO"}))
    assert json.loads(piped.getvalue())["message"] == "x"
    terminal = io.StringIO()
    handler = console_handler(stream=terminal, is_json=False)
    handler.handle(logging.makeLogRecord({"msg": "red \x1b[31m\x07 [bold]x[/bold]", "levelno": 20}))
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())  # the colours are the console's own
    assert "red \\x1b[31m\\x07 [bold]x[/bold]" in text


def test_get_logger_takes_every_keyword_as_a_field(events: list[dict[str, Any]]) -> None:
    """`name` and `module` as well, which `extra=` forbids (C-30)."""
    log = pipeline.get_logger("wechat_backend.api")
    assert pipeline.get_logger("wechat_backend.api") is log
    number = log.info("done", endpoint="/api/ai/chat", user_id="user_001", name="n", module="m", message="x")
    (event,) = events
    assert number == 1
    assert (event["logger"], event["level"], event["message"]) == ("wechat_backend.api", "INFO", "done")
    assert (event["name"], event["module"], event["field_message"]) == ("n", "m", "x")
    assert event["function"] == "test_get_logger_takes_every_keyword_as_a_field"


def test_get_logger_has_levels_arguments_and_errors(events: list[dict[str, Any]]) -> None:
    """The methods of R-084, and `logging`'s way of putting arguments into the message."""
    log = pipeline.logger.Logger("x", level="WARNING")
    assert log.info("no") == log.debug("no") == log.log("INFO", "no") == log.log(20, "no") == 0
    log.warning("%d rows", 5)
    try:
        raise ValueError("bad")
    except ValueError as error:
        log.error("one", exc_info=True)
        log.error("two", exc_info=error)
        log.exception("three")
    log.log("critical", "four")
    log.log(35, "five")
    assert [event["message"] for event in events] == ["5 rows", "one", "two", "three", "four", "five"]
    assert all(event["exception"].endswith("ValueError: bad") for event in events[1:4])
    assert events[0]["args"] == [5]
    assert events[4]["level"] == "CRITICAL"


def test_a_trace_context_is_on_every_line_after_it(events: list[dict[str, Any]]) -> None:
    """set_trace_context() makes ids where none are given (R-084, C-32), for this thread alone."""

    def work() -> None:
        log = pipeline.get_logger("t")
        ids = log.set_trace_context()
        log.info("one")
        log.set_trace_context(trace_id="f" * 32)
        log.info("two")
        assert (len(ids["trace_id"]), len(ids["span_id"])) == (32, 16)
        assert events[0]["trace_id"] == ids["trace_id"]

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    pipeline.get_logger("t").info("three")
    assert events[1]["trace_id"] == "f" * 32
    assert "trace_id" not in events[2]
