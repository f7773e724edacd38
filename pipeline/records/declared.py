"""The types that an application declares, as subclasses of `Record`: found by the name of their records."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.host import handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

Kept = TypeVar("Kept")
Shape = tuple[Any, ...]
"""What a field may be recorded as: see `shapes`, which is not imported here, nor msgspec with it."""
Fields = tuple[dict[str, Shape], frozenset[str]]
"""The shapes of fields by name, and the names that are needed."""
_OURS: Final = "pipeline.records."


class ByType(dict[str, Kept]):
    """What somebody keeps for each type of record. It is emptied when another type is declared."""

    def __init__(self) -> None:
        super().__init__()
        _kept.append(weakref.ref(self, _kept.remove))


_kept: Final[list[weakref.ref[ByType[Any]]]] = []


def note_new_type() -> None:
    """Have everybody look again: records of this type may have been emitted by name already."""
    for reference in _kept.copy():  # who keeps something may go meanwhile
        kept = reference()
        if kept is not None:
            kept.clear()


def fields_of(action_type: str) -> Fields | None:
    """Return the fields that the application declares for a type; None if it does not, or unreadably."""
    typed = sys.modules.get("pipeline.records.typed")
    if typed is None:
        return None
    declared = [one for one in _subclasses(typed.Record) if _name_of(one) == action_type]
    if not declared:
        return None
    from pipeline.records import shapes

    try:
        return shapes.fields_of(declared[-1])
    except Exception as error:  # noqa: BLE001 - an annotation that nobody can resolve, or a type of its own kind
        handlers.let_through(error)
        return None


def _name_of(one: Any) -> object:
    # A class that another thread is about to make has none yet.
    return getattr(getattr(one, "__struct_config__", None), "tag", None)


def _subclasses(one: Any) -> Iterator[Any]:
    for subclass in one.__subclasses__():
        if not subclass.__module__.startswith(_OURS):
            yield subclass
        yield from _subclasses(subclass)
