"""
For any tree of values, however nasty: one line of strict JSON; for plain ones, the same values read back.

Hypothesis prints the example that fails, and with `print_blob` how to run it again.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections import deque
from typing import Any

import orjson
from hypothesis import given, settings, strategies as st

from pipeline.records.encoding import RESERVED, cut_fields, encode_fields


class Shade(enum.Enum):
    """Members that orjson would write as null, or refuse."""

    NAN = float("nan")
    OBJECT = object()


class Raising:
    """An object without text."""

    def __str__(self) -> str:
        raise ValueError


TEXT = st.text(st.characters(codec="utf-8"))
PLAIN_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
PLAIN = st.recursive(
    PLAIN_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30
)

ANY_TEXT = st.text(st.characters())
HASHABLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | ANY_TEXT
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from([*Shade, int, len, ..., uuid.UUID, dt.timezone.max])
    | st.builds(Raising)
    | st.tuples(st.integers(), ANY_TEXT)
)
NASTY_LEAVES = (
    HASHABLE
    | st.decimals()
    | st.sets(HASHABLE, max_size=4)
    | st.builds(bytearray, st.binary())
    | st.builds(memoryview, st.binary())
    | st.builds(iter, st.lists(st.integers()))
    | st.builds(ValueError, ANY_TEXT)
    | (st.binary() | st.sampled_from([b"{\n}", b"null", b'"a', b"1]"])).map(orjson.Fragment)
)
NASTY = st.recursive(
    NASTY_LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.builds(tuple, st.lists(inner))
        | st.builds(deque, st.lists(inner))
        | st.dictionaries(HASHABLE, inner)
    ),
    max_leaves=20,
)


def refuse(name: str) -> None:
    """Stand in for the constants that Python reads although they are no JSON."""
    raise AssertionError(f"{name} is no JSON")


def parsed(body: bytes) -> Any:
    """Read one line of strict JSON with two readers that have to agree that it is one."""
    assert not {b"\n", b"\r"} & {body[place : place + 1] for place in range(len(body))}
    orjson.loads(body)
    return json.loads(body.decode("utf-8"), parse_constant=refuse)


@given(st.dictionaries(ANY_TEXT, NASTY, max_size=5))
def test_any_fields_are_one_line_of_strict_json(fields: dict[str, Any]) -> None:
    """No value breaks the line or the JSON, and no field is lost."""
    body = encode_fields(fields)
    assert isinstance(body, bytes)
    assert len(parsed(body)) == len(fields)


@given(st.dictionaries(TEXT.filter(lambda name: name not in RESERVED), PLAIN, max_size=5))
def test_plain_fields_are_read_back_equal(fields: dict[str, Any]) -> None:
    """What JSON knows comes back as it was, types and order included."""
    back = parsed(encode_fields(fields))
    assert json.dumps(back) == json.dumps(fields)


@given(st.dictionaries(TEXT.filter(lambda name: name not in RESERVED), PLAIN, max_size=5))
def test_plain_fields_are_the_same_beside_an_odd_value(fields: dict[str, Any]) -> None:
    """The slow way, which an odd value takes, records its neighbours as the fast way does."""
    odd = parsed(encode_fields({"odd": [fields, uuid.UUID(int=0)]}))["odd"]
    assert json.dumps(odd[0]) == json.dumps(fields)


@settings(max_examples=300)
@given(
    st.dictionaries(TEXT, PLAIN | st.integers(0, 9_000).map(lambda size: "é\n" * size), max_size=40),
    st.integers(512, 4_096),
)
def test_any_cut_fits_and_says_so(fields: dict[str, Any], size_max: int) -> None:
    """A cut body fits, is strict JSON, ends with its notes, and accounts for every field."""
    body = encode_fields(fields)
    shorter = cut_fields(fields, body, size_max)
    assert len(shorter) <= size_max
    result = parsed(shorter)
    if len(body) <= size_max:
        assert shorter == body
        return
    left_out = result.pop("truncated_fields", 0)
    assert result.pop("truncated_bytes") > 0
    assert len(result) + left_out == len(fields)
