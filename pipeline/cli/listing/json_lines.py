"""
Records as JSON: an array, or one on each line.

A file or a pipe gets the very lines that are stored, byte for byte; a terminal gets the same JSON with the
characters escaped that it would obey. With chosen fields a record is made anew of those it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.cli.listing.columns import MISSING, field
from pipeline.host.terminal import visible_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def for_terminal(line: bytes) -> bytes:
    """Return the same JSON, harmless to a terminal."""
    return visible_json(line).encode()


def encoded(value: Any) -> bytes:
    """Return a value as a line of JSON, also one with lone surrogates or numbers beyond 64 bits."""
    import orjson

    try:
        return orjson.dumps(value, default=str)
    except TypeError:
        import json

        return json.dumps(value, default=str, separators=(",", ":")).encode()


def only(record: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return those of the fields that the record has, by the names they were asked for."""
    found = ((name, field(record, name)) for name in fields)
    return {name: value for name, value in found if value is not MISSING}


def array(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of one JSON array of these values."""
    before = b""
    for line in lines:
        yield before + b"," if before else b"["
        before = line
    yield from (before, b"]") if before else (b"[]",)
