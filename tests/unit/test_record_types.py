"""The types of records: their classes, their JSON Schema, and the look that emit() takes at their fields."""

import dataclasses
import enum
import functools
import json
import types
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import orjson
import pytest
from hypothesis import given, strategies as st

import pipeline
from pipeline import ToolCall
from pipeline.emitter import Emitter
from pipeline.queue import layout
from pipeline.records import catalogue, checks
from pipeline.records.checks import checks_of
from pipeline.records.encoding import encode_fields, encode_plain
from pipeline.records.examples import EXAMPLES
from pipeline.records.forms import unfolded
from pipeline.records.kinds import KINDS

ENVELOPE = {
    "timestamp": "2025-11-21T14:32:15.123456Z",
    "action_type": "",
    "action_number": 1,
    "producer": "8k3v00000000",
}
PRODUCED = [*catalogue.ACTIONS, *catalogue.OBSERVATIONS]


def passes(action_type: str, fields: dict[str, Any]) -> bool:
    """Say whether emit() finds nothing wrong, asked the way it asks."""
    tests = checks_of(action_type)
    return tests[tuple(fields)](fields) or not tests.faults(fields)


@functools.cache
def validator(action_type: str) -> jsonschema.Draft202012Validator:
    """Return what another library makes of the published schema."""
    return jsonschema.Draft202012Validator(catalogue.schema(action_type))


def is_valid(action_type: str, fields: dict[str, Any]) -> bool:
    """Say whether the line that is recorded is valid under the published schema."""
    line = {**ENVELOPE, "action_type": action_type, **orjson.loads(encode_fields(fields))}
    return validator(action_type).is_valid(line)


# The classes


def test_there_are_the_19_action_types() -> None:
    """The names are those of the documents' closed list; 17 are on and 2 are off."""
    assert list(catalogue.ACTIONS) == [
        *("user_input", "user_command", "agent_state_change", "agent_thinking"),
        *("llm_request", "llm_response", "llm_error"),
        *("tool_call", "tool_result", "tool_error", "tool_permission"),
        *("session_start", "session_end", "session_pause", "session_resume"),
        *("hook_execute", "hook_error", "system_error", "system_warning"),
    ]


@pytest.mark.parametrize("action_type", PRODUCED)
def test_each_type_is_a_public_class_that_holds_its_example(action_type: str) -> None:
    """`from pipeline import ToolCall`: the class takes the example's fields, and a record has them again."""
    kind = getattr(pipeline, catalogue.TYPES[action_type].__name__)
    known = {name: value for name, value in EXAMPLES[action_type].items() if name in kind.__struct_fields__}
    assert unfolded(kind(**known), {}) == (action_type, known)
    assert set(EXAMPLES[action_type]) - set(known) <= {"endpoint", "latency_ms"}


def test_a_line_can_be_read_back_as_its_type() -> None:
    """With msgspec, the lines of a day file become typed records."""
    line = orjson.dumps({**ENVELOPE, "action_type": "tool_call", **EXAMPLES["tool_call"]})
    assert msgspec.json.decode(line, type=ToolCall) == ToolCall(**EXAMPLES["tool_call"])


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """The lazy names of the package do not make other names exist."""
    with pytest.raises(AttributeError, match="NoSuchRecord"):
        _ = pipeline.NoSuchRecord


# The forms that emit() takes


class CardPaid(pipeline.Record):
    """A type of the user's own."""

    amount: float
    currency: str | None = None


@dataclasses.dataclass
class CartOpened:
    """A dataclass of the user's."""

    items: int
    note: str | None = None


class Color(enum.Enum):
    """What some pass as a type."""

    RED = "red"


@pytest.mark.parametrize(
    ("record", "action_type", "fields"),
    [
        (CardPaid(amount=3.0), "card_paid", {"amount": 3.0}),
        (CartOpened(2), "cart_opened", {"items": 2}),
        ({"action_type": "x", "a": None}, "x", {"a": None}),
        (types.MappingProxyType({"a": 1}), "message", {"a": 1}),
        ({"action_type": 7}, "7", {}),
        (Color.RED, "Color.RED", {}),
        (None, "None", {}),
        (ToolCall, str(ToolCall), {}),
    ],
)
def test_a_record_in_another_form_has_a_type_and_fields(
    record: object, action_type: str, fields: dict[str, Any]
) -> None:
    """Typed records and dataclasses are of their class's type, mappings of the one they name."""
    assert unfolded(record, {}) == (action_type, fields)
    assert unfolded(record, {"more": 1}) == (action_type, {**fields, "more": 1})


def test_a_mapping_is_not_changed() -> None:
    """The caller's dict keeps its action_type."""
    mine = {"action_type": "x", "a": 1}
    unfolded(mine, {"b": 2})
    assert mine == {"action_type": "x", "a": 1}


# The look at the fields


@pytest.mark.parametrize("action_type", PRODUCED)
def test_the_examples_pass_and_are_valid(action_type: str) -> None:
    """The examples are right by the schema and by emit()."""
    assert checks_of(action_type)[tuple(EXAMPLES[action_type])](EXAMPLES[action_type])
    assert is_valid(action_type, EXAMPLES[action_type])


@pytest.mark.parametrize("action_type", PRODUCED)
def test_the_first_needed_field_is_needed_and_every_kind_is_looked_at(action_type: str) -> None:
    """One field at a time is made wrong: each is found, and named with what it is and should be."""
    tests = checks_of(action_type)
    for name, shape in KINDS[action_type].items():
        kinds = [one if isinstance(one, str) else one[0] for one in shape]
        wrong = 1.5 if "object" in kinds or "array" in kinds else ["x"]
        fields = {**EXAMPLES[action_type], name: wrong}
        assert not tests[tuple(fields)](fields), name
        given_kind = "number" if wrong == 1.5 else "array"
        (fault,) = tests.faults(fields)
        assert fault == (name, f"{given_kind} instead of {' or '.join(k for k in kinds if k != 'null')}")


def test_a_missing_field_is_found() -> None:
    """A tool_call without the name of the tool says too little."""
    assert checks_of("tool_call").faults({"args": {}}) == [("tool_name", "missing")]
    assert not checks_of("tool_call")[("args",)]({"args": {}})


def test_an_integer_is_a_number_also_beside_what_is_wrong() -> None:
    """Only what is wrong is named, however the other fields are found to be right."""
    fields = {"success": "yes", "duration_ms": 5, "output": object()}
    assert checks_of("tool_result").faults(fields) == [("success", "string instead of boolean")]


def test_a_reserved_name_takes_the_long_way() -> None:
    """A field called as one that the pipeline adds has to be renamed by the encoder; it is no fault."""
    fields = {"tool_name": "bash", "timestamp": 1}
    assert not checks_of("tool_call")[tuple(fields)](fields)
    assert passes("tool_call", fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool_name", enum.Enum("Tool", {"BASH": "bash"}).BASH),
        ("tool_name", type("Name", (str,), {})("bash")),
        ("duration_ms", Decimal("1.5")),
        ("args", types.SimpleNamespace(a=1)),
        ("args", types.MappingProxyType({"a": 1})),
        ("args", dataclasses.make_dataclass("Args", ["a"])(1)),
        ("args", None),
        ("args", {"at": object()}),
        ("level", 5),
        ("tool_use_id", b"toolu_1"),
        ("sample_rate", float("nan")),
        ("sample_rate", 1),
        ("user_id", 7),
        ("user_id", True),
        ("user_id", 7.0),
        ("user_id", 7.5),
        ("baggage", {"a", "b"}),
    ],
)
def test_what_counts_is_what_is_recorded(name: str, value: object) -> None:
    """An enum, a Decimal or an object of the user's is right or wrong as the line that comes of it is."""
    fields = {"tool_name": "bash", name: value}
    assert passes("tool_call", fields) == is_valid("tool_call", fields)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner))


@given(st.sampled_from(PRODUCED), st.data())
def test_emit_and_the_published_schema_agree_on_any_fields(action_type: str, data: st.DataObject) -> None:
    """Whatever is given for fields, known or not: emit() finds a fault where jsonschema does, only there."""
    names = st.sampled_from([*KINDS[action_type], "other", "seconds"])
    fields = {**EXAMPLES[action_type], **data.draw(st.dictionaries(names, values, max_size=4))}
    for gone in data.draw(st.sets(st.sampled_from(list(fields)), max_size=2)):
        del fields[gone]
    assert passes(action_type, fields) == is_valid(action_type, fields)


@given(st.dictionaries(st.sampled_from(["tool_name", "args", "n", "timestamp", "d"]), values))
def test_what_passes_at_once_is_encoded_the_same_on_the_short_way(fields: dict[str, Any]) -> None:
    """The test lets past the encoder's look only what that look would have let through."""
    if checks_of("tool_call")[tuple(fields)](fields):
        assert encode_plain(fields) == encode_fields(fields)
        assert "timestamp" not in fields


@pytest.mark.parametrize("odd", ["\ud800", 2**70, {"a": "\udfff"}])
def test_what_orjson_refuses_is_encoded_the_slow_way(odd: object) -> None:
    """Half a surrogate pair and an integer of 70 bits are plain to look at, and not plain to write."""
    fields = {"tool_name": "bash", "odd": odd}
    assert encode_plain(fields) == encode_fields(fields)


def test_made_up_names_do_not_fill_the_memory() -> None:
    """A program whose field names never repeat is still looked at, and keeps a bounded number of tests."""
    tests = checks_of("tool_call")
    for number in range(2 * checks._TESTS_MAX):
        fields = {"tool_name": "bash", f"field_{number}": number}
        assert tests[tuple(fields)](fields) or not tests.faults(fields)
    assert len(tests) == checks._TESTS_MAX
    assert tests.faults({"tool_name": 3, "a": 1}) == [("tool_name", "integer instead of string")]


# The published schema


def test_the_schema_of_all_takes_every_example_and_unknown_types() -> None:
    """One schema stands for every line; what it does not know is welcome, what is wrong is not."""
    schema = catalogue.schema_of_all()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for action_type, fields in EXAMPLES.items():
        assert validator.is_valid({**ENVELOPE, "action_type": action_type, **fields}), action_type
    assert validator.is_valid({**ENVELOPE, "action_type": "card_paid", "amount": "any"})
    assert not validator.is_valid({**ENVELOPE, "action_type": "tool_call", "tool_name": 3})
    assert not validator.is_valid({"action_type": "card_paid"})


def test_every_field_says_what_it_means() -> None:
    """Each field of each type has a description that is a sentence."""
    for name, schema in catalogue.schemas().items():
        for field, about in schema["properties"].items():
            assert about.get("description", "").endswith("."), f"{name}.{field}"
    assert json.dumps(catalogue.schema_of_all())


def test_an_encoder_of_another_kind_sees_every_record(producer: Callable[..., Emitter]) -> None:
    """What masks is never passed by: a record that is known to be plain goes through it like any other."""
    seen: list[dict[str, Any]] = []

    def encode(fields: dict[str, Any]) -> bytes:
        seen.append(fields)
        return encode_fields(fields)

    emitter = producer(how={"encode": encode})
    seen.clear()
    assert emitter.emit("tool_call", tool_name="bash", args={"password": "x"}) == 1
    assert emitter.emit("of_my_own", password="x") == 2
    assert [fields for fields in seen if "" not in fields] == [
        {"tool_name": "bash", "args": {"password": "x"}},
        {"password": "x"},
    ]


def test_values_that_cannot_be_looked_at_are_recorded_all_the_same(producer: Callable[..., Emitter]) -> None:
    """A cycle, a value that raises whatever is asked, a name that is no text: emit() accepts them."""
    emitter = producer()
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle

    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

        def __str__(self) -> str:
            raise ZeroDivisionError

    assert emitter.emit("tool_call", tool_name="bash", args=cycle) == 1
    assert emitter.emit("tool_call", tool_name="bash", args=Hostile()) == 2
    assert emitter.emit({"action_type": "tool_call", "tool_name": "bash", 7: Hostile(), None: cycle}) == 3
    assert emitter.emit(ToolCall(tool_name=Hostile())) == 4
    assert emitter.failures == 0
    assert emitter.counted("wrong_fields") == {"tool_call.args: string instead of object": 1}


def test_many_kinds_of_wrong_fields_fit_the_file_that_tells_them(producer: Callable[..., Emitter]) -> None:
    """The first ones are named, the others counted together; the lane's file stays whole JSON of its size."""
    emitter = producer()
    for action_type in PRODUCED:
        for name in KINDS[action_type]:
            emitter.emit({"action_type": action_type, **EXAMPLES[action_type], name: 1.5})
    (lane,) = [appender.lane for appender in emitter.appenders()]
    lane.tell_counts()
    alive = (lane.memory_dir / "alive").read_bytes()
    assert len(alive) == layout.ALIVE_BYTES
    told = layout.unpack_alive(alive).process
    assert told["wrong_fields"] == emitter.counted("wrong_fields")
    assert 20 < len(told["wrong_fields"]) < 40
    assert told["wrong_fields"]["others"] > 100
    assert told["producer"] == lane.producer
