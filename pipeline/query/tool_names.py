"""
The name of the tool of a record that has only a `tool_use_id`.

Calls have both, so a result is completed by the call that came before it. The ids of the last calls are kept,
so that memory has a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.query.facts import Record

CALLS_MAX: Final = 50_000
"""A result whose call is further back than this many other calls may stay without a name."""


class ToolNames:
    """What one pass over the records has seen of calls."""

    def __init__(self) -> None:
        # In two generations: taking the oldest out of one dict takes longer each time.
        self._names: dict[str, str] = {}
        self._older: dict[str, str] = {}

    def complete(self, record: Record) -> Record:
        """Return a record with its `tool_name` if that can be known; the same one otherwise."""
        use = record.get("tool_use_id")
        if not isinstance(use, str):
            return record
        name = record.get("tool_name")
        if name is None:
            known = self._names.get(use) or self._older.get(use)
            return record if known is None else {**record, "tool_name": known}
        if isinstance(name, str) and use not in self._names and use not in self._older:
            if len(self._names) >= CALLS_MAX:
                self._older, self._names = self._names, {}
            self._names[use] = name
        return record
