"""
Tests of fields, as Python: made once for the names of a record, and run on each record that has just these.

Names are put into the source as their repr; nothing of what a record holds is run. What is inside of lists
and objects has tests of its own, where the type declares it and nowhere else.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.records.encoding import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.records.declared import Shape

    Test = Callable[[dict[str, Any]], bool]

RIGHT: Final = {
    "any": "True",
    "array": "(k is list or k is tuple)",
    "boolean": "k is bool",
    "date": "(k is str or k is datetime or k is date)",
    "integer": "k is int",
    "null": "k is NoneType",
    "number": "(k is float and v - v == 0.0 or k is int)",
    "object": "k is dict",
    "string": "k is str",
}
"""
What a value `v` of the type `k` has to be, as Python.

NaN and the infinities are recorded as text, and are no numbers.
"""
RIGHT_AND_PLAIN: Final = RIGHT | {
    "any": "(k is int or k is float and v - v == 0.0 or k is bool or is_plain((v,)))",
    "array": "(k is list or k is tuple) and is_plain(v)",
    "date": "(k is str or (k is datetime or k is date) and is_plain((v,)))",
    "object": "k is dict and is_plain(v.values())",
}
"""The same, and that orjson writes it exactly: see `encoding.is_plain`."""
UNKNOWN: Final = ("string", "any")
"""A field that the type does not know. Most are texts or numbers, and this order finds them at once."""
EXACT: Final = {bool: "boolean", int: "integer", type(None): "null", str: "string"}
"""Types whose values are of one kind, and plain."""
_OF_WORD: Final = {word: kind for kind, word in EXACT.items()}
_KIND: Final = re.compile(r"\bk\b")
_VALUE: Final = re.compile(r"\bv\b")
_KNOWN: Final[dict[str, Any]] = {
    "__builtins__": {},
    "is_plain": is_plain,
    **{kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple, type, date, datetime)},
    "NoneType": type(None),
    "all": all,
    "map": map,
}
"""All that a test can name, beside the tests of what is inside."""


class FieldTests:
    """Writes tests with one of the two tables above."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._known = dict(_KNOWN)
        self._kept: dict[int, str] = {}

    def of_record(self, names: Iterable[str], shapes: Mapping[str, Shape]) -> Test:
        """Return the test of records that have these names and no others, in this order."""
        asked = [shapes.get(name, UNKNOWN) for name in names]
        values = "".join(f"v{place}, " for place in range(len(asked)))
        parts = [self._of_place(shape, f"v{place}") for place, shape in enumerate(asked)]
        # All values at once: to look for each by its name takes as long again as all that is asked of it.
        taken_apart = f"{values}= f.values()" if asked else "pass"
        made: dict[str, Test] = {}
        exec(  # noqa: S102 - there is no name in it, and nothing of what a record holds
            f"def test(f):\n    {taken_apart}\n    return {' and '.join(parts) or 'True'}\n",
            self._known,
            made,
        )
        return made["test"]

    def _of_place(self, shape: Shape, name: str) -> str:
        """Return the test of a value that has a name; where its inside is declared, as `_of_value` does."""
        if not all(isinstance(one, str) for one in shape):
            return self._of_value(shape, f"v := {name}")
        words = " or ".join(self._words[one] for one in shape)
        return "(" + _KIND.sub(f"type({name})", _VALUE.sub(name, words)) + ")"

    def _made(self, parameter: str, parts: list[str]) -> Any:
        return eval(f"lambda {parameter}: {' and '.join(parts) or 'True'}", self._known)  # noqa: S307

    def _field(self, name: str, shape: Shape) -> str:
        return self._of_value(shape, f"v := f[{name!r}]")

    def _of_value(self, shape: Shape, value: str) -> str:
        first, *others = map(self._alternative, shape)
        return "(" + " or ".join([first.replace("k", f"(k := type({value}))", 1), *others]) + ")"

    def _alternative(self, one: Any) -> str:
        if isinstance(one, str):
            return self._words[one]
        if id(one) not in self._kept:  # it lives as long as the shapes do
            self._kept[id(one)] = self._inside(one)
        return self._kept[id(one)]

    def _inside(self, one: Any) -> str:
        kind, inside, *needed = one
        if kind == "fields":
            return f"k is dict and {self._keep(self._of_class(inside, *needed))}(v)"
        if kind == "array":
            return f"(k is list or k is tuple) and {self._of_each(inside)}, v))"
        return f"k is dict and {self._of_each(inside)}, v.values()))"

    def _of_each(self, shape: Shape) -> str:
        """Return the beginning of the test of all items, at the speed of C if each kind is a type."""
        if all(isinstance(one, str) and one in _OF_WORD for one in shape):
            return f"{self._keep(frozenset(_OF_WORD[one] for one in shape).issuperset)}(map(type"
        return f"all(map({self._keep(self._made('v', [self._of_value(shape, 'v')]))}"

    def _of_class(self, shapes: Mapping[str, Shape], needed: frozenset[str]) -> Test:
        parts = [
            f"{name!r} in f and {self._field(name, shape)}"
            if name in needed
            else f"({name!r} not in f or {self._field(name, shape)})"
            for name, shape in shapes.items()
        ]
        if self._words is RIGHT_AND_PLAIN:
            parts.append(f"({self._keep(frozenset(shapes).issuperset)}(f) or is_plain(f.values()))")
        return self._made("f", parts)  # type: ignore[no-any-return]

    def _keep(self, value: object) -> str:
        """Return the name under which the tests find it."""
        name = f"t{len(self._known)}"
        self._known[name] = value
        return name
