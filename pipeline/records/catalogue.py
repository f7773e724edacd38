"""
All types of records by name, as classes and as JSON Schema.

Imports msgspec; what `emit()` needs of it is in `kinds`, which is generated from here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pipeline.records import actions, observations, own
from pipeline.records.examples import EXAMPLES
from pipeline.records.typed import Record

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE: Final[dict[str, dict[str, Any]]] = {
    "timestamp": {
        "description": "When it was emitted, RFC 3339 UTC with microseconds.",
        "type": "string",
        "format": "date-time",
    },
    "action_type": {"description": "Name of the type.", "type": "string"},
    "action_number": {
        "description": "Its place among its producer's records, without a gap.",
        "type": "integer",
        "minimum": 1,
    },
    "producer": {"description": "Id of the producer.", "type": "string"},
}
"""What every record begins with; the pipeline adds it."""


def types_in(module: Any) -> dict[str, type[Record]]:
    """Return the types of a module by action_type, in the order of its text."""
    found = (value for name, value in vars(module).items() if not name.startswith("_"))
    classes = [value for value in found if isinstance(value, type) and issubclass(value, Record)]
    return {name_of(one): one for one in classes if one is not Record and one.__module__ == module.__name__}


def name_of(record_type: type[Record]) -> str:
    """Return the action_type of a class."""
    return str(record_type.__struct_config__.tag)


ACTIONS: Final = types_in(actions)
"""The 19 action types."""
OBSERVATIONS: Final = types_in(observations)
OWN: Final = types_in(own)
TYPES: Final[dict[str, type[Record]]] = {**ACTIONS, **OBSERVATIONS, **OWN}
COMMON: Final = tuple(field.name for field in msgspec.structs.fields(Record))


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each type's records, as they stand in a file."""
    _, found = msgspec.json.schema_components(TYPES.values(), ref_template="#/$defs/{name}")
    return {name: _schema(name, found[one.__name__]) for name, one in TYPES.items()}


def schema(action_type: str) -> dict[str, Any]:
    """Return the JSON Schema of one type. Raises KeyError for one that there is not."""
    return {"$schema": _DIALECT, **schemas()[action_type]}


def schema_of_all() -> dict[str, Any]:
    """Return one JSON Schema for every record: known types have their fields, unknown ones are welcome."""
    described = schemas()
    branches = [
        {
            "if": {"properties": {"action_type": {"const": name}}},
            "then": {"$ref": f"#/$defs/{name}"},
        }
        for name in described
    ]
    return {
        "$schema": _DIALECT,
        "title": "record",
        "description": "A line of a day file.",
        "type": "object",
        "properties": ENVELOPE,
        "required": list(ENVELOPE),
        "allOf": branches,
        "$defs": described,
    }


def _schema(name: str, found: dict[str, Any]) -> dict[str, Any]:
    fields = {field: _flat(one) for field, one in found["properties"].items() if field not in ENVELOPE}
    common = {field: fields.pop(field) for field in COMMON}
    envelope = ENVELOPE | {"action_type": ENVELOPE["action_type"] | {"const": name}}
    own_fields = [field for field in found["required"] if field not in ENVELOPE]
    about: dict[str, Any] = {
        "title": name,
        "description": " ".join(found["description"].split()),
        "type": "object",
        "properties": {**envelope, **fields, **common},
        "required": [*ENVELOPE, *own_fields],
    }
    return about | ({"examples": [EXAMPLES[name]]} if name in EXAMPLES else {})


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema with `null` and other kinds among its types, and not as alternatives."""
    rest = {key: value for key, value in field.items() if key not in {"anyOf", "default"}}
    parts = field.get("anyOf", [])
    kinds: list[str] = []
    for part in map(_flat, parts):
        kind = part.pop("type", [])
        kinds += [kind] if isinstance(kind, str) else kind
        rest = {**part, **rest}
    if kinds:
        rest["type"] = kinds if len(kinds) > 1 else kinds[0]
    return rest
