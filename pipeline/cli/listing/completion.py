"""
What a shell offers for the values of options: days, and types, sessions and tools that were recorded lately.

A person who presses the tab key waits for it: only the end of the newest file is read, never more.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from click.shell_completion import CompletionItem

from pipeline.host import files
from pipeline.paths import resolve_log_dir
from pipeline.settings import given_outside
from pipeline.storage import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_END_BYTES: Final = 256 << 10
_SAFE: Final = re.compile(r"[\w.@:/+-]{1,128}", re.ASCII)
"""What needs no quotes in a shell; anything else is not offered."""
_STATUSES: Final = ("error", "success", "warning", "pending", "quota_exceeded")
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_FIELDS: Final = ("timestamp", "action_type", "action_number", "producer", "status", "message")


def complete(option: str, directory: str | None, begun: str) -> list[CompletionItem]:
    """Return what may follow; of several names with commas between, the last one is completed."""
    offered = _OFFERED.get(option)
    if offered is None:
        return []
    before, comma, word = begun.rpartition(",")
    values = sorted({value for value in offered(_log_dir(directory)) if value.startswith(word)})
    return [CompletionItem(f"{before}{comma}{value}") for value in values]


def _log_dir(directory: str | None) -> Path:
    return resolve_log_dir(directory or given_outside("log_dir"))


def _days(log_dir: Path) -> Iterable[str]:
    days = (naming.parse(naming.unpacked(name)[0]) for name in files.names_in(log_dir))
    return {"today", "yesterday", *(day.period[: len("2025-11-21")] for day in days if day)}


def _lately(name: str) -> Callable[[Path], Iterable[str]]:
    """Return what gives the values of a field that stand in the last lines of the newest plain file."""

    def values(log_dir: Path) -> Iterable[str]:
        found = (record.get(name) for record in _last_records(log_dir))
        return [value for value in found if isinstance(value, str) and _SAFE.fullmatch(value)]

    return values


def _last_records(log_dir: Path) -> list[dict[str, Any]]:
    import orjson

    records = []
    for line in _end_of(log_dir).split(b"\n")[1:-1]:
        try:
            record = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _end_of(log_dir: Path) -> bytes:
    plain = [name for name in files.names_in(log_dir) if naming.parse(name)]
    if not plain:
        return b""
    try:
        with open(log_dir / max(plain), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_BYTES))
            # A line break in front: the first line is thrown away unless the file begins with it.
            return (b"" if size > _END_BYTES else b"\n") + file.read(_END_BYTES)
    except OSError:
        return b""


def _types(log_dir: Path) -> Iterable[str]:
    from pipeline.records.kinds import REQUIRED

    return [*REQUIRED, *_lately("action_type")(log_dir)]


def _fields(log_dir: Path) -> Iterable[str]:
    names = {name for record in _last_records(log_dir) for name in record}
    return [*_FIELDS, *(name for name in names if _SAFE.fullmatch(name))]


def _timezones(_log_dir: Path) -> Iterable[str]:
    import zoneinfo

    return {"local", *zoneinfo.available_timezones()}


_OFFERED: Final[dict[str, Callable[[Path], Iterable[str]]]] = {
    "date": _days,
    "action-type": _types,
    "session-id": _lately("session_id"),
    "tool-name": _lately("tool_name"),
    "trace-id": _lately("trace_id"),
    "producer": _lately("producer"),
    "status": lambda _: _STATUSES,
    "level": lambda _: _LEVELS,
    "fields": _fields,
    "timezone": _timezones,
}
