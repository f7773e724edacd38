"""
How long code takes, as records (R-088): `profile`, around a block or a function.

    with profile("read configuration"):
        ...

    @profile
    def answer(question): ...
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from pipeline import app
from pipeline.host import clock
from pipeline.records.exception_forms import error_fields, is_plain_exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pipeline.app import Pipeline

    Function = TypeVar("Function", bound=Callable[..., Any])


class Profiling:
    """
    A stretch of code that is measured. Get one from `profile()`; it may be used again, one use after another.

    As a decorator it measures each call by itself, of functions, coroutines and generators: these from their
    first value to their end, with what is done between their values.
    """

    def __init__(self, name: str, fields: dict[str, Any], pipeline: Pipeline | None) -> None:
        self._name = name
        self._fields = fields
        self._pipeline = pipeline
        self._began = self._cpu_began = 0.0

    def __enter__(self) -> Self:
        self._began, self._cpu_began = clock.monotonic(), clock.thread_cpu()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cpu_ms = round((clock.thread_cpu() - self._cpu_began) * 1000, 3)
        duration_ms = round((clock.monotonic() - self._began) * 1000, 3)
        # who is not asked any further has not failed
        is_well = is_plain_exit(error) or isinstance(error, GeneratorExit)
        told = {"status": "success"} if is_well else error_fields(error)
        emit = app.emit if self._pipeline is None else self._pipeline.emit
        emit(
            "profile",
            **{"name": self._name, "duration_ms": duration_ms, "cpu_ms": cpu_ms, **told, **self._fields},
        )

    def __call__(self, function: Function) -> Function:
        """Return the function, measured."""
        name = self._name or f"{function.__module__}.{function.__qualname__}"

        def measured() -> Profiling:
            return Profiling(name, self._fields, self._pipeline)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*arguments: Any, **keywords: Any) -> Any:
                with measured():
                    return await function(*arguments, **keywords)

            return awaited  # type: ignore[return-value] # it is called as the function is

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generated(*arguments: Any, **keywords: Any) -> Any:
                with measured():
                    return (yield from function(*arguments, **keywords))

            return generated  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*arguments: Any, **keywords: Any) -> Any:
            with measured():
                return function(*arguments, **keywords)

        return called  # type: ignore[return-value]


@overload
def profile(what: Function, /) -> Function: ...
@overload
def profile(what: str = "", /, *, pipeline: Pipeline | None = None, **fields: Any) -> Profiling: ...
def profile(what: Any = "", /, *, pipeline: Pipeline | None = None, **fields: Any) -> Any:
    """
    Record how long a block or a function takes: one `profile` record at its end, with its wall and CPU time.

    `profile("name")` is for `with` and for decorators; `@profile` names the record after the function. The
    CPU time is that of the thread: in a coroutine it is also what other tasks have used meanwhile.
    """
    if callable(what):
        return Profiling("", {}, None)(what)
    return Profiling(what, fields, pipeline)
