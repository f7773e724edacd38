"""
Whether the fields of a record are of the kinds that its type says.

Every record of a known type is looked at in full; what is cheap is how. A look at each of the eight fields
of a common record costs 0.45 µs in Python, and so does msgspec's `convert`. A program has few call sites,
though, and each gives the same names in the same order. For those names a test is made once that asks for the
types of these fields and nothing else, `type(f["tool_name"]) is str and …`; to find it takes 0.2 µs and to
run it 0.1.

The encoder has to look at each value as well (see `encoding`). So the test answers for both: a record that
passes is as its type says, and orjson may have it. That gives back half of what the test takes.

A test knows the plain types only. Where it says no, `faults` decides by what is recorded of a value: an
enum's value, a path's text, a subclass of str are what they are written as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers
from pipeline.records.encoding import RESERVED, is_plain
from pipeline.records.kinds import KINDS, REQUIRED
from pipeline.records.value_forms import form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Test = Callable[[dict[str, Any]], bool]

_TESTS_MAX: Final = 256
"""Tests kept for a type. A program that makes up field names has the others looked at the slow way."""

_RIGHT: Final = {
    "any": "True",
    "array": "k is list or k is tuple",
    "boolean": "k is bool",
    "integer": "k is int",
    "null": "v is None",
    "number": "k is float and v - v == 0.0 or k is int",
    "object": "k is dict",
    "string": "k is str",
}
"""
What a field `v` of the type `k` has to be, as Python.

NaN and the infinities are recorded as text, and are no numbers.
"""
_RIGHT_AND_PLAIN: Final = _RIGHT | {
    "any": "k is int or k is float and v - v == 0.0 or k is bool or is_plain((v,))",
    "array": "(k is list or k is tuple) and is_plain(v)",
    "object": "k is dict and is_plain(v.values())",
}
"""The same, and that orjson writes it exactly: see `encoding.is_plain`."""
_ANY: Final = ("string", "any")
"""A field that the type does not know. Most are texts or numbers, and this order finds them at once."""
_KNOWN: Final[dict[str, Any]] = {
    "__builtins__": {},
    "is_plain": is_plain,
    **{kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple, type)},
}
"""All that a test can name."""
_WORDS: Final = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}


def checks_of(action_type: str) -> Checks | None:
    """Return the tests of a type, None for one that the library does not know."""
    kinds = KINDS.get(action_type)
    return None if kinds is None else Checks(kinds, REQUIRED[action_type])


class Checks(dict[tuple[str, ...], "Test"]):
    """
    The tests of one type, by the names of a record's fields; made when it is asked for one.

    A record that passes is as its type says, plain, and has no name that is reserved. `kinds` gives for each
    field the words of JSON Schema for what it may be, such as `("string", "null")`.
    """

    def __init__(self, kinds: Mapping[str, tuple[str, ...]], required: frozenset[str]) -> None:
        super().__init__()
        self._kinds = kinds
        self._required = required
        self._right: dict[tuple[str, ...], Test] = {}

    def __missing__(self, names: tuple[str, ...]) -> Test:
        if len(self) >= _TESTS_MAX or not all(type(name) is str for name in names):
            return _no
        is_odd = not self._required.issubset(names) or not RESERVED.isdisjoint(names)
        self._right[names] = self._test(names, _RIGHT) if not is_odd else _no
        self[names] = self._test(names, _RIGHT_AND_PLAIN) if not is_odd else _no
        return self[names]

    def _test(self, names: tuple[str, ...], sources: Mapping[str, str]) -> Test:
        parts = [_source(name, self._kinds.get(name, _ANY), sources) for name in names]
        source = "lambda f: " + (" and ".join(parts) or "True")
        # Names are put into it as their repr; nothing of what a record holds is run.
        test: Test = eval(source, dict(_KNOWN))  # noqa: S307
        return test

    def faults(self, fields: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the fields that are not as they should be, each with what is wrong with it."""
        if self._right.get(tuple(fields), _no)(fields):
            return []  # right, and only not plain
        found = [(name, "missing") for name in sorted(self._required.difference(fields))]
        for name, kinds in self._kinds.items():
            if name in fields:
                given = _word_of(fields[name])
                if given not in kinds and not (given == "integer" and "number" in kinds):
                    wanted = " or ".join(kind for kind in kinds if kind != "null")
                    found.append((name, f"{given} instead of {wanted}"))
        return found


def _no(_fields: Mapping[str, Any]) -> bool:
    return False


def _source(name: str, kinds: tuple[str, ...], sources: Mapping[str, str]) -> str:
    tests = [sources[kind] for kind in kinds]
    return "(" + " or ".join([tests[0].replace("k", f"(k := type(v := f[{name!r}]))", 1), *tests[1:]]) + ")"


def _word_of(value: object) -> str:
    """Return the word of JSON Schema for what is recorded of a value."""
    try:
        form = form_of(value)
    except Exception as error:  # noqa: BLE001 - it is recorded as a text that says so
        handlers.let_through(error)
        return "string"
    if type(form) is float and form.is_integer():
        return "integer"
    return _WORDS.get(type(form), "string")
