"""Which records are critical, and which may go first when the queue is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ACTION_TYPE_CHARS_MAX: Final = 128
"""What is recorded of an action_type; a longer one is judged by all of it at emit(), and was cut since."""
_CRITICAL_LEVELS: Final = frozenset({"ERROR", "CRITICAL", "FATAL"})
_KEPT_LEVELS: Final = _CRITICAL_LEVELS | {"WARNING", "WARN"}


def is_critical(action_type: str, fields: Mapping[str, Any], critical_types: Collection[str]) -> bool:
    """
    Whether a record uses the reserve.

    Level ERROR or above, status error, `*_error`, or a configured type.
    """
    if action_type.endswith("_error") or action_type in critical_types:
        return True
    return _level(fields) in _CRITICAL_LEVELS or fields.get("status") == "error"


def is_critical_line(line: bytes, critical_types: Collection[str]) -> bool:
    """Whether a record as it stands in the queue is critical; yes where that cannot be told."""
    try:
        record = orjson.loads(line)
        action_type = record["action_type"]
        return len(action_type) >= ACTION_TYPE_CHARS_MAX or is_critical(action_type, record, critical_types)
    except (ValueError, LookupError, TypeError):
        return True


def is_low(fields: Mapping[str, Any]) -> bool:
    """Whether a record that is not critical is below WARNING. One without a level counts as INFO."""
    return _level(fields) not in _KEPT_LEVELS


def _level(fields: Mapping[str, Any]) -> str:
    level = fields.get("level", "")
    return level.upper() if isinstance(level, str) else ""
