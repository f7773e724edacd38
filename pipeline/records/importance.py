"""Which records are critical, and which may go first when the queue is full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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


def is_low(fields: Mapping[str, Any]) -> bool:
    """Whether a record that is not critical is below WARNING. One without a level counts as INFO."""
    return _level(fields) not in _KEPT_LEVELS


def _level(fields: Mapping[str, Any]) -> str:
    level = fields.get("level", "")
    return level.upper() if isinstance(level, str) else ""
