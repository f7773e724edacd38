"""Field names that the pipeline needs for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


def renamed(fields: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """
    Return `fields` with each field called one of `names` under the name `field_NAME`, order kept.

    A name that is taken gets further `field_` in front, so that no field replaces another.
    """
    if not any(name in fields for name in names):
        return fields
    return {_free_name(name, fields) if name in names else name: value for name, value in fields.items()}


def _free_name(name: str, taken: dict[str, Any]) -> str:
    free = f"field_{name}"
    while free in taken:
        free = f"field_{free}"
    return free
