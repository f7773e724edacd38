"""
Objects that lie, fail or act while they are recorded, and exceptions, which report that something failed.

None of them may break the line, end the process, or take the other fields with it.
"""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from unittest.mock import MagicMock, Mock

import orjson
import pytest

from pipeline.records.encoding import UNENCODABLE, encode_fields
from pipeline.records.value_bounds import FRAMES_MAX, TEXT_CHARS_MAX


def refuse(name: str) -> None:
    """Stand in for the constants that Python reads although they are no JSON."""
    raise AssertionError(f"{name} is no JSON")


def parsed(body: bytes) -> dict[str, Any]:
    """Read a body strictly: one line of UTF-8 that is an object, no constant that JSON does not have."""
    assert b"\n" not in body
    assert b"\r" not in body
    fields = json.loads(body.decode("utf-8"), parse_constant=refuse)
    assert isinstance(fields, dict)
    return fields


def recorded(value: object) -> Any:
    """Return what a value is read back as."""
    return parsed(encode_fields({"value": value}))["value"]


class Color(enum.Enum):
    """An enum member is not plain: orjson would run Python code for it."""

    RED = "red"


# Objects that lie, fail or act


@pytest.mark.parametrize("error", [ValueError, RecursionError, MemoryError, UnicodeError, AssertionError])
def test_an_object_that_cannot_be_printed_leaves_the_other_fields_alone(error: type[Exception]) -> None:
    """The marker names the class and what its `str()` raised."""

    class Broken:
        def __str__(self) -> str:
            raise error

    fields = parsed(encode_fields({"a": 1, "broken": [Broken()], "z": {2}}))
    assert fields == {"a": 1, "broken": [f"<unprintable Broken: {error.__name__}>"], "z": [2]}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_inside_an_object_passes_through(error: type[BaseException]) -> None:
    """Ctrl+C during emit() ends the application as it would have without us."""

    class Interrupted:
        def __str__(self) -> str:
            raise error

    with pytest.raises(error):
        encode_fields({"a": {"b": [Interrupted()]}})


def test_an_object_that_encodes_while_it_is_encoded_is_recorded() -> None:
    """`__str__` may emit a record of its own: nothing is shared between the two."""
    inner: list[bytes] = []

    class Emitting:
        def __str__(self) -> str:
            inner.append(encode_fields({"self": {1}, "nan": float("nan")}))
            return "emitting"

    assert recorded([Emitting(), {2}]) == ["emitting", [2]]
    assert inner == [b'{"self":[1],"nan":"NaN"}']


def test_what_an_object_says_about_its_class_is_not_believed() -> None:
    """A mock that calls itself a dict is no dict, and a class that raises when asked is not asked."""

    class Liar:
        @property
        def __class__(self) -> Any:
            raise OSError("asked")

        def __str__(self) -> str:
            return "liar"

    assert recorded(Liar()) == "liar"
    assert recorded(Mock(spec=dict)).startswith("<Mock spec='dict'")
    assert recorded(MagicMock(spec=list)).startswith("<MagicMock spec='list'")


def test_a_subclass_that_overrides_everything_is_recorded_as_what_it_holds() -> None:
    """Methods of a subclass are not called: they may lie, fail or never return."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise OSError

        encode = isascii = __str__

    class Entries(dict[str, int]):
        def __iter__(self) -> Any:
            raise OSError

        items = keys = values = copy = __len__ = __iter__

    class Number(int):
        def __repr__(self) -> str:
            return "not a number"

        __int__ = __index__ = __str__ = __repr__

    assert recorded([Text("text"), Entries(a=1), Number(7)]) == ["text", {"a": 1}, 7]


def test_a_class_whose_metaclass_fails_is_marked() -> None:
    """Even the name of a class is looked up past its metaclass."""

    class Hostile(type):
        def __hash__(cls) -> int:
            raise OSError

        @property
        def __name__(cls) -> str:
            raise OSError

    class Victim(metaclass=Hostile):
        pass

    assert recorded(Victim()) == "<unprintable Victim: OSError>"


def test_what_an_object_says_is_bounded_and_text_of_the_caller_is_not() -> None:
    """A data frame's repr is of no use beyond some pages; the caller's own text is the caller's."""

    class Wordy:
        def __str__(self) -> str:
            return "w" * (TEXT_CHARS_MAX + 1234)

    assert recorded(Wordy()) == "w" * TEXT_CHARS_MAX + "…[TRUNCATED 1234 chars]"
    assert recorded([{1}, "w" * 50_000]) == [[1], "w" * 50_000]


@pytest.mark.parametrize(
    "raw",
    [
        '{"a":\n1}',
        "[1,\r\n2]",
        '"x"\n',
        "{",
        "",
        '"\ud7ff',
        "1}",
        "NaN",
        b"\xff",
        '{"big":36893488147419103232}',
    ],
)
def test_a_fragment_cannot_break_the_line(raw: str | bytes) -> None:
    """By itself orjson writes a Fragment unchecked: line breaks, half objects and all."""
    for fields in ({"value": orjson.Fragment(raw)}, {"value": [{"a": orjson.Fragment(raw)}], "b": 1}):
        parsed(encode_fields(fields))


def test_a_tzinfo_without_an_offset_does_not_become_utc() -> None:
    """By itself orjson would write +00:00; the datetime itself says that it does not know."""

    class Unknown(tzinfo):
        def utcoffset(self, _: datetime | None) -> timedelta | None:
            return None

    assert recorded(datetime(2025, 11, 21, tzinfo=Unknown())) == "2025-11-21T00:00:00"
    assert (
        recorded(datetime(2025, 11, 21, tzinfo=timezone(timedelta(hours=1)))) == "2025-11-21T00:00:00+01:00"
    )


@pytest.mark.smoke
def test_values_that_raise_when_asked_do_not_end_the_process() -> None:
    """The first three and the last are each a segmentation fault of orjson; hence a process of its own."""
    program = """
import enum, uuid
from datetime import datetime, tzinfo
from pipeline.records.encoding import encode_fields

class Color(enum.Enum):
    RED = 1
    @property
    def value(self):
        raise OSError

class Zone(tzinfo):
    def utcoffset(self, moment):
        raise OSError

class Fine(enum.Enum):
    RED = 1

def at_the_limit():
    try:
        at_the_limit()
    except RecursionError:
        encode_fields({"a": Fine.RED})
        raise

for value in (Color.RED, uuid.UUID.__new__(uuid.UUID), datetime(2025, 1, 1, tzinfo=Zone())):
    print(encode_fields({"value": value, "inside": [{"a": (value,)}]}).decode())
try:
    at_the_limit()
except RecursionError:
    print("the end")
"""
    command = [sys.executable, "-P", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    assert (result.returncode, lines[-1:]) == (0, ["the end"]), result.stderr
    assert "<unprintable Color: OSError>" in lines[0]
    assert "<unprintable UUID: AttributeError>" in lines[1]
    assert "<unprintable datetime: OSError>" in lines[2]


def test_fields_are_encoded_wherever_the_stack_ends() -> None:
    """At every distance from the recursion limit there is a body, at worst the one of last resort."""
    bodies = set()

    def sink() -> None:
        try:
            sink()
        except RecursionError:
            bodies.add(encode_fields({"a": [[{1}]], "color": Color.RED}))
            raise

    with pytest.raises(RecursionError):
        sink()
    for body in bodies:
        parsed(body)
    assert {b'{"a":[[[1]]],"color":"red"}', UNENCODABLE} <= bodies


# Exceptions


def test_an_exception_is_recorded_with_where_it_was_raised_and_its_cause() -> None:
    """The innermost frame is the last, and no source file is opened for it."""

    def fail() -> None:
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("no\nkey") from error

    with pytest.raises(ValueError, match="no") as caught:
        fail()
    form = recorded(caught.value)
    assert (form["type"], form["message"]) == ("ValueError", "no\nkey")
    assert form["traceback"][-1].endswith(" in " + fail.__qualname__)
    assert form["cause"]["type"] == "KeyError"


def test_a_suppressed_context_is_no_cause() -> None:
    """`raise … from None` means that the first exception is of no interest."""
    error = ValueError("second")
    error.__context__ = KeyError("first")
    assert recorded(error)["cause"] == {"type": "KeyError", "message": "'first'"}
    error.__suppress_context__ = True
    assert "cause" not in recorded(error)


def test_a_long_traceback_keeps_its_innermost_frames() -> None:
    """A RecursionError has a thousand frames that say the same."""

    def sink(depth: int) -> None:
        if depth == 0:
            raise OSError("deep")
        sink(depth - 1)

    with pytest.raises(OSError, match="deep") as caught:
        sink(200)
    frames = recorded(caught.value)["traceback"]
    assert len(frames) == FRAMES_MAX + 1
    assert frames[0].endswith("frames before>")


def test_the_members_of_an_exception_group_are_recorded() -> None:
    """What a TaskGroup raises says little; its members say it."""
    form = recorded(ExceptionGroup("two", [ValueError("a"), KeyError("b")]))
    assert [member["type"] for member in form["exceptions"]] == ["ValueError", "KeyError"]
