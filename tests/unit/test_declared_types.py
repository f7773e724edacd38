"""Types that an application declares, and what is inside of lists and objects, looked at as by `emit()`."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import jsonschema
import msgspec
import orjson
import pytest
from hypothesis import given, strategies as st

import pipeline
from pipeline.emitter import Emitter
from pipeline.errors import RecordError
from pipeline.records.checks import checks_of
from pipeline.records.encoding import encode_fields, encode_plain


class Usage(msgspec.Struct):
    """Tokens of a message."""

    tokens: int
    model: str | None = None


class Message(TypedDict):
    """One of a conversation."""

    role: str
    content: NotRequired[str]


@dataclasses.dataclass
class Place:
    """A dataclass inside of a record."""

    file: str
    line: int = 1


class Mode(enum.Enum):
    """Kinds of its values are what counts."""

    FAST = "fast"
    SLOW = 2


class Chat(pipeline.Record):
    """Everything that can be inside of something."""

    messages: list[Message]
    note: str | None
    usage: Usage | None = None
    limits: dict[str, int] | None = None
    tags: list[str] | None = None
    scores: tuple[float, ...] | None = None
    steps: list[dict[str, list[int | None]]] | None = None
    place: Place | None = None
    at: datetime | date | None = None
    price: Decimal | None = None
    mode: Mode | None = None
    way: Literal["in", "out"] | None = None
    where: Path | None = None
    either: list[str] | list[int] | str | None = None
    inner: "Chat | None" = None


class ChatOfOthers(pipeline.Record):
    """As much of it as msgspec has a schema for."""

    messages: list[Message]
    usage: Usage | None = None
    limits: dict[str, int] | None = None
    tags: list[str] | None = None
    scores: tuple[float, ...] | None = None
    steps: list[dict[str, list[int | None]]] | None = None


RIGHT = {"messages": [{"role": "user"}, {"role": "agent", "content": "hi", "more": [1.5]}]}
CASES = [
    ({"messages": [{"role": "user"}, {"role": 3}]}, ["messages[].role: integer instead of string"]),
    ({"messages": [{"content": "hi"}, {"role": 3}]}, ["messages[].role: missing"]),
    ({"messages": ["hi", {"role": 3}]}, ["messages[]: string instead of object"]),
    ({"messages": {"role": "user"}}, ["messages: object instead of array"]),
    ({}, ["messages: missing"]),
    ({"messages": [{"role": "user", "more": [float("nan")]}]}, []),
    ({"note": 3}, ["note: integer instead of string"]),
    ({"usage": {"tokens": 3, "model": 4}}, ["usage.model: integer instead of string"]),
    ({"usage": {}}, ["usage.tokens: missing"]),
    ({"usage": Usage(tokens=3)}, []),
    ({"usage": Usage(tokens="x")}, ["usage.tokens: string instead of integer"]),
    ({"limits": {"a": 1, "b": 2.5, "c": "x"}}, ["limits{}: number instead of integer"]),
    ({"limits": {"a": 1}}, []),
    ({"tags": ["a", None]}, ["tags[]: null instead of string"]),
    ({"tags": ["a", Mode.FAST]}, []),
    ({"tags": {"a", "b"}}, []),
    ({"scores": (1, 2.5)}, []),
    ({"scores": [float("nan")]}, ["scores[]: string instead of number"]),
    ({"steps": [{"a": [1, None]}, {"b": [True]}]}, ["steps[]{}[]: boolean instead of integer"]),
    ({"steps": [{"a": [1, None]}, {}]}, []),
    ({"place": Place("a.py")}, []),
    ({"place": {"file": "a.py", "line": "1"}}, ["place.line: string instead of integer"]),
    ({"at": datetime(2025, 11, 21, tzinfo=UTC)}, []),
    ({"at": date(2025, 11, 21)}, []),
    ({"at": "2025-11-21"}, []),
    ({"at": 5}, ["at: integer instead of string"]),
    ({"price": Decimal("1.10")}, []),
    ({"price": [1]}, ["price: array instead of string or number"]),
    ({"mode": Mode.SLOW}, []),
    ({"mode": [2]}, ["mode: array instead of string or integer"]),
    ({"way": "sideways"}, []),
    ({"way": 1}, ["way: integer instead of string"]),
    ({"where": Path("/tmp")}, []),
    ({"where": 7}, []),
    ({"either": [None]}, []),
    ({"either": {}}, ["either: object instead of array or string"]),
    ({"inner": Chat(messages=[], note="n")}, []),
    ({"inner": {"messages": 3}}, []),
    ({"inner": [1]}, ["inner: array instead of object"]),
    ({"level": 5}, ["level: integer instead of string"]),
    ({"unknown": [{"role": 3}]}, []),
]


def faults_of(action_type: str, fields: dict[str, Any]) -> list[str]:
    """Return what emit() finds, asked the way it asks; what passes at once is encoded the same."""
    checks = checks_of(action_type)
    if checks[tuple(fields)](fields):
        assert encode_plain(fields) == encode_fields(fields)
        return []
    return [f"{place}: {fault}" for place, fault in checks.faults(fields)]


@pytest.mark.parametrize(("fields", "faults"), CASES)
def test_what_is_inside_is_found_by_its_place(fields: dict[str, Any], faults: list[str]) -> None:
    """Items by `[]`, values by `{}`, fields of objects by their name; of many the first wrong one."""
    assert faults_of("chat", (RIGHT | fields) if fields else {}) == faults


@pytest.mark.parametrize("fields", [fields for fields, faults in CASES if not faults])
def test_what_is_right_is_found_right_also_beside_what_is_wrong(fields: dict[str, Any]) -> None:
    """The short way and the long way agree."""
    assert faults_of("chat", {**RIGHT, **fields, "note": 3}) == ["note: integer instead of string"]


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "tokens", "model", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["messages", "usage", "limits", "tags", "scores", "steps"]), values))
def test_emit_and_another_library_agree_about_what_is_inside(fields: dict[str, Any]) -> None:
    """Whatever is given: a fault is found where jsonschema finds one by the schema of the class."""
    fields = RIGHT | fields
    schema = msgspec.json.schema(ChatOfOthers)
    known = schema["$defs"]["ChatOfOthers"]
    known["required"] = ["messages"]  # nobody gives an action_type
    line = orjson.loads(encode_fields(fields))
    assert (faults_of("chat_of_others", fields) == []) == jsonschema.Draft202012Validator(schema).is_valid(
        line
    )


# Through emit()


def test_records_of_a_type_of_ones_own_are_looked_at_in_every_form(producer: Callable[..., Emitter]) -> None:
    """As the class, by name with keywords, as a mapping: counted under the same name, and recorded."""
    emitter = producer()
    wrong = {"messages": [{"role": 3}], "note": "n"}
    assert emitter.emit(Chat(**wrong)) == 1
    assert emitter.emit("chat", **wrong) == 2
    assert emitter.emit({"action_type": "chat", **wrong}) == 3
    assert emitter.emit(Chat(**RIGHT, note=None)) == 4
    assert emitter.counted("wrong_fields") == {"chat.messages[].role: integer instead of string": 3}


def test_strict_names_the_place_inside(producer: Callable[..., Emitter]) -> None:
    """For tests of those who declare types: the error says where, and nothing is recorded."""
    emitter = producer(validation="strict")
    with pytest.raises(RecordError, match=r"chat\.limits\{\}: string instead of integer"):
        emitter.emit(Chat(**RIGHT, note=None, limits={"a": "x"}))
    assert emitter.emit(Chat(**RIGHT, note=None, limits={"a": 1})) == 1


def test_a_type_that_is_declared_late_is_looked_at_from_then_on(producer: Callable[..., Emitter]) -> None:
    """Its name may have been emitted before the module with its class was imported."""
    emitter = producer()
    assert emitter.emit("declared_late", amount="x") == 1
    assert emitter.counted("wrong_fields") == {}

    class DeclaredLate(pipeline.Record):
        amount: float

    assert emitter.emit("declared_late", amount="x") == 2
    assert emitter.emit(DeclaredLate(amount=1.5)) == 3
    assert emitter.counted("wrong_fields") == {"declared_late.amount: string instead of number": 1}


def test_a_class_that_nobody_can_read_is_a_type_like_any_unknown_one(
    producer: Callable[..., Emitter],
) -> None:
    """An annotation that names nothing: records are recorded, and not looked at."""
    emitter = producer(validation="strict")

    class Unreadable(pipeline.Record):
        amount: "NoSuchName"  # noqa: F821

    assert emitter.emit(Unreadable(amount=1)) == 1
    assert emitter.counted("wrong_fields") == {}


def test_a_known_type_stays_what_it_is(producer: Callable[..., Emitter]) -> None:
    """A class of the application's with the name of a known type declares nothing for it."""

    class ToolCall(pipeline.Record):
        tool_name: int

    emitter = producer()
    assert emitter.emit(ToolCall(tool_name="bash")) == 1
    assert emitter.counted("wrong_fields") == {}
