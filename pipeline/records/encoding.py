"""
The caller's fields as one JSON object on one line.

Most records hold only what JSON knows: text, numbers, true, false, null, lists and objects. For them
`encode_fields` is a look at each value and one call of orjson. Everything else goes through
`value_tree`, which is slower and knows a readable form for any object. `docs/values.md` is the table
of these forms; a test proves every row of it.

Why each value is looked at before orjson sees it, although orjson converts more types than JSON has:

    NaN, Infinity       orjson writes null, which nobody passed
    a dataclass         orjson leaves out the fields whose name begins with an underscore
    a datetime          orjson rounds odd UTC offsets, and writes +00:00 for a tzinfo that has none
    orjson.Fragment     orjson copies it unchecked, line breaks and broken JSON included
    an enum member, a UUID, a tzinfo of the user
                        orjson asks them for an attribute or calls them, and if that raises (Ctrl+C at
                        the wrong instant, the recursion limit, a property of the user's) the
                        application dies of a segmentation fault (orjson 3.13.0, Python 3.11)

The look costs about twice the time of the orjson call; nothing cheaper was found for the last kind.

No state is kept between calls: an object whose `__str__` emits a record finds its own way through.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import handlers
from pipeline.records.body_cut import cut_body
from pipeline.records.field_names import renamed
from pipeline.records.value_tree import PlainTree

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED: Final = frozenset({"timestamp", "action_type", "action_number", "producer"})
"""Names of the fields that every record begins with; a caller's field of this name is renamed."""

_dumps: Final = orjson.dumps
# A name of this module: one look-up less on every record.

UNENCODABLE: Final = b'{"encoding_error":"the fields could not be converted"}'
"""The body of last resort: no memory, or no stack left, for anything better."""


def encode_fields(fields: dict[str, Any]) -> bytes:
    """
    Return the fields as a JSON object in UTF-8, such as `b'{"a":1}'` or `b'{}'`; never a line break in it.

    The order of the fields is kept, `fields` is not changed, and a field with a name in `RESERVED` is
    recorded as `field_timestamp` and so on. No `Exception` is raised whatever the values do; a
    `KeyboardInterrupt` or another `BaseException` raised while a value describes itself passes through.
    """
    try:
        # Four look-ups in the caller's dict cost 0.08 µs less than RESERVED.isdisjoint over all its names.
        is_named_well = not (
            "timestamp" in fields
            or "action_type" in fields
            or "action_number" in fields
            or "producer" in fields
        )
        if is_named_well and is_plain(fields.values()):
            return _dumps(fields)
    except Exception as error:  # noqa: BLE001 - whatever it was, the slow way finds out and says so per value
        handlers.let_through(error)
        return _encode_slowly(fields)
    return _encode_slowly(fields)


def encode_plain(fields: dict[str, Any]) -> bytes:
    """Return what `encode_fields` does, for fields that `is_plain` and whose names are not `RESERVED`."""
    try:
        return _dumps(fields)
    except Exception as error:  # noqa: BLE001 - half a surrogate pair, an int of 70 bits
        handlers.let_through(error)
        return _encode_slowly(fields)


def cut_fields(fields: dict[str, Any], body: bytes, size_max: int) -> bytes:  # noqa: ARG001 - see below
    """
    Return a body of at most `size_max` bytes in place of `body`, the result of `encode_fields(fields)`.

    The longest texts are shortened first, then whole values give way to a marker; the field
    `truncated_bytes` says how many bytes are gone. `size_max` is in bytes and at least 512. Never
    raises an `Exception`. The cut is made on `body`, in which every value has its recorded form already.
    """
    return cut_body(body, size_max)


def is_plain(values: Iterable[Any]) -> bool:
    """
    Tell whether orjson writes these values exactly, and without running anybody's Python code.

    Recursive on purpose: a cycle ends as a RecursionError, after which `_encode_slowly` marks it.
    """
    for value in values:
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            continue
        if kind is float:
            if value - value == 0.0:  # not so for NaN and the infinities
                continue
        elif kind is dict:
            if is_plain(value.values()):
                continue
        elif kind is list or kind is tuple:
            if is_plain(value):
                continue
        elif kind is date or (kind is datetime and (value.tzinfo is None or value.tzinfo is UTC)):
            continue
        return False
    return True


def _encode_slowly(fields: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(renamed(PlainTree().plain_fields(fields), RESERVED))
    except Exception as error:  # noqa: BLE001 - emit() must not raise; the record says what happened
        handlers.let_through(error)
        return UNENCODABLE
