"""
Whatever is passed in the fields, the body is one line of valid JSON that says what it stands for.

docs/values.md, which test_values_table.py proves, has the ordinary values; here are the hostile ones,
what must not change, and the cut of what is too long.
"""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from collections import UserDict
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from unittest.mock import MagicMock, Mock
from uuid import UUID

import orjson
import pytest

from pipeline.records.encoding import RESERVED, UNENCODABLE, cut_fields, encode_fields
from pipeline.records.value_bounds import DEPTH_MAX, FRAMES_MAX, TEXT_CHARS_MAX, VALUES_MAX

NAIVE = datetime(2025, 11, 21, 1, 2, 3)  # noqa: DTZ001 - callers do pass such


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


# Plain values


def test_no_fields_are_an_empty_object() -> None:
    """The body of a record without fields is the two bytes that emit() looks for."""
    assert encode_fields({}) == b"{}"


def test_plain_fields_are_written_as_orjson_writes_them() -> None:
    """The fast way adds nothing and loses nothing."""
    fields = {"a": 1, "b": [1.5, (None, True)], "c": {"d": "ü\n"}, "e": NAIVE}
    assert encode_fields(fields) == orjson.dumps(fields)


def test_the_order_of_the_fields_is_kept_on_both_ways() -> None:
    """People find a field where the caller has put it."""
    names = ["zeta", "alpha", "mid"]
    assert list(parsed(encode_fields(dict.fromkeys(names, 1)))) == names
    assert list(parsed(encode_fields(dict.fromkeys(names, Color.RED)))) == names


def test_the_caller_s_objects_are_not_changed() -> None:
    """Neither the fields nor what is in them is touched, whichever way they are encoded."""
    inner = {1: {2}, "nan": float("inf")}
    fields = {"timestamp": inner, "list": [inner], "error": ValueError("x")}
    copies = dict(inner), dict(fields)
    encode_fields(fields)
    assert (inner, fields) == copies
    assert list(fields) == ["timestamp", "list", "error"]


@pytest.mark.parametrize("other", [1, Color.RED], ids=["fast", "slow"])
def test_a_reserved_name_is_recorded_with_a_prefix(other: object) -> None:
    """A caller's `timestamp` neither replaces ours nor is lost."""
    assert {"timestamp", "action_type", "action_number", "producer"} == RESERVED
    fields = {**dict.fromkeys(sorted(RESERVED), 1), "other": other}
    assert list(parsed(encode_fields(fields))) == [*(f"field_{name}" for name in sorted(RESERVED)), "other"]


def test_a_reserved_name_never_replaces_another_field() -> None:
    """If the prefixed name is taken as well, it gets one more prefix."""
    fields = {"producer": 1, "field_producer": 2, "field_field_producer": 3}
    assert parsed(encode_fields(fields)) == {
        "field_field_field_producer": 1,
        "field_producer": 2,
        "field_field_producer": 3,
    }


# Numbers


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [lambda n: n, lambda n: [n], lambda n: ({"a": [n]},), lambda n: {n: n}])
def test_a_non_finite_number_is_recorded_as_text_and_not_as_null(number: float, place: Any) -> None:
    """By itself orjson turns NaN into null, which would be a None that nobody passed."""
    text = json.dumps(recorded(place(number)))
    assert "null" not in text
    assert {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}[str(number)] in text


def test_none_beside_nan_stays_null() -> None:
    """Only what is not finite changes; the record is not turned over for it."""
    assert recorded([None, float("nan"), 1.5, "null"]) == [None, "NaN", 1.5, "null"]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**4000, -(10**4000)])
def test_an_integer_beyond_64_bits_keeps_all_its_digits(number: int) -> None:
    """It is text, because JSON readers would round it."""
    assert recorded(number) == str(number)


def test_an_integer_that_python_refuses_to_print_is_hexadecimal() -> None:
    """Python has a limit on decimal digits, against slow conversions; no value is lost to it."""
    assert int(recorded(1 << 100_000), 16) == 1 << 100_000


# Text and keys


def test_lone_surrogates_are_spelled_out_in_values_and_keys() -> None:
    """They are not UTF-8, and a name of a file may hold them."""
    assert recorded({"\ud800": "a\udcffb"}) == {"\\ud800": "a\\udcffb"}


def test_keys_that_become_equal_do_not_overwrite_each_other() -> None:
    """Every entry of the dict is in the record."""
    value = {1: "a", "1": "b", b"1": "c", "1 (2)": "d"}
    entries = recorded(value)
    assert sorted(entries.values()) == ["a", "b", "c", "d"]
    assert (entries["1"], entries["1 (2)"]) == ("a", "b")


def test_a_hundred_thousand_equal_keys_are_numbered_in_reasonable_time() -> None:
    """Numbering looks at the place of a key, not through all the numbers given before."""

    class Same:
        def __str__(self) -> str:
            return "same"

    assert len(recorded({Same(): number for number in range(100_000)})) == 100_000


def test_a_field_name_of_a_str_subclass_is_recorded() -> None:
    """By itself orjson refuses such a key; the reserved ones are found among them too."""

    class Name(str):
        __slots__ = ()

    assert parsed(encode_fields({Name("a"): 1, Name("timestamp"): 2})) == {"a": 1, "field_timestamp": 2}


# Shapes


def test_ten_thousand_levels_are_cut_and_not_an_error() -> None:
    """Neither the stack nor orjson's own limit decides; the record says where it was cut."""
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]
    text = json.dumps(recorded(value))
    assert text.count("[") == DEPTH_MAX - 1
    assert f"nested deeper than {DEPTH_MAX} levels" in text


def test_a_value_inside_itself_is_marked_where_it_returns() -> None:
    """Everything before the return is recorded, and what is used twice without a cycle is there twice."""
    shared = {"n": 1}
    cycle: dict[str, Any] = {"shared": [shared, shared], "odd": {1}}
    cycle["self"] = {"again": cycle}
    assert recorded(cycle) == {"shared": [shared, shared], "odd": [1], "self": {"again": "<cycle>"}}


def test_the_fields_themselves_in_a_value_are_a_cycle() -> None:
    """`emit(x, **d)` copies, but a context can hold the dict it came from."""
    fields: dict[str, Any] = {"a": 1}
    fields["me"] = fields
    assert parsed(encode_fields(fields)) == {"a": 1, "me": "<cycle>"}


def test_objects_that_all_refer_to_each_other_come_to_an_end() -> None:
    """The number of ways through thirty such objects is astronomical; the number of values is bounded."""
    nodes: list[dict[str, Any]] = [{} for _ in range(30)]
    for node in nodes:
        node.update({f"to{place}": other for place, other in enumerate(nodes)})
    body = encode_fields({"graph": nodes})
    parsed(body)
    assert f"more than {VALUES_MAX} values".encode() in body


def test_a_mapping_whose_iteration_never_ends_is_bounded() -> None:
    """Its first entries are recorded, and the marker."""

    class Endless(UserDict[int, int]):
        def __iter__(self) -> Any:
            return iter(lambda: 1, 0)

        def __getitem__(self, key: int) -> int:
            return key

    assert recorded(Endless()) == {"1": 1}


def test_a_generator_is_not_consumed() -> None:
    """Recording a value must not take it away from the application."""
    numbers = iter([1, 2, 3])
    generator = (number for number in [1, 2])
    encode_fields({"numbers": numbers, "generator": generator, "map": map(str, numbers)})
    assert (list(numbers), list(generator)) == ([1, 2, 3], [1, 2])


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


# The cut


def cut(fields: dict[str, Any], size_max: int) -> dict[str, Any]:
    """Cut fields, and return what is read back once the promises of every cut are checked."""
    body = encode_fields(fields)
    assert len(body) > size_max
    shorter = cut_fields(fields, body, size_max)
    assert len(shorter) <= size_max
    result = parsed(shorter)
    assert list(result)[-1].startswith("truncated_")
    notes = {name: result.pop(name) for name in ("truncated_bytes", "truncated_fields") if name in result}
    assert notes["truncated_bytes"] == len(body) - len(json_text(result))
    return {**result, **notes}


def json_text(value: object) -> bytes:
    """Return the JSON that the size of a body is counted in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_body_that_fits_is_not_cut() -> None:
    """Asked without need, the rule changes nothing."""
    body = encode_fields({"a": "x" * 600})
    assert cut_fields({"a": "x" * 600}, body, len(body)) is body


def test_the_longest_text_is_cut_and_short_ones_are_whole() -> None:
    """As little as possible is lost: other fields keep every character."""
    result = cut({"long": "x" * 5_000, "short": "y" * 100, "number": 7}, 1_000)
    kept, _, mark = result["long"].partition("…")
    assert mark == f"[TRUNCATED {5_000 - len(kept)} chars]"
    assert set(kept) == {"x"}
    assert len(kept) > 700
    assert (result["short"], result["number"]) == ("y" * 100, 7)


def test_long_texts_are_cut_to_one_common_size() -> None:
    """No text is emptied for another that is as long."""
    result = cut({"a": "x" * 2_000, "b": {"c": ["y" * 90_000]}, "d": "z" * 300}, 2_000)
    assert abs(len(result["a"]) - len(result["b"]["c"][0])) <= 2
    assert result["d"] == "z" * 300


@pytest.mark.parametrize("character", ["x", "é", "😀", '"', "\x00", "\n"])
def test_the_size_is_counted_in_bytes_of_json(character: str) -> None:
    """UTF-8 and escapes count as what they take in the file, and no character is cut in two."""
    result = cut({"text": character * 5_000, "code": 1}, 600)
    kept, _, mark = result["text"].partition("…[TRUNCATED ")
    assert kept == character * (5_000 - int(mark.removesuffix(" chars]")))
    assert len(json_text(kept)) > 400


def test_a_text_that_was_cut_before_has_one_mark_with_the_sum() -> None:
    """The number is what is missing from the text that the caller passed."""
    result = cut({"output": "x" * 3_000 + "…[TRUNCATED 500 chars]"}, 600)
    kept, _, mark = result["output"].partition("…")
    assert mark == f"[TRUNCATED {3_500 - len(kept)} chars]"


def test_a_large_list_gives_way_to_its_size_and_texts_stay_whole() -> None:
    """Texts are not shortened in vain for a list that does not fit anyway."""
    result = cut({"rows": list(range(100_000)), "message": "m" * 5_000}, 10_000)
    assert result["rows"] == "…[TRUNCATED list of 100000, 588891 bytes]"
    assert result["message"] == "m" * 5_000


def test_only_the_part_that_is_too_large_is_replaced() -> None:
    """What stands beside it in the same object is kept."""
    result = cut({"answer": [{"rows": list(range(100_000)), "status": "ok"}]}, 1_000)
    assert result["answer"] == [{"rows": "…[TRUNCATED list of 100000, 588891 bytes]", "status": "ok"}]


def test_an_object_with_too_many_entries_is_described() -> None:
    """Its entries are all alike, so the object is replaced as a whole."""
    result = cut({"counts": {f"key{number}": number for number in range(5_000)}, "a": 1}, 2_000)
    assert result["counts"].startswith("…[TRUNCATED object of 5000, ")
    assert result["a"] == 1


def test_every_field_keeps_its_name_while_the_names_fit() -> None:
    """Thirty long values in 512 bytes: each is still there to be asked for."""
    fields = {f"f{number}": "x" * 1_000 for number in range(30)}
    result = cut(fields, 512)
    assert [name for name in result if name != "truncated_bytes"] == list(fields)
    assert result["f29"] == "…"
    assert result["f0"].startswith("x")


def test_fields_whose_names_do_not_fit_are_counted() -> None:
    """What is left out is said, and the others stay."""
    result = cut({"n" * 5_000: 1, "a": 2, **{f"field_number_{n}": n for n in range(100)}}, 512)
    assert result["a"] == 2
    assert result["truncated_fields"] == 101 + 3 - len(result)


def test_a_field_named_like_the_note_is_kept_under_another_name() -> None:
    """The note is ours, the field the caller's; neither replaces the other."""
    result = cut({"truncated_bytes": "mine", "text": "x" * 2_000}, 512)
    assert result["field_truncated_bytes"] == "mine"
    assert isinstance(result["truncated_bytes"], int)


@pytest.mark.parametrize("body", [b"", b"x" * 1_000, b'{"a":' + b"[" * 5_000])
def test_a_body_that_cannot_be_read_is_replaced_by_the_note(body: bytes) -> None:
    """The rule never raises, whatever it is given."""
    shorter = cut_fields({}, body, 512)
    assert shorter == body if len(body) <= 512 else parsed(shorter)["truncated_bytes"] > 0


def test_a_text_of_many_megabytes_is_cut_to_the_byte() -> None:
    """Measured in parts it has the size that it has as a whole, wherever escapes and characters fall."""
    text = 'aé😀"\x00' * 3_000_000
    result = cut({"output": text}, 1_000_000)
    kept, _, mark = result["output"].partition("…")
    assert text.startswith(kept)
    assert mark == f"[TRUNCATED {len(text) - len(kept)} chars]"
    assert 999_900 < len(json_text(result)) <= 1_000_000


def test_plain_values_of_the_slow_way_equal_those_of_the_fast_way() -> None:
    """One odd value does not change how its neighbours are recorded."""
    plain = {"a": [1, 2.5, None, True, "é\n", {"b": ()}], "at": NAIVE, "n": -(2**63)}
    slow = parsed(encode_fields({**plain, "odd": UUID(int=1)}))
    assert slow.pop("odd") == str(UUID(int=1))
    assert slow == parsed(encode_fields(plain))
