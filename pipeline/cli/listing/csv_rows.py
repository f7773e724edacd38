"""
Records as CSV, one row each, values that are no texts as JSON.

Which columns there are is known only when all records were seen; until then their lines wait in memory, and
in a temporary file once they are more than 16 MiB. With chosen fields nothing has to wait.
"""

from __future__ import annotations

import csv
import io
import tempfile
from typing import TYPE_CHECKING, Final

import orjson

from pipeline.cli.listing.columns import field, text_of
from pipeline.cli.listing.json_lines import encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.cli.listing.columns import Record

_IN_MEMORY_BYTES: Final = 16 << 20
_COLUMNS_MAX: Final = 1000
_OTHERS: Final = "other_fields"
"""The column of the fields that are too many for one of their own, as one JSON object."""


def lines(
    records: Iterable[Record], fields: Sequence[str], shown: Callable[[str], str] | None = None
) -> Iterator[bytes]:
    """Yield the rows, the names of the columns first; `shown` makes a cell harmless where that is needed."""
    rows = _chosen(records, fields) if fields else _all(records)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="")
    for row in rows:
        writer.writerow(map(shown, row) if shown else row)
        yield buffer.getvalue().encode("utf-8", "backslashreplace")
        buffer.seek(0)
        buffer.truncate()


def _chosen(records: Iterable[Record], fields: Sequence[str]) -> Iterator[list[str]]:
    yield [*fields]
    for record in records:
        yield [text_of(field(record, name, default=None)) for name in fields]


def _all(records: Iterable[Record]) -> Iterator[list[str]]:
    names: dict[str, None] = {}
    has_others = False
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as waiting:
        for record in records:
            for name in record:
                if name not in names and len(names) < _COLUMNS_MAX:
                    names[name] = None
                has_others = has_others or name not in names
            waiting.write(encoded(record) + b"\n")
        waiting.seek(0)
        yield [*names, _OTHERS] if has_others else [*names]
        for line in waiting:
            yield _row(orjson.loads(line), names, has_others=has_others)


def _row(record: Record, names: dict[str, None], *, has_others: bool) -> list[str]:
    cells = [text_of(record.pop(name, None)) for name in names]
    return [*cells, text_of(record or None)] if has_others else cells
