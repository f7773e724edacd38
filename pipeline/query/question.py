"""What a query asks for, as `filter()` has gathered it: conditions, a span of time, days."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import QueryError
from pipeline.query import moments
from pipeline.query.conditions import Condition, contains, matches, texts_of, top_field_is

if TYPE_CHECKING:
    from collections.abc import Callable


FIELDS: Final = {
    "action_types": "action_type",
    "session_id": "session_id",
    "status": "status",
    "tool_name": "tool_name",
    "level": "level",
    "trace_id": "trace_id",
    "producer": "producer",
}
"""Arguments of `filter()` that ask for a field, and which."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that a record must be. Bounds are inclusive; an empty one is none."""

    conditions: tuple[Condition, ...] = ()
    first: str = ""
    """The earliest timestamp, as records have it."""
    last: str = ""
    first_day: str = ""
    """The earliest day, as files have it."""
    last_day: str = ""

    @property
    def asks_tool_name(self) -> bool:
        """Whether tool names have to be completed to answer it."""
        return any(condition.asks_tool_name for condition in self.conditions)

    @property
    def has_span(self) -> bool:
        """Whether it asks for moments, and not only for days."""
        return bool(self.first or self.last)

    def is_in_span(self, timestamp: str) -> bool:
        """Tell whether a record's timestamp is within the moments asked for."""
        at = moments.canonical(timestamp)
        return at is not None and self.first <= at and (not self.last or at <= self.last)

    def plus(self, condition: Condition) -> Question:
        """Return the question that asks for this, too."""
        return replace(self, conditions=(*self.conditions, condition))

    def since(self, value: object, where: str) -> Question:
        """Return the question about this moment or later."""
        return replace(self, first=max(self.first, moments.stamp(moments.moment(value, where))))

    def until(self, value: object, where: str, *, included: bool = False) -> Question:
        """Return the question about before this moment."""
        at = moments.moment(value, where)
        text = moments.stamp(at if included else moments.before(at))
        return replace(self, last=min(self.last or text, text))

    def between(self, value: object) -> Question:
        """Return the question about a range of days or moments, both ends included."""
        start, end = _range(value)
        found = self.since(start, "date_range") if _is_moment(start) else self
        found = found.until(end, "date_range", included=True) if _is_moment(end) else found
        first_day, last_day = moments.day(start) or "", moments.day(end) or found.last_day
        return replace(
            found,
            first_day=max(found.first_day, first_day),
            last_day=min(found.last_day or last_day, last_day),
        )


def asked(question: Question, arguments: dict[str, Any]) -> Question:
    """Return the question that asks for the arguments of `filter()`, too. QueryError for a wrong one."""
    for name, value in arguments.items():
        if value is not None:
            question = _take(question, name, value)
    return question


def _take(question: Question, name: str, value: Any) -> Question:
    if name in FIELDS:
        return question.plus(top_field_is(FIELDS[name], texts_of(value, name)))
    if name in _TEXTS:
        if not isinstance(value, str):
            raise QueryError("not a text", where=name, cause=repr(value))
        return question.plus(_TEXTS[name](value))
    if name == "date_range":
        return question.between(value)
    return question.since(value, name) if name == "since" else question.until(value, name)


def _where(text: str) -> Condition:
    from pipeline.query import where

    return where.condition(text)


_TEXTS: Final[dict[str, Callable[[str], Condition]]] = {
    "keyword": contains,
    "content_match": matches,
    "where": _where,
}


def _is_moment(value: object) -> bool:
    return value is not None and moments.day(value) is None


def _range(value: object) -> tuple[object, object]:
    if isinstance(value, tuple | list):
        if len(value) != 2:  # noqa: PLR2004 - both ends
            raise QueryError(
                "not a range",
                where="date_range",
                cause=repr(value),
                remedy='Give two ends, such as ("2025-11-20", "2025-11-21"), or one day',
            )
        return value[0], value[1]
    return value, value
