"""The forms in which emit() takes a record: name and keywords, a mapping, a typed record, a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

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
    return str(named or _name_of(kind)), fields | more


def _name_of(kind: type) -> str:
    from pipeline.records.typed import type_name

    return type_name(kind.__name__)
