"""
The exact place of a record that a finding names.

A proven block, or a piece of a file, is known by where it begins; the line is looked for only when somebody
has to be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orjson import JSONDecodeError, loads

from pipeline.limits import MIB
from pipeline.verification.lines import LineReader, Place
from pipeline.verification.opener import READ_ERRORS, read_chunks

if TYPE_CHECKING:
    from pipeline.verification.files import LogFile

REACH_BYTES: Final = 64 * MIB


def locate(file: LogFile, place: Place, producer: str, number: int) -> Place:
    """Return where a record stands, looking from a place on; that place when it is not found."""
    if file.packing:
        return place
    mark = f'"action_number":{number},"producer":"{producer}"'.encode()
    reader = LineReader(
        read_chunks(file.piece(place.offset, min(file.size, place.offset + REACH_BYTES))), place.offset
    )
    try:
        for block in reader:
            for index, line in enumerate(block.lines):
                if mark in line and _is(line, producer, number):
                    found = block.place(place.file, index)
                    return found._replace(line=place.line + found.line - 1)
    except READ_ERRORS:
        return place
    return place


def _is(line: bytes, producer: str, number: int) -> bool:
    try:
        record = loads(line)
    except JSONDecodeError:
        return False
    return isinstance(record, dict) and (record.get("producer"), record.get("action_number")) == (
        producer,
        number,
    )
