"""
What a class declares for its fields, as `emit()` compares records with it. Imports msgspec.

A shape is a tuple of all that a value may be recorded as:

    "string"                            a kind, in the words of JSON Schema, or "any"
    "date"                              text, which may have been given as a date or a datetime
    ("array", SHAPE)                    a list of such items
    ("object", SHAPE)                   an object with such values, whatever their names
    ("fields", {NAME: SHAPE}, NEEDED)   an object of such fields; NEEDED are the names that it must have

Kinds are all that is compared: a pattern, a bound or the words of a Literal are not. Of several lists or
objects that a field may hold no more than that is looked at, and a class inside of itself is not looked into.

The annotations are read here and not by `msgspec.inspect`: that refuses a class as a whole where it could not
decode one of its fields, such as `date | datetime`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import structs

from pipeline.records.checks import word_of

if TYPE_CHECKING:
    from pipeline.records.declared import Fields, Shape

_WORDS: Final[dict[type, Shape]] = {
    types.NoneType: ("null",),
    bool: ("boolean",),
    int: ("integer",),
    float: ("number",),
    str: ("string",),
    date: ("date",),
    time: ("string",),
    UUID: ("string",),
    timedelta: ("number",),
    Decimal: ("string", "number"),
    bytes: ("string", "object"),
    bytearray: ("string", "object"),
}
"""As `value_forms` records them. A bool is an int and a datetime a date, so the order counts."""
_WRAPPED: Final = (typing.Annotated, typing.Required, typing.NotRequired, typing.Final)
_ANY: Final[Shape] = ("any",)


def fields_of(declared: type) -> Fields:
    """
    Return the shapes of the fields of a class: a struct, a dataclass or a TypedDict.

    Raises NameError, or what else may happen where a name in an annotation cannot be found.
    """
    return _fields(declared, (declared,))


def _fields(declared: Any, around: tuple[type, ...]) -> Fields:
    hints, needed = _declared(declared)
    shapes = {name: _shape(hint, around) for name, hint in hints.items()}
    # None in a typed record is not recorded, so what may be None may be missing.
    return shapes, frozenset(name for name in needed if {"null", "any"}.isdisjoint(map(_word, shapes[name])))


def _declared(declared: Any) -> tuple[dict[str, Any], Iterable[str]]:
    """Return the annotations of a class, and the names of those fields that have no default."""
    if hasattr(declared, "__struct_fields__"):
        found = structs.fields(declared)
        return {field.name: field.type for field in found}, [field.name for field in found if field.required]
    hints = typing.get_type_hints(declared)
    if typing.is_typeddict(declared):
        return hints, declared.__required_keys__
    unset = dataclasses.MISSING
    fields = [(field.name, field) for field in dataclasses.fields(declared)]
    needed = [name for name, field in fields if field.default is unset and field.default_factory is unset]
    return {name: hints[name] for name, _ in fields}, needed


def _shape(hint: Any, around: tuple[type, ...]) -> Shape:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _together(one for part in arguments for one in _shape(part, around))
    if origin is typing.Literal:
        return _together(map(word_of, arguments))
    if origin in _WRAPPED:
        return _shape(arguments[0], around)
    kind = origin or getattr(hint, "__supertype__", hint)
    return _shape_of_class(kind, arguments, around) if isinstance(kind, type) else _ANY


def _shape_of_class(kind: type, arguments: tuple[Any, ...], around: tuple[type, ...]) -> Shape:
    if issubclass(kind, Enum):
        return _together(word_of(member) for member in kind)
    for base, shape in _WORDS.items():
        if issubclass(kind, base):
            return shape
    if hasattr(kind, "__struct_fields__") or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return ("object",) if kind in around else (("fields", *_fields(kind, (*around, kind))),)
    if issubclass(kind, tuple):
        is_of_one = len(arguments) == 2 and arguments[1] is ...  # noqa: PLR2004 - `tuple[int, ...]`
        return (
            ("object",) if hasattr(kind, "_fields") else _with("array", arguments[: int(is_of_one)], around)
        )
    if issubclass(kind, Mapping):
        return _with("object", arguments[1:], around)
    return _with("array", arguments, around) if issubclass(kind, Collection) else _ANY


def _with(kind: str, of: tuple[Any, ...], around: tuple[type, ...]) -> Shape:
    """Return the shape of a list or an object, with what is declared for the inside, if that is anything."""
    inside = _shape(of[0], around) if len(of) == 1 else _ANY
    return (kind,) if "any" in inside else ((kind, inside),)


def _together(alternatives: Iterable[Any]) -> Shape:
    """Return all alternatives, null at the end, and of different ones of one kind no more than that kind."""
    found: dict[str, Any] = {}
    for one in alternatives:
        word = _word(one)
        found[word] = one if found.setdefault(word, one) == one else word
    if "any" in found:
        return _ANY
    return tuple(found[word] for word in sorted(found, key="null".__eq__))


def _word(alternative: Any) -> str:
    if isinstance(alternative, str):
        return alternative
    return "object" if alternative[0] == "fields" else str(alternative[0])
