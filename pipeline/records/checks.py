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

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers
from pipeline.records import declared
from pipeline.records.encoding import RESERVED
from pipeline.records.field_tests import EXACT, RIGHT, RIGHT_AND_PLAIN, FieldTests
from pipeline.records.kinds import KINDS, REQUIRED
from pipeline.records.value_bounds import VALUES_MAX
from pipeline.records.value_forms import form_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.records.declared import Shape
    from pipeline.records.field_tests import Test

_TESTS_MAX: Final = 256
"""Tests kept for a type. A program that makes up field names has the others looked at the slow way."""
_WORDS: Final = EXACT | {dict: "object", float: "number", list: "array"}
_ANY: Final[Shape] = ("any",)


def checks_of(action_type: str) -> Checks:
    """Return the tests of a type; of one that nobody declares, those that are the same for all of these."""
    kinds = KINDS.get(action_type)
    if kinds is not None:
        return Checks(kinds, REQUIRED[action_type])
    fields = declared.fields_of(action_type)
    return ANY_TYPE if fields is None else Checks(*fields)


class Checks(dict[tuple[str, ...], "Test"]):
    """
    The tests of one type, by the names of a record's fields; made when it is asked for one.

    A record that passes is as its type says, plain, and has no name that is reserved. `shapes` gives for each
    field what it may be, such as `("string", "null")`: see `shapes`.
    """

    def __init__(self, shapes: Mapping[str, Shape], required: frozenset[str]) -> None:
        super().__init__()
        self._shapes = shapes
        self._required = required
        self._right: dict[tuple[str, ...], Test] = {}
        self._tests_of_right = FieldTests(RIGHT)
        self._tests = FieldTests(RIGHT_AND_PLAIN)

    def latest(self, fields: Mapping[str, Any]) -> tuple[list[str], Test]:
        """Return the names of a record, and their test."""
        return [*fields], self[tuple(fields)]

    def __missing__(self, names: tuple[str, ...]) -> Test:
        if len(self) >= _TESTS_MAX or not all(type(name) is str for name in names):
            return _no
        is_odd = not self._required.issubset(names) or not RESERVED.isdisjoint(names)
        self._right[names] = self._tests_of_right.of_record(names, self._shapes) if not is_odd else _no
        self[names] = self._tests.of_record(names, self._shapes) if not is_odd else _no
        return self[names]

    def faults(self, fields: dict[str, Any]) -> list[tuple[str, str]]:
        """
        Return what is not as it should be, each with what is wrong with it.

        Inside of a field it is named by its place: `messages[].role` for what is in the items of a list,
        `limits{}` for the values of an object. The first wrong one of these stands for the others.
        """
        if self._right.get(tuple(fields), _no)(fields):
            return []  # right, and only not plain
        return list(_faults_in(fields, self._shapes, self._required, ""))


def word_of(value: object) -> str:
    """Return the word of JSON Schema for what is recorded of a value."""
    return _word(_form(value))


ANY_TYPE: Final = Checks({}, frozenset())
"""For the types that nobody declares: whether a record is plain. One for all of them."""


def _no(_fields: Mapping[str, Any]) -> bool:
    return False


def _faults_in(
    fields: Mapping[str, Any], shapes: Mapping[str, Shape], needed: frozenset[str], place: str
) -> Iterator[tuple[str, str]]:
    yield from ((place + name, "missing") for name in sorted(needed.difference(fields)))
    for name, value in fields.items():
        shape = shapes.get(name, _ANY)
        if shape is not _ANY and EXACT.get(type(value)) not in shape:
            yield from _faults_of(value, shape, place + name)


def _faults_of(value: object, shape: Shape, place: str) -> Iterator[tuple[str, str]]:
    form: Any = _form(value)
    given = _word(form)
    alternatives = {_recorded(one): one for one in shape}
    fitting = alternatives.get(given) or alternatives.get("number" if given == "integer" else "any")
    if fitting is None and "any" not in alternatives:
        wanted = " or ".join(word for word in alternatives if word != "null")
        yield place, f"{given} instead of {wanted}"
    elif isinstance(fitting, tuple):
        yield from _faults_inside(form, fitting, place)


def _faults_inside(form: Any, alternative: tuple[Any, ...], place: str) -> Iterator[tuple[str, str]]:
    kind, inside = alternative[:2]
    if kind == "fields":
        yield from _faults_in(form, inside, alternative[2], f"{place}.")
        return
    parts, mark = (form, "[]") if kind == "array" else (form.values(), "{}")
    for part in islice(parts, VALUES_MAX):  # what is behind that is not recorded
        found = list(_faults_of(part, inside, place + mark))
        if found:
            yield from found
            return


def _recorded(alternative: Any) -> str:
    """Return as what it is recorded, in a word."""
    word = alternative if isinstance(alternative, str) else str(alternative[0])
    return {"fields": "object", "date": "string"}.get(word, word)


def _form(value: object) -> object:
    try:
        return form_of(value)
    except Exception as error:  # noqa: BLE001 - it is recorded as a text that says so
        handlers.let_through(error)
        return ""


def _word(form: object) -> str:
    if type(form) is float and form.is_integer():
        return "integer"
    return _WORDS.get(type(form), "string")
