"""
Whatever is passed in the fields, the body is one line of valid JSON that says what it stands for.

docs/values.md, which test_values_table.py proves, has the ordinary values; here is what must not
change or be lost. The objects that fail are in test_hostile_values.py, the cut is in test_body_cut.py.
"""

from __future__ import annotations

import enum
import json
from collections import UserDict
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from pipeline.records.encoding import RESERVED, encode_fields
from pipeline.records.value_bounds import DEPTH_MAX, VALUES_MAX

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


def test_an_array_with_too_many_elements_is_described() -> None:
    """Its shape and type are of more use than its first thousand numbers."""
    numpy = pytest.importorskip("numpy")
    assert recorded(numpy.zeros((600, 500))) == "<array of float64, shape (600, 500)>"


def test_plain_values_of_the_slow_way_equal_those_of_the_fast_way() -> None:
    """One odd value does not change how its neighbours are recorded."""
    plain = {"a": [1, 2.5, None, True, "é\n", {"b": ()}], "at": NAIVE, "n": -(2**63)}
    slow = parsed(encode_fields({**plain, "odd": UUID(int=1)}))
    assert slow.pop("odd") == str(UUID(int=1))
    assert slow == parsed(encode_fields(plain))
