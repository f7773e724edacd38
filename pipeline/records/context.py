"""
Fields that follow the flow of control: every record emitted inside `context(...)` carries them.

They live in context variables, so they follow asyncio tasks and `asyncio.to_thread`. A thread, a thread pool
or another process begins without them, unless it is given them: `carry()` and `resume()`, or `wrap()`.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from pipeline.records import open_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_P = ParamSpec("_P")
_R = TypeVar("_R")
_TRACE_IDS = frozenset({"trace_id", "span_id"})


class Onward(NamedTuple):
    """What a trace hands on beside its ids, and what no record needs: W3C's flags and `tracestate`."""

    flags: int = 1
    tracestate: str = ""


class Carried(NamedTuple):
    """A context as it goes to a thread or process. It can be pickled if its fields can."""

    fields: dict[str, Any]
    onward: Onward


_fields: ContextVar[dict[str, Any]] = ContextVar("pipeline_context", default={})  # noqa: B039 - never mutated
_onward: ContextVar[Onward] = ContextVar("pipeline_onward", default=Onward())  # noqa: B039 - cannot be mutated

current = _fields.get
"""Return the fields that were set. Not to be changed in place."""
onward = _onward.get


def in_force() -> dict[str, Any]:
    """Return the fields that a record emitted now gets: those that were set, and a current span's ids."""
    return open_telemetry.with_span(_fields.get())


class context:  # noqa: N801 - used like a function
    """
    Add fields to every record emitted inside, in this thread or task and the tasks it starts.

    Inner contexts add to outer ones, `baggage` also within itself; a field of the record itself wins over
    the context. Where OpenTelemetry has a current span, its ids go before a `trace_id` and `span_id` that
    were set outside of that span.
    """

    __slots__ = ("_given", "_tokens")

    def __init__(self, **fields: Any) -> None:
        self._given = fields
        self._tokens: list[list[Token[Any]]] = []

    def __enter__(self) -> dict[str, Any]:
        tokens, merged = _set(_merged(self._given), self._given)
        self._tokens.append(tokens)
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for token in reversed(self._tokens.pop()):
            token.var.reset(token)

    @staticmethod
    def carry() -> Carried:
        """Return the context in force, for `resume` in another thread or process."""
        return Carried(in_force(), _onward.get())

    @staticmethod
    def resume(carried: Carried) -> resumed:
        """Go on in a context that was carried here: inside, it takes the place of the one in force."""
        return resumed(carried)

    @staticmethod
    def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
        """
        Return the function with the context of now, for thread pools and process pools.

        `pool.submit(context.wrap(work), 7)` runs `work(7)` with the fields in force here. It can be pickled
        if the function and the fields can.
        """
        return partial(_resumed_call, context.carry(), function)


class resumed(context):  # noqa: N801 - see context
    """Go on in a context that was carried here. Get one from `context.resume()`."""

    __slots__ = ("_carried",)

    def __init__(self, carried: Carried) -> None:
        super().__init__()
        self._carried = Carried(*carried)

    def __enter__(self) -> dict[str, Any]:
        carried = dict(self._carried.fields)
        tokens, fields = _set(carried, carried)
        self._tokens.append([*tokens, _onward.set(Onward(*self._carried.onward))])
        return fields


def bind(**fields: Any) -> None:
    """Add fields to every record that this thread or task emits from here on, until `context(...)` ends."""
    _set(_merged(fields), fields)


def unbind(*names: str) -> None:
    """Take fields out of the context again, all of them when none is named."""
    before = _fields.get()
    _fields.set({name: value for name, value in before.items() if name not in names} if names else {})


def _merged(given: dict[str, Any]) -> dict[str, Any]:
    before = _fields.get()
    baggage = given.get("baggage"), before.get("baggage")
    if type(baggage[0]) is dict and type(baggage[1]) is dict:
        given = {**given, "baggage": {**baggage[1], **baggage[0]}}
    return {**before, **given}


def _set(fields: dict[str, Any], given: dict[str, Any]) -> tuple[list[Token[Any]], dict[str, Any]]:
    """Set the fields; where ids of a trace are among those given, they go before the span of now."""
    tokens: list[Token[Any]] = [_fields.set(fields)]
    if not _TRACE_IDS.isdisjoint(given):
        tokens.append(open_telemetry.stand_on_span())
    return tokens, dict(fields)


def _resumed_call(carried: Carried, function: Callable[..., _R], /, *args: Any, **keywords: Any) -> _R:
    with context.resume(carried):
        return function(*args, **keywords)
