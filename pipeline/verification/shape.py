"""What a line must look like, and in words what is wrong with one that does not."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

from pipeline.verification.findings import Kind, excerpt

FIELDS: Final = ("timestamp", "action_type", "action_number", "producer")

is_timestamp: Final = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(?:Z|[+-]\d\d:\d\d)",
    re.ASCII,
).fullmatch

_STRING: Final = rb'"(?:[^"\\]|\\.)*"'
_PREFIX: Final = re.compile(
    rb'\{"timestamp":(%s),"action_type":(%s),"action_number":(\d+),"producer":(%s)[,}]'
    % (_STRING, _STRING, _STRING)
)

BRACE: Final = ord("}")


class Shape(NamedTuple):
    """The judgement on a line. Without a kind there is nothing wrong with it."""

    kind: Kind | None
    sentence: str = ""
    record: dict[str, Any] | None = None
    """The record, if its number and its producer can be relied on."""


def examine(line: bytes) -> Shape:
    """Judge one line thoroughly. The scan asks only about lines that are not plainly right."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Shape(Kind.UNPARSABLE, _why_unparsable(line, error))
    if not isinstance(record, dict):
        return Shape(Kind.UNPARSABLE, f"JSON, but no object: {excerpt(line)}")
    if complaint := _ambiguity(line, record):
        return Shape(Kind.WRONG_FIELD, f"{complaint}: {excerpt(line)}")
    complaint = _wrong_value(record) or _wrong_form(line, record)
    usable = record if _is_countable(record) else None
    if not complaint:
        return Shape(None, "", usable)
    return Shape(Kind.WRONG_FIELD, f"{complaint}: {excerpt(line)}", usable)


def _why_unparsable(line: bytes, error: orjson.JSONDecodeError) -> str:
    if not line:
        return "an empty line"
    if not line.strip(b"\0"):
        return "a block of NUL bytes"
    if b"\0" in line:
        return f"NUL bytes in the line: {excerpt(line)}"
    return f"not JSON ({error}): {excerpt(line)}"


def _ambiguity(line: bytes, record: dict[str, Any]) -> str:
    """Find a common field that stands twice: two readers could take the line for two different records."""
    match = _PREFIX.match(line)
    if match is None:
        return ""
    for field, raw in zip(FIELDS, match.groups(), strict=True):
        if _loads(raw) != record[field]:
            return f'the field "{field}" stands twice with different values'
    return ""


def _loads(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _wrong_value(record: dict[str, Any]) -> str:
    for field in FIELDS:
        if field not in record:
            return f'the field "{field}" is missing'
    stamp, action_type, number, producer = (record[field] for field in FIELDS)
    if not isinstance(stamp, str) or not is_timestamp(stamp):
        return '"timestamp" is not a time like 2025-11-21T14:32:15.123456Z'
    if not isinstance(action_type, str) or not action_type:
        return '"action_type" is not a text'
    if not _is_number(number):
        return '"action_number" is not a whole number above 0'
    if not isinstance(producer, str) or not producer:
        return '"producer" is not a text'
    return ""


def _wrong_form(line: bytes, record: dict[str, Any]) -> str:
    if tuple(record)[: len(FIELDS)] != FIELDS:
        return "the line does not begin with the four common fields in their order"
    if line.endswith(b"\r"):
        return "the line ends in CR LF: something has rewritten the file"
    if _PREFIX.match(line) is None or line[-1] != BRACE:
        return "there is space around the common fields or the object"
    return ""


def _is_countable(record: dict[str, Any]) -> bool:
    producer = record.get("producer")
    return _is_number(record.get("action_number")) and isinstance(producer, str) and bool(producer)


def _is_number(value: object) -> bool:
    return type(value) is int and value > 0
