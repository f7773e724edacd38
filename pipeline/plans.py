"""What is the same for all records of a type, made when its first one comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.records.checks import ANY_TYPE, Checks, checks_of
from pipeline.records.declared import ByType

if TYPE_CHECKING:
    from collections.abc import Callable

Plan = list[Any]
"""
A list of three, of which emit() replaces the second, in one piece.

How the line goes on behind the time, empty when records of this type are switched off; the names of fields
that came last, and their test; what makes such tests (`records.checks`).
"""
_PLANS_MAX: Final = 1024


class Plans(ByType[Plan]):
    """
    The plans of a process by action_type.

    `quoted` makes JSON of an action_type, `wants` says whether its records are recorded; `are_checked`,
    whether anybody asks for fields that are not as a type says.
    """

    def __init__(
        self, quoted: Callable[[str], bytes], wants: Callable[[str], bool], *, are_checked: bool
    ) -> None:
        super().__init__()
        self._quoted = quoted
        self._wants = wants
        self._are_checked = are_checked

    def __missing__(self, action_type: str) -> Plan:
        quoted = self._quoted(action_type)
        opening = b""
        if self._wants(action_type):
            opening = b'Z","action_type":' + quoted + b',"action_number":'
        checks: Checks = checks_of(action_type) if self._are_checked else ANY_TYPE
        plan = [opening, checks.latest({}), checks]
        if len(self) < _PLANS_MAX:
            self[action_type] = plan
        return plan
