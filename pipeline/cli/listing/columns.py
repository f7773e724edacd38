"""
What is shown of a record: time, type, tool, status and message, or the fields that were asked for.

The message is error_message, else content, else the command or the
arguments, else the first text that says more than who and when.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.query import status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Record = dict[str, Any]

MISSING: Final = object()
_STAMP_CHARS: Final = len("2025-11-21T14:32:15.123456Z")
_ARGUMENTS: Final = ("command", "args", "arguments", "input", "tool_input")
_SPOKEN: Final = ("error_message", "content", "message")
_WHO_AND_WHEN: Final = frozenset(
    {
        *("timestamp", "action_type", "action_number", "producer", "status", "level", "logger", "role"),
        *("session_id", "execution_id", "user_id", "request_id", "trace_id", "span_id", "parent_span_id"),
        *("tool_name", "tool_use_id", "call_id", "trace_flags", "trace_state", "host", "hostname"),
    }
)
"""Fields that are no message."""


class Column(NamedTuple):
    """A heading, and how the cell is got from a record."""

    heading: str
    cell: Callable[[Record], str]
    width_max: int


def standard(zone: tzinfo, *, with_date: bool) -> list[Column]:
    """Return the columns of the table as it is by itself."""
    clock = _clock(zone, with_date=with_date)
    return [
        Column("Timestamp", clock, 24),
        Column("Action Type", lambda record: text_of(record.get("action_type")), 32),
        Column("Tool", lambda record: text_of(record.get("tool_name")), 24),
        Column("Status", status_text, 16),
        Column("Message", message_of, 160),
    ]


def chosen(fields: Iterable[str], zone: tzinfo) -> list[Column]:
    """Return a column for each field that was asked for; `timestamp` is shown in the zone."""
    clock = _clock(zone, with_date=True)
    return [Column(name, clock if name == "timestamp" else _cell_of(name), 80) for name in fields]


def plain(names: Iterable[str]) -> list[Column]:
    """Return a column for each name of rows that are no records: nothing is completed in them."""
    return [Column(name, _value_of(name), 80) for name in names]


def _value_of(name: str) -> Callable[[Record], str]:
    return lambda row: text_of(row[name])


def _cell_of(name: str) -> Callable[[Record], str]:
    if name == "status":
        return status_text
    if name == "message":
        return lambda record: message_of(record) if "message" not in record else text_of(record["message"])
    return lambda record: text_of(field(record, name, default=None))


def _clock(zone: tzinfo, *, with_date: bool) -> Callable[[Record], str]:
    """Return what shows a record's time, with milliseconds. UTC is cut out of the text: no clock needed."""
    start = 0 if with_date else len("2025-11-21T")

    def show(record: Record) -> str:
        stamp = record.get("timestamp")
        if zone is UTC and isinstance(stamp, str) and len(stamp) == _STAMP_CHARS and stamp[-1] == "Z":
            return stamp[start:-4].replace("T", " ")
        moment = moment_of(record)
        if moment is None:
            return text_of(stamp)
        return in_zone(moment, zone).isoformat(" ", "milliseconds")[start:23]

    return show


def moment_of(record: Mapping[str, Any]) -> datetime | None:
    """Return when the record was emitted, None when it does not say so."""
    try:
        found = datetime.fromisoformat(record["timestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """Return the moment as the zone has it; unchanged where the calendar ends before."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment


def field(record: Any, name: str, default: Any = MISSING) -> Any:
    """Return a field by its name, or by its path with dots; `default` when there is none."""
    if isinstance(record, dict) and name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    while dot:
        if isinstance(record, dict) and head in record:
            return field(record[head], rest, default)
        longer, dot, rest = rest.partition(".")
        head = f"{head}.{longer}"
    return default


def status_text(record: Record) -> str:
    """Return the record's status, or what it counts as."""
    return text_of(status_of(record))


def message_of(record: Mapping[str, Any]) -> str:
    """Return the sentence that says most of what the record is about; empty when it has none."""
    for name in _SPOKEN:
        if isinstance(record.get(name), str) and record[name]:
            return str(record[name])
    for name in _ARGUMENTS:
        if record.get(name):
            return _arguments(record[name])
    if isinstance(record.get("error"), dict):
        return ": ".join(str(record["error"][key]) for key in ("type", "message") if key in record["error"])
    return next(_texts(record), "")


def _texts(record: Mapping[str, Any]) -> Any:
    return (
        value
        for name, value in record.items()
        if isinstance(value, str) and value and name not in _WHO_AND_WHEN
    )


def _arguments(value: Any) -> str:
    """Return arguments in one line: the only one as it is, several with their names."""
    if not isinstance(value, dict):
        return text_of(value)
    if len(value) == 1:
        return text_of(next(iter(value.values())))
    return " ".join(f"{name}={text_of(item)}" for name, item in value.items())


def text_of(value: Any) -> str:
    """Return a value as text: a text as it is, anything else as JSON, and nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    import json

    # Not orjson: rows of a select have decimals, and any key.
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
