"""
Conditions on a record, and the bytes that a line must contain for one to hold.

A *needle* is what the line of every record contains for which a condition holds, so that large pieces of a
file can be passed over before anything is parsed. Lines of ours are what orjson writes: no space between, and
each text in the one form that orjson has for it. So `orjson.dumps()` of a value is its needle, escapes
included. A condition without needles, or one that is denied, has to be asked of each record.

Invariant
    N1  A record for which a condition holds contains one of its needles.   property/test_query_filters.py
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.errors import QueryError
from pipeline.query.facts import ERROR_ENDING, WARNING_TYPE, status_of, texts_in, values_at, words_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from pipeline.query.facts import Record

TOOL_NAME: Final = "tool_name"
_PLAIN: Final = re.compile(r"[\w \-:/@#%,;<>'\"!&=]+")
"""Signs that mean themselves in a regular expression."""


class Condition(NamedTuple):
    """What is asked of a record."""

    holds: Callable[[Record], bool]
    needles: tuple[bytes, ...] = ()
    """The line contains one of them; empty when nothing can be said."""
    asks_tool_name: bool = False
    keys: tuple[tuple[str, str], ...] = ()
    """(field, value) pairs of which the record has one; empty when nothing can be said."""


def field_is(path: tuple[str, ...], wanted: Collection[str]) -> Condition:
    """Return the condition that a field is one of these texts."""
    texts = frozenset(wanted)
    if path == ("status",):
        return _status_is(texts)

    def holds(record: Record) -> bool:
        return any(isinstance(value, str) and value in texts for value in values_at(record, path))

    # The last name alone: the value may stand in a list, or the whole path may be one name with dots.
    needles = tuple(orjson.dumps(text) for text in sorted(texts))
    if len(path) > 1:
        return Condition(holds, needles)
    keys = tuple((path[0], text) for text in sorted(texts))
    return Condition(holds, needles, asks_tool_name=path[0] == TOOL_NAME, keys=keys)


def top_field_is(name: str, wanted: Collection[str]) -> Condition:
    """Return the condition that a field of the record itself is one of these texts, and no list."""
    texts = frozenset(wanted)
    if name == "status":
        return _status_is(texts)

    def holds(record: Record) -> bool:
        value = record.get(name)
        return isinstance(value, str) and value in texts

    key = orjson.dumps(name) + b":"
    needles = tuple(key + orjson.dumps(text) for text in sorted(texts))
    keys = tuple((name, text) for text in sorted(texts))
    return Condition(holds, needles, asks_tool_name=name == TOOL_NAME, keys=keys)


def _status_is(texts: frozenset[str]) -> Condition:
    needles = [b'"status":' + orjson.dumps(text) for text in sorted(texts)]
    if "error" in texts:
        # With the name of the field that follows: a longer needle is found twice as fast.
        needles.append(f'{ERROR_ENDING}","action_number":'.encode())
    if "warning" in texts:
        needles.append(f'"action_type":"{WARNING_TYPE}"'.encode())

    def holds(record: Record) -> bool:
        status = status_of(record)
        return isinstance(status, str) and status in texts

    # Most records without a status are successes: nothing in them says so.
    return Condition(holds, () if "success" in texts else tuple(needles))


def contains(keyword: str) -> Condition:
    """Return the condition that a text stands anywhere in a record: in a value, a name, a number."""
    needle = orjson.dumps(keyword)[1:-1]

    def holds(record: Record) -> bool:
        return any(keyword in word for word in words_in(record))

    return Condition(holds, (needle,) if needle else ())


def matches(pattern: str) -> Condition:
    """Return the condition that a regular expression is found in a text value. QueryError if it is none."""
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise QueryError(
            "no regular expression", where="content_match", cause=error, remedy="Escape its signs with \\"
        ) from error
    needles = (orjson.dumps(pattern)[1:-1],) if _PLAIN.fullmatch(pattern) else ()
    return Condition(lambda record: any(search(text) for text in texts_in(record)), needles)


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that all of these hold."""
    if len(conditions) == 1:
        return conditions[0]
    best = max((one.needles for one in conditions if one.needles), key=_worth, default=())
    keys = next((one.keys for one in conditions if one.keys), ())
    return Condition(
        lambda record: all(one.holds(record) for one in conditions),
        best,
        asks_tool_name=_asks_tool_name(conditions),
        keys=keys,
    )


def any_of(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that one of these holds."""
    if len(conditions) == 1:
        return conditions[0]
    needles = tuple(dict.fromkeys(needle for one in conditions for needle in one.needles))
    keys = tuple(dict.fromkeys(key for one in conditions for key in one.keys))
    return Condition(
        lambda record: any(one.holds(record) for one in conditions),
        needles if all(one.needles for one in conditions) else (),
        asks_tool_name=_asks_tool_name(conditions),
        keys=keys if all(one.keys for one in conditions) else (),
    )


def none_of(conditions: Sequence[Condition]) -> Condition:
    """Return the condition that none of these holds."""
    return Condition(
        lambda record: not any(one.holds(record) for one in conditions),
        asks_tool_name=_asks_tool_name(conditions),
    )


def _asks_tool_name(conditions: Iterable[Condition]) -> bool:
    return any(one.asks_tool_name for one in conditions)


def _worth(needles: tuple[bytes, ...]) -> float:
    return min(map(len, needles)) / len(needles)


def texts_of(value: Any, where: str) -> list[str]:
    """Return the texts that an argument asks for: one, or any of several. QueryError for anything else."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple | set | frozenset) or not all(
        isinstance(one, str) for one in values
    ):
        raise QueryError("not a text or a list of texts", where=where, cause=repr(value))
    return list(values)
