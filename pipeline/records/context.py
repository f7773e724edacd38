"""Fields that follow the flow of control: every record emitted inside `context(...)` carries them."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_fields: ContextVar[dict[str, Any]] = ContextVar("pipeline_context", default={})  # noqa: B039 - never mutated

current = _fields.get
"""Return the fields in force. Not to be changed in place."""


class context:  # noqa: N801 - used like a function
    """
    Add fields to every record emitted inside, in this thread or task and the tasks it starts.

    Inner contexts add to outer ones; a field of the record itself wins over the context.
    """

    __slots__ = ("_given", "_tokens")

    def __init__(self, **fields: Any) -> None:
        self._given = fields
        self._tokens: list[Token[dict[str, Any]]] = []

    def __enter__(self) -> dict[str, Any]:
        merged = {**_fields.get(), **self._given}
        self._tokens.append(_fields.set(merged))
        return dict(merged)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _fields.reset(self._tokens.pop())
