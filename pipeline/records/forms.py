"""The forms in which emit() takes a record: name and keywords, a mapping, a typed record, a dataclass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MESSAGE: Final = "message"
"""The action_type of a mapping that names none."""


def unfolded(record: object, more: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """
    Return the action_type of a record and its fields, with `more` over them.

    A mapping has its type in `action_type`. A typed record is of its class's type and without the fields
    that are None; so is a dataclass, whose type is its attribute `action_type` or made of the class's name.
    Anything else is taken for an action_type, as its text.
    """
    if isinstance(record, Mapping):
        fields = dict(record)
        return str(fields.pop("action_type", MESSAGE)), fields | more if more else fields
    kind = type(record)
    config = getattr(kind, "__struct_config__", None)
    names = getattr(kind, "__struct_fields__" if config else "__dataclass_fields__", None)
    if not isinstance(names, tuple | dict):
        return str(record), more
    given = ((name, getattr(record, name, None)) for name in names)
    fields = {name: value for name, value in given if value is not None}
    named = getattr(config, "tag", None) or fields.pop("action_type", None)
    return str(named or type_name(kind.__name__)), fields | more


def type_name(class_name: str) -> str:
    """Return the action_type of a class: `tool_call` for ToolCall."""
    return _WORD_START.sub("_", class_name).lower()
