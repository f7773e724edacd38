"""What a record says of itself, also where it leaves it unsaid: its status, its values, its texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]

ERROR_ENDING: Final = "_error"
WARNING_TYPE: Final = "system_warning"


def status_of(record: Record) -> Any:
    """
    Return a record's `status`; where it has none, what counts as its status.

    `error` for types whose name ends with `_error`, `warning` for `system_warning`, else `success`.
    """
    status = record.get("status")
    if status is not None:
        return status
    action_type = record.get("action_type")
    if isinstance(action_type, str) and action_type.endswith(ERROR_ENDING):
        return "error"
    return "warning" if action_type == WARNING_TYPE else "success"


def values_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at a dotted path; of a list every element, so `tags = a` asks for any of them."""
    if isinstance(value, list):
        for element in value:
            yield from values_at(element, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        rest = ".".join(path)
        if len(path) > 1 and rest in value:  # a field whose own name has dots
            yield from values_at(value[rest], ())
        elif path[0] in value:
            yield from values_at(value[path[0]], path[1:])


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text value, at whatever depth; names of fields are none."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def words_in(value: Any) -> Iterator[str]:
    """Yield every text value and name of a field, and each number, `true`, `false`, `null` as written."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            yield from one
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
        else:
            yield orjson.dumps(one).decode()
