"""
Output that is longer than anybody reads: its first characters stay, and a mark says how many are gone.

Only fields that hold output (`truncate_fields`) are cut, at whatever depth they stand, and every text inside
of them by itself. All else is bounded by `max_record_bytes` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import handlers
from pipeline.records.text_cut import first_chars

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

ALL: Final = "*"


def output_cut(fields: Collection[str], chars_max: int) -> Callable[[bytes], bytes]:
    """Return what cuts the texts in some fields of a body to `chars_max` characters. It never raises."""
    names = frozenset(fields)
    openings = () if ALL in names else tuple(orjson.dumps(name) + b":" for name in names)

    def cut(body: bytes) -> bytes:
        # A body has no fewer bytes than any text in it has characters: most records end here.
        if len(body) <= chars_max or not (ALL in names or any(opening in body for opening in openings)):
            return body
        try:
            return orjson.dumps(_cut(orjson.loads(body), names, chars_max, is_output=ALL in names))
        except Exception as error:  # noqa: BLE001 - no memory for a copy, say: the record is whole without the cut
            handlers.let_through(error)
            return body

    return cut


def _cut(value: Any, names: frozenset[str], chars_max: int, *, is_output: bool) -> Any:
    kind = type(value)
    if kind is str:
        return first_chars(value, chars_max) if is_output else value
    if kind is dict:
        return {
            name: _cut(part, names, chars_max, is_output=is_output or name in names)
            for name, part in value.items()
        }
    if kind is list:
        return [_cut(part, names, chars_max, is_output=is_output) for part in value]
    return value
