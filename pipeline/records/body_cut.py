"""
A body that is too long, made to fit and saying so.

The rule, in the order of its steps:

1.  Values that would not fit even with all their texts cut short give way to a marker, the largest
    first, and as deep inside as one part alone is what is too large.
2.  The longest texts are shortened to one common size, no more than needed. They keep their first
    characters and end with `…[TRUNCATED 1234 chars]`.
3.  With more fields than that leaves room for, values become `…`, the largest first, and if even the
    names are too much, fields are left out and `truncated_fields` counts them.

The last field, `truncated_bytes`, says by how many bytes the fields became shorter.

Sizes are bytes of JSON. Every step is linear in the body but for the sorting of what is long.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.host import handlers
from pipeline.records.field_names import renamed
from pipeline.records.text_cut import TEXT_BYTES_MIN, json_bytes, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOTES: Final = ("truncated_bytes", "truncated_fields")
NOTES_BYTES_MAX: Final = 64
"""Room for `,"truncated_bytes":123456789012,"truncated_fields":123456789`."""

PARTS_MAX: Final = 1_000
"""A value with more parts than this is not searched for the one that is too large."""

ELLIPSIS: Final = "…"
ELLIPSIS_BYTES: Final = json_bytes(ELLIPSIS)


class Text(NamedTuple):
    """A long text and where it stands: `holder[key]`."""

    size: int
    holder: Any
    key: Any


class Place(NamedTuple):
    """A value and where it stands, ordered by the bytes it takes however short its texts are cut."""

    floor_negated: int
    number: int
    holder: Any
    key: Any


def cut_body(body: bytes, size_max: int) -> bytes:
    """Return `body` if it fits `size_max` bytes, else a shorter one that says what is gone. Never raises."""
    if len(body) <= size_max:
        return body
    try:
        return _cut(body, size_max - NOTES_BYTES_MAX)
    except Exception as error:  # noqa: BLE001 - no memory for a second copy, say; the note is still true
        handlers.let_through(error)
        return b'{"truncated_bytes":%d}' % (len(body) - len(b"{}"))


def _cut(body: bytes, room: int) -> bytes:
    original = orjson.loads(body)
    fields = renamed(original, NOTES)
    size = len(body) if fields is original else json_bytes(fields)
    size -= _replace_values(fields, size, room)
    _shorten_texts(fields, size - room)
    _empty_values(fields, room)
    kept = _fields_that_fit(fields, room)
    shorter = orjson.dumps(kept)
    notes = {"truncated_bytes": len(body) - len(shorter)}
    if len(kept) < len(fields):
        notes["truncated_fields"] = len(fields) - len(kept)
    return shorter[:-1] + (b"," if kept else b"") + orjson.dumps(notes)[1:]


def _replace_values(fields: dict[str, Any], size: int, room: int) -> int:
    """Replace values until the rest can fit, and return how many bytes less that takes."""
    saved = 0
    excess = size - _cuttable(fields) - room
    if excess <= 0:
        return saved
    numbers = count()
    heap = list(_places(fields, numbers))
    heapify(heap)
    while excess > 0 and heap and -heap[0].floor_negated > TEXT_BYTES_MIN:
        place = heappop(heap)
        parts = _places_of_one_large_part(place, numbers)
        for part in parts:
            heappush(heap, part)
        if not parts:
            marker_bytes, value_bytes = _replace(place)
            saved += value_bytes - marker_bytes
            excess -= -place.floor_negated - marker_bytes
    return saved


def _replace(place: Place) -> tuple[int, int]:
    """Put a marker in the place of a value, and return the sizes of both."""
    value = place.holder[place.key]
    value_bytes = json_bytes(value)
    noun = "list" if type(value) is list else "object"
    marker = f"…[TRUNCATED {noun} of {len(value)}, {value_bytes} bytes]"
    place.holder[place.key] = marker
    return json_bytes(marker), value_bytes


def _places(holder: Any, numbers: Iterator[int]) -> list[Place]:
    return [Place(-_floor(value), next(numbers), holder, key) for key, value in _parts(holder)]


def _places_of_one_large_part(place: Place, numbers: Iterator[int]) -> list[Place]:
    """Return the parts of a value if one of them is half of it or more, else nothing."""
    value = place.holder[place.key]
    if type(value) not in {dict, list} or len(value) > PARTS_MAX:
        return []
    parts = _places(value, numbers)
    return parts if 2 * min(parts, default=place).floor_negated <= place.floor_negated else []


def _floor(value: Any) -> int:
    """Return the bytes that a value takes with all its texts cut as short as can be."""
    if type(value) is str:
        return min(json_bytes(value), TEXT_BYTES_MIN)
    size = json_bytes(value)
    if type(value) not in {dict, list} or size <= TEXT_BYTES_MIN:
        return size
    return size - _cuttable(value)


def _cuttable(value: Any) -> int:
    """Return how many bytes less a list or an object takes with its texts cut as short as can be."""
    return sum(text.size - TEXT_BYTES_MIN for text in _long_texts(value))


def _parts(holder: Any) -> Iterable[tuple[Any, Any]]:
    return holder.items() if type(holder) is dict else enumerate(holder)


def _long_texts(value: Any) -> list[Text]:
    """Return the texts inside a list or an object that are longer than `TEXT_BYTES_MIN`."""
    found = []
    holders = [value]
    for holder in holders:
        for key, part in _parts(holder):
            if type(part) is str:
                # A character takes six bytes at most (`\u0000`): most texts need no measuring.
                if 6 * len(part) > TEXT_BYTES_MIN and (size := json_bytes(part)) > TEXT_BYTES_MIN:
                    found.append(Text(size, holder, key))
            elif type(part) is dict or type(part) is list:
                holders.append(part)
    return found


def _shorten_texts(fields: dict[str, Any], excess: int) -> None:
    if excess <= 0:
        return
    texts = sorted(_long_texts(fields), key=itemgetter(0), reverse=True)
    size_max = _common_size([text.size for text in texts], excess)
    for text in texts:
        if text.size > size_max:
            text.holder[text.key] = shortened(text.holder[text.key], size_max)


def _common_size(sizes: list[int], excess: int) -> int:
    """Return the size at which sizes, the largest first, have to be cut off to lose `excess` bytes in all."""
    total = 0
    for place, size in enumerate(sizes, 1):
        total += size
        common = (total - excess) // place
        if common >= (sizes[place] if place < len(sizes) else TEXT_BYTES_MIN):
            return common
    return TEXT_BYTES_MIN


def _empty_values(fields: dict[str, Any], room: int) -> None:
    excess = json_bytes(fields) - room
    if excess <= 0:
        return
    # Reversed first: of values of one size, the later fields are emptied before the earlier ones.
    sizes = [(json_bytes(value), name) for name, value in reversed(fields.items())]
    for size, name in sorted(sizes, key=itemgetter(0), reverse=True):
        if excess <= 0 or size <= ELLIPSIS_BYTES:
            return
        fields[name] = ELLIPSIS
        excess -= size - ELLIPSIS_BYTES


def _fields_that_fit(fields: dict[str, Any], room: int) -> dict[str, Any]:
    if json_bytes(fields) <= room:
        return fields
    kept = {}
    left = room - len(b"{}")
    for name, value in fields.items():
        size = json_bytes(name) + json_bytes(value) + len(b":,")
        if size <= left:
            kept[name] = value
            left -= size
    return kept
