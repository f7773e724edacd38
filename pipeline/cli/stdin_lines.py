"""
Standard input as lines, and what a line becomes as a record.

A line that is a JSON object is a record of its fields; any other line is text. Bytes that are no UTF-8 are
kept twice: readable in `content`, exact in `content_bytes`. A text too long for one record becomes several,
with `line` and `part`.
"""

from __future__ import annotations

import json
import os
import re
import select
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES: Final = 1 * MIB
_REST_WAIT_MS: Final = 50
LINE_BYTES_MAX: Final = 16 * MIB
"""A longer line is not looked into: it is text, in parts. It bounds the memory that a line can take."""
_ESCAPED_MAX: Final = 8
"""By how much bytes of a text can grow when they are escaped for JSON, both forms of it counted."""
_TO_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_BIG_NUMBER: Final = b"0" * 17
"""
Once all digits are zeros: what orjson may round, since it reads integers beyond 64 bits as floats.

Looked for in this way it takes 1 µs a line, as a regular expression 8.
"""
_OPENING: Final = re.compile(rb"\s*\{")
_ENVELOPE_BYTES: Final = 1024
_KEYWORD: Final = "durable"
"""The one name that emit() takes for itself; a field of that name is recorded as `field_durable`."""

Fields = dict[str, Any]


class Lines(NamedTuple):
    """Lines without their ends. With `part` > 0 the first one is that part of a line that is too long."""

    lines: list[bytes]
    part: int = 0


def read(fd: int, wake_fd: int) -> Iterator[Lines]:
    """Yield the lines of a descriptor as they come, until its end, or until `wake_fd` can be read."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(wake_fd, select.POLLIN)
    held: list[bytes] = []
    size, part = 0, 0
    while not _is_woken(poll, wake_fd):
        chunk = os.read(fd, CHUNK_BYTES)
        if not chunk:
            break
        held.append(chunk)
        size += len(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join(held).split(b"\n")
            yield Lines(lines, part + 1 if part else 0)
            held, size, part = [rest], len(rest), 0
        elif size > LINE_BYTES_MAX:
            part += 1
            yield Lines([b"".join(held)], part)
            held, size = [], 0
    rest = b"".join(held)
    if rest:
        yield Lines([rest + _rest_of_line(fd)], part + 1 if part else 0)


def _rest_of_line(fd: int) -> bytes:
    """Read on to the end of the line and not a byte further, as far as it comes without waiting."""
    found = bytearray()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(found) < LINE_BYTES_MAX and poll.poll(_REST_WAIT_MS):
        byte = os.read(fd, 1)
        if byte in (b"", b"\n"):
            break
        found += byte
    return bytes(found)


def _is_woken(poll: select.poll, wake_fd: int) -> bool:
    return any(fd == wake_fd for fd, _ in poll.poll())


def records_of(line: bytes, action_type: str, number: int, bytes_max: int) -> list[tuple[str, Fields]]:
    """Return the records that a line becomes: one, but for a text that is too long."""
    if line[-1:] == b"\r":
        line = line[:-1]
    fields = _json_object(line) if _OPENING.match(line) else None
    if fields is not None:
        return [_json_record(fields, action_type)]
    if len(line) * _ESCAPED_MAX > bytes_max and _size(_text(line)) > bytes_max:
        return parts_of(line, action_type, number, bytes_max)
    return [(action_type, _text(line))]


def parts_of(
    line: bytes, action_type: str, number: int, bytes_max: int, first: int = 1
) -> list[tuple[str, Fields]]:
    """Return the records of a text that does not fit one. `first` is the number of its first part."""
    pieces = _pieces(line, bytes_max // _ESCAPED_MAX)
    return [
        (action_type, {**_text(piece), "line": number, "part": part})
        for part, piece in enumerate(pieces, start=first)
    ]


def _size(text: Fields) -> int:
    """Return what a text takes in a record, rather too much than too little."""
    return len(orjson.dumps(text["content"])) + 2 * len(text.get("content_bytes", b"")) + _ENVELOPE_BYTES


def _pieces(line: bytes, size: int) -> Iterator[bytes]:
    """Cut between characters, as far as there are any."""
    start = 0
    while start < len(line):
        end = start + size
        while start + size - 4 < end < len(line) and line[end] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8 says so
            end -= 1
        yield line[start:end]
        start = end


def _json_record(fields: Fields, action_type: str) -> tuple[str, Fields]:
    if isinstance(fields.get("action_type"), str):
        action_type = fields.pop("action_type")
    if _KEYWORD in fields:
        fields["field_" + _KEYWORD] = fields.pop(_KEYWORD)
    return action_type, fields


def _json_object(line: bytes) -> Fields | None:
    try:
        found = _exact(line) if _BIG_NUMBER in line.translate(_TO_ZEROS) else orjson.loads(line)
    except ValueError:
        try:
            found = _exact(line)  # NaN and lone surrogates are Python's JSON, if not the standard's
        except (ValueError, RecursionError):
            return None
    except RecursionError:
        return None
    return found if isinstance(found, dict) else None


def _exact(line: bytes) -> Any:
    return json.loads(line.decode("utf-8"))


def _text(line: bytes) -> Fields:
    try:
        return {"content": line.decode("utf-8")}
    except UnicodeDecodeError:
        return {"content": line.decode("utf-8", "backslashreplace"), "content_bytes": line}
