"""
Names of tools for the few records that a table shows.

A result that has only the id of its call is completed by that call. Completing every record that is read
would mean to parse every line of a day; so the calls of those few are looked for, backwards from the last.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.listing.columns import moment_of
from pipeline.query import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.cli.listing.columns import Record
    from pipeline.query import LogQueryEngine

_LONGEST_CALL: Final = timedelta(hours=6)
"""A tool that ran longer is left without its name: the whole directory would have to be read for it."""


def completed(records: Sequence[Record], engine: LogQueryEngine) -> list[Record]:
    """Return the records, with the `tool_name` of their call where they have only its id."""
    names = {use: record["tool_name"] for record in records if (use := _use(record)) and _name(record)}
    missing = {use for record in records if (use := _use(record)) and not _name(record) and use not in names}
    if missing:
        names |= _looked_up(missing, records, engine)
    return [
        record if _name(record) or _use(record) not in names else {**record, "tool_name": names[_use(record)]}
        for record in records
    ]


def _looked_up(missing: set[str], records: Sequence[Record], engine: LogQueryEngine) -> dict[Any, str]:
    times = [moment for record in records if (moment := moment_of(record))]
    if times:
        engine = engine.filter(since=min(times) - _LONGEST_CALL, until=max(times) + timedelta(microseconds=1))
    wanted = ", ".join(json.dumps(use, ensure_ascii=False) for use in sorted(missing) if use.isprintable())
    if not wanted:
        return {}
    calls = engine.filter(action_types="tool_call", where=f"tool_use_id in ({wanted})").tail(len(missing))
    return {_use(call): call["tool_name"] for call in calls.iter(Report()) if _name(call)}


def _use(record: Record) -> str:
    use = record.get("tool_use_id")
    return use if isinstance(use, str) else ""


def _name(record: Record) -> str:
    name = record.get("tool_name")
    return name if isinstance(name, str) else ""
