"""
Whether the fields of a record are of the kinds that its type says.

Every record of a known type is looked at in full; what is cheap is how. A look at each of the eight fields
of a common record costs 0.45 µs in Python, and so does msgspec's `convert`. A program has few call sites,
though, and each gives the same names in the same order: for those names a test is made once that asks for the
types of these fields and nothing else, `type(f["tool_name"]) is str and …`. To find it and run it takes
0.25 µs.

The test knows the plain types only. Where it says no, `faults` decides by what is recorded of a value: an
enum's value, a path's text, a subclass of str are what they are written as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers
from pipeline.records.kinds import KINDS, REQUIRED
from pipeline.records.value_forms import form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TESTS_MAX: Final = 256
"""Tests kept for a type. A program that makes up field names needs a new one each time; it gets no faster."""

_PLAIN: Final = {
    "array": "type(f[{0!r}]) is list or type(f[{0!r}]) is tuple",
    "boolean": "type(f[{0!r}]) is bool",
    "integer": "type(f[{0!r}]) is int",
    "number": "type(f[{0!r}]) is float or type(f[{0!r}]) is int",
    "object": "type(f[{0!r}]) is dict",
    "string": "type(f[{0!r}]) is str",
}
_KNOWN: Final[dict[str, Any]] = {
    "__builtins__": {},
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


class Checks(dict[tuple[str, ...], "Callable[[dict[str, Any]], bool]"]):
    """
    The tests of one type, by the names of a record's fields; made when it is asked for one.

    `kinds` gives for each field the words of JSON Schema for what it may be, such as `("string", "null")`.
    """

    def __init__(self, kinds: Mapping[str, tuple[str, ...]], required: frozenset[str]) -> None:
        super().__init__()
        self._kinds = kinds
        self._required = required

    def __missing__(self, names: tuple[str, ...]) -> Callable[[dict[str, Any]], bool]:
        test = self._test_for(names)
        if len(self) < _TESTS_MAX and all(type(name) is str for name in names):
            self[names] = test
        return test

    def _test_for(self, names: tuple[str, ...]) -> Callable[[dict[str, Any]], bool]:
        if not self._required.issubset(names):
            return _no
        if len(self) >= _TESTS_MAX:
            return lambda fields: not self.faults(fields)
        parts = [_source(name, self._kinds[name]) for name in names if name in self._kinds]
        # The names are those of our own table and not the caller's; nothing of a record is run.
        made: Callable[[dict[str, Any]], bool] = eval(  # noqa: S307
            "lambda f: " + (" and ".join(parts) or "True"), dict(_KNOWN)
        )
        return made

    def faults(self, fields: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the fields that are not as they should be, each with what is wrong with it."""
        found = [(name, "missing") for name in sorted(self._required.difference(fields))]
        for name, kinds in self._kinds.items():
            if name in fields:
                given = _word_of(fields[name])
                if given not in kinds and not (given == "integer" and "number" in kinds):
                    found.append((name, f"{given} instead of {' or '.join(_said(kinds))}"))
        return found


def _no(_fields: Mapping[str, Any]) -> bool:
    return False


def _source(name: str, kinds: tuple[str, ...]) -> str:
    tests = [_PLAIN[kind].format(name) for kind in kinds if kind != "null"]
    return f"({' or '.join([*tests, *([f'f[{name!r}] is None'] if 'null' in kinds else [])])})"


def _said(kinds: tuple[str, ...]) -> list[str]:
    return [kind for kind in kinds if kind != "null"]


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
