"""
Any tree of Python values as a tree of plain ones: the way of a record that orjson alone cannot take.

`value_forms` knows what one object becomes; this module knows what may go wrong between objects:
cycles, depth, the same object reached again and again, keys that are not text, keys that collide.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from pipeline.host import handlers
from pipeline.records.value_bounds import DEPTH_MAX, VALUES_MAX
from pipeline.records.value_forms import form_of
from pipeline.records.value_texts import clean_text, unprintable

CYCLE: Final = "<cycle>"
TOO_DEEP: Final = f"<nested deeper than {DEPTH_MAX} levels>"
TOO_MANY: Final = f"<more than {VALUES_MAX} values>"


class PlainTree:
    """One conversion. It holds the containers that are open at the moment and counts the values."""

    __slots__ = ("_open", "_values_left")

    def __init__(self) -> None:
        """Start with nothing open and nothing counted."""
        self._open: set[int] = set()
        self._values_left = VALUES_MAX

    def plain_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with plain values; `fields` is not changed."""
        self._open.add(id(fields))
        return self._plain_mapping(dict.copy(fields), 1)

    def _plain(self, value: object, depth: int) -> Any:
        self._values_left -= 1
        kind = type(value)
        if kind is bool or value is None or (kind is str and str.isascii(value)):  # type: ignore[arg-type]
            return value
        try:
            form = form_of(value)
            if type(form) is dict or type(form) is list:
                return self._plain_container(value, form, depth)
        except Exception as error:  # noqa: BLE001 - one bad value must not take the record with it
            handlers.let_through(error)
            return unprintable(value, error)
        return form

    def _plain_container(self, value: object, form: dict[object, object] | list[object], depth: int) -> Any:
        if id(value) in self._open:
            return CYCLE
        if depth >= DEPTH_MAX:
            return TOO_DEEP
        self._open.add(id(value))
        try:
            plain_parts = self._plain_mapping if type(form) is dict else self._plain_list
            return plain_parts(form, depth + 1)
        finally:
            self._open.discard(id(value))

    def _plain_list(self, items: Any, depth: int) -> list[Any]:
        plain: list[Any] = []
        for item in items:
            if self._values_left <= 0:
                plain.append(TOO_MANY)
                break
            plain.append(self._plain(item, depth))
        return plain

    def _plain_mapping(self, items: Any, depth: int) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for place, (key, value) in enumerate(items.items(), 1):
            if self._values_left <= 0:
                plain[_free_key("<cut>", place, plain)] = TOO_MANY
                break
            name = key if type(key) is str and str.isascii(key) else self._plain_key(key, depth)
            plain[name if name not in plain else _free_key(name, place, plain)] = self._plain(value, depth)
        return plain

    def _plain_key(self, key: object, depth: int) -> str:
        """Return text as it is, and of anything else the JSON text of its recorded form."""
        if type(key) is str:
            return clean_text(key)
        plain = self._plain(key, depth)
        return plain if type(plain) is str else orjson.dumps(plain).decode()


def _free_key(key: str, place: int, taken: dict[str, Any]) -> str:
    """Return `key`, or if it is taken `key (3)`, where 3 is the place of the key in its mapping."""
    if key not in taken:
        return key
    numbered = f"{key} ({place})"
    return numbered if numbered not in taken else _free_key(numbered, place, taken)
