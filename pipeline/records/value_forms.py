"""
What one object becomes in a record: a scalar of JSON, or a list or dict whose parts are converted in turn.

Two rules hold for every form. It is chosen by `type(value)` and never by `isinstance`, which believes
what an object says about its class (a `Mock(spec=dict)` says dict). And nothing is consumed: an
iterator, a generator or a file is described and keeps its content.

Functions here may raise whatever the object raises; `value_tree` turns that into a marker.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode
from collections import UserList, deque
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from datetime import date, datetime, time, timedelta
from enum import Enum
from itertools import islice
from math import isfinite, isnan
from typing import Any, Final
from uuid import UUID

import orjson

from pipeline.records.array_forms import array_form, is_array
from pipeline.records.exception_forms import exception_form
from pipeline.records.value_bounds import VALUES_MAX
from pipeline.records.value_texts import clean_text, text_of

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
"""The integers that orjson writes as numbers."""

_UNSET: Final = "<unset>"
"""Stands for a field of a class that this object does not have."""

DIGITS_BITS_MAX: Final = 14_000
"""Up to here an int is certain to have a decimal text: Python refuses more than 4300 digits by default."""


def form_of(value: Any) -> object:
    """Return a scalar of JSON, or an exact list or dict that may hold anything."""
    kind = type(value)
    exact = _EXACT.get(kind)
    if exact is not None:
        return exact(value)
    for base, form in _FORMS:
        if issubclass(kind, base):
            return form(value)
    return _rare_form(value, kind)


def _rare_form(value: Any, kind: type) -> object:
    if type(getattr(kind, "__dataclass_fields__", None)) is dict:
        return _dataclass_form(value)
    if type(getattr(kind, "__struct_fields__", None)) is tuple:
        return {name: getattr(value, name, _UNSET) for name in kind.__struct_fields__}  # type: ignore[attr-defined]
    if is_array(kind):
        form = array_form(value)
        return form if type(form) is list or type(form) is dict else form_of(form)
    if issubclass(kind, Mapping):
        return {key: value[key] for key in _items(value)}
    log_record = getattr(sys.modules.get("logging"), "LogRecord", None)
    if log_record is not None and issubclass(kind, log_record):
        return _log_record_form(value)
    return text_of(value)


def _same(value: object) -> object:
    return value


def _int_form(value: int) -> int | str:
    number = int.__int__(value)
    if INT_MIN <= number <= INT_MAX:
        return number
    return int.__repr__(number) if number.bit_length() <= DIGITS_BITS_MAX else hex(number)


def _float_form(value: float) -> float | str:
    number = float.__float__(value)
    if isfinite(number):
        return number
    return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _bytes_form(value: bytes | bytearray | memoryview) -> object:
    raw = bytes(memoryview(value))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode("ascii")}


def _tuple_form(value: tuple[object, ...]) -> object:
    items = list(tuple.__iter__(value))
    names = getattr(type(value), "_fields", None)
    if type(names) is tuple and len(names) == len(items) and set(map(type, names)) == {str}:
        return dict(zip(names, items, strict=True))
    return items


def _subclassed_dict_form(value: dict[object, object]) -> dict[object, object]:
    # Not dict.copy, which asks a subclass with an `__iter__` of its own for its keys.
    return dict(dict.items(value))


def _items(value: Iterable[object]) -> list[object]:
    """Return the items, of an iteration that never ends one more than the tree converts."""
    return list(islice(value, VALUES_MAX + 1))


def _set_form(value: Iterable[object]) -> list[object]:
    """Return the members in order: numbers and texts in theirs, a mixture in that of its text."""
    members = list(value)
    kinds = set(map(type, members))
    if kinds <= {str} or kinds <= {int, float, bool}:
        return sorted(members)  # type: ignore[type-var]  # these kinds compare with each other
    return sorted(members, key=text_of)


def _enum_form(member: Enum) -> object:
    return form_of(member.value)


def _iso_form(value: date | time) -> str:
    # The object's own method and not date's: pandas' NaT is a datetime, of the year 1 for the latter.
    return clean_text(value.isoformat())


def _fragment_form(value: Any) -> object:
    """Return what the ready-made JSON says, or its text if it is no JSON; never its bytes unchecked."""
    import json

    raw = orjson.dumps(value)
    try:
        return form_of(json.loads(raw, parse_constant=_refuse_constant))
    except ValueError:
        return raw.decode("utf-8", "backslashreplace")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _dataclass_form(value: Any) -> dict[object, object]:
    from dataclasses import fields

    return {field.name: getattr(value, field.name, _UNSET) for field in fields(value)}


def _log_record_form(value: Any) -> dict[object, object]:
    form: dict[object, object] = {
        "logger": value.name,
        "level": value.levelname,
        "message": value.getMessage(),
    }
    return {**form, "exception": value.exc_info[1]} if value.exc_info else form


_EXACT: Final[dict[type, Callable[[Any], object]]] = {
    type(None): _same,
    bool: _same,
    str: clean_text,
    int: _int_form,
    float: _float_form,
    dict: dict.copy,
    list: list.copy,
    tuple: list,
    UUID: text_of,
}

_FORMS: Final[tuple[tuple[type, Callable[[Any], object]], ...]] = (
    (Enum, _enum_form),
    (str, clean_text),
    (int, _int_form),
    (float, _float_form),
    (bytes, _bytes_form),
    (bytearray, _bytes_form),
    (memoryview, _bytes_form),
    (dict, _subclassed_dict_form),
    (list, list.copy),
    (tuple, _tuple_form),
    (set, _set_form),
    (frozenset, _set_form),
    (deque, _items),
    (array, array.tolist),
    (UserList, _items),
    (KeysView, _items),
    (ValuesView, _items),
    (ItemsView, _items),
    (BaseException, exception_form),
    (datetime, _iso_form),
    (date, _iso_form),
    (time, _iso_form),
    (timedelta, timedelta.total_seconds),
    (orjson.Fragment, _fragment_form),
)
