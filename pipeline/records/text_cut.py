"""A text that is too long: its first characters, and how many are gone."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_BYTES_MIN: Final = 64
"""No text is shortened below this; the mark alone may take 38 bytes."""

_CHUNK_CHARS: Final = 1 << 20
"""Longer texts are measured in parts, without a copy of the whole."""

_MARK: Final = re.compile(r"…\[TRUNCATED (\d{1,12}) chars\]\Z")
_MARK_CHARS_MAX: Final = 32


def json_bytes(value: Any) -> int:
    """Return the size of a plain value in the body, quotes and escapes included."""
    if type(value) is str and len(value) > _CHUNK_CHARS:
        return 2 + sum(json_bytes(chunk) - 2 for chunk in _chunks(value))
    return len(orjson.dumps(value))


def _chunks(text: str) -> Iterator[str]:
    return (text[start : start + _CHUNK_CHARS] for start in range(0, len(text), _CHUNK_CHARS))


def shortened(text: str, size_max: int) -> str:
    """
    Return the first characters of a text and `…[TRUNCATED 1234 chars]`, in `size_max` bytes of JSON.

    A text that ends with such a mark already keeps one mark, with the sum.
    """
    whole, cut_before = _unmarked(text)
    room = size_max - json_bytes(_mark(len(whole) + cut_before))
    kept = _prefix(whole, max(room, 0))
    return kept + _mark(len(whole) - len(kept) + cut_before)


def first_chars(text: str, chars_max: int) -> str:
    """Return the first characters of a text and `…[TRUNCATED 1234 chars]`, or one that is short as it is."""
    whole, cut_before = _unmarked(text)
    if len(whole) <= chars_max:
        return text
    return whole[:chars_max] + _mark(len(whole) - chars_max + cut_before)


def _mark(chars: int) -> str:
    return f"…[TRUNCATED {chars} chars]"


def _unmarked(text: str) -> tuple[str, int]:
    found = _MARK.search(text[-_MARK_CHARS_MAX:])
    return (text[: -len(found[0])], int(found[1])) if found else (text, 0)


def _prefix(text: str, room: int) -> str:
    """Return the most characters from the start of a text that take `room` bytes between the quotes."""
    text = text[:room]
    if json_bytes(text) - 2 <= room:
        return text
    chars = bisect_right(range(len(text) + 1), room, key=lambda count: json_bytes(text[:count]) - 2) - 1
    return text[:chars]
