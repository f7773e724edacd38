"""
Errors that nobody caught, recorded before Python shows them: critical `uncaught_error` records.

`sys.excepthook`, `threading.excepthook`, `sys.unraisablehook` and the exception handler of asyncio loops.
Each calls what was there before, so that what a person sees does not change.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from pipeline import app
from pipeline.host import handlers
from pipeline.records.exception_forms import error_fields
from pipeline.records.log_lines import traceback_text

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from pipeline.app import Pipeline

_QUIET = (SystemExit, KeyboardInterrupt)
"""How programs end on purpose; Python itself says nothing of the first."""


class capture_uncaught:  # noqa: N801 - used like a function
    """
    Record errors that nobody caught, from the call to `stop()`, or inside a `with`.

    A record has error_type, error_message, traceback, where (main, thread, asyncio, unraisable) and the
    thread's or task's name. An asyncio loop that runs now is covered; for others call `watch(loop)`.
    """

    def __init__(self, *, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline
        self._hook, self._thread_hook, self._last_hook = (
            sys.excepthook,
            threading.excepthook,
            sys.unraisablehook,
        )
        sys.excepthook = self._in_main
        threading.excepthook = self._in_thread
        sys.unraisablehook = self._unraisable
        loop = _running_loop()
        if loop is not None:
            self.watch(loop)

    def stop(self) -> None:
        """Give the hooks back that were there before, where nobody has put others in their place since."""
        if sys.excepthook == self._in_main:
            sys.excepthook = self._hook
        if threading.excepthook == self._in_thread:
            threading.excepthook = self._thread_hook
        if sys.unraisablehook == self._unraisable:
            sys.unraisablehook = self._last_hook

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Record what a loop reports: errors of tasks whose result nobody asked for, and of callbacks."""
        before = loop.get_exception_handler()

        def report(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
            error = about.get("exception")
            task: Any = about.get("task") or about.get("future")
            name = task.get_name() if hasattr(task, "get_name") else ""
            self._record("asyncio", error, None, name=name, message=about.get("message", ""))
            if before is not None:
                before(loop, about)
            else:
                loop.default_exception_handler(about)

        loop.set_exception_handler(report)

    def _in_main(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, _QUIET):
            self._record("main", error, trace, name=threading.current_thread().name)
        self._hook(kind, error, trace)

    def _in_thread(self, about: threading.ExceptHookArgs) -> None:
        if not issubclass(about.exc_type, SystemExit):
            name = about.thread.name if about.thread is not None else ""
            self._record("thread", about.exc_value, about.exc_traceback, name=name)
        self._thread_hook(about)

    def _unraisable(self, about: sys.UnraisableHookArgs) -> None:
        self._record("unraisable", about.exc_value, about.exc_traceback, message=about.err_msg or "")
        self._last_hook(about)

    def _record(
        self,
        where: str,
        error: BaseException | None,
        trace: TracebackType | None,
        *,
        name: str = "",
        message: str = "",
    ) -> None:
        """Record an error; nothing that goes wrong here may hide it from the hook that follows."""
        fields: dict[str, Any] = {"level": "CRITICAL", "status": "error", "where": where}
        if name:
            fields["name"] = name
        if message:
            fields["message"] = message
        if error is not None:
            fields |= error_fields(error)
            fields["traceback"] = traceback_text(error, trace or error.__traceback__)
        try:
            (app.emit if self._pipeline is None else self._pipeline.emit)("uncaught_error", **fields)
        except Exception as second:  # noqa: BLE001 - see above
            handlers.let_through(second)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
