"""print() as records, for programs that still talk that way (R-325)."""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any, Self

from pipeline import app
from pipeline.records.value_texts import text_of

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from pipeline.app import Pipeline


class capture_print:  # noqa: N801 - used like a function
    """
    Record what `print()` says as `log` records with file and line, and let it be printed as before.

    In force from the call to `stop()`, or inside `with capture_print():`. Only what goes to stdout or stderr
    is recorded; a print with `file=` of another file is nobody's log line. `echo=False` prints nothing.
    """

    def __init__(self, *, pipeline: Pipeline | None = None, level: str = "INFO", echo: bool = True) -> None:
        self._pipeline = pipeline
        self._level = level
        self._echo = echo
        self._original = builtins.print
        builtins.print = self._print

    def stop(self) -> None:
        """Give print() back. Idempotent."""
        if builtins.print == self._print:
            builtins.print = self._original

    def _print(self, *values: object, **options: Any) -> None:
        target = options.get("file")
        is_ours = target is None or target in (sys.stdout, sys.stderr)
        if is_ours:
            emit = app.emit if self._pipeline is None else self._pipeline.emit
            separator = options.get("sep")
            emit("log", **self._fields(values, " " if separator is None else separator, sys._getframe(1)))
        if self._echo or not is_ours:
            self._original(*values, **options)

    def _fields(self, values: tuple[object, ...], separator: str, caller: FrameType) -> dict[str, Any]:
        return {
            "level": self._level,
            "logger": "print",
            "message": str(separator).join(text_of(value, chars_max=None) for value in values),
            "module": caller.f_globals.get("__name__", ""),
            "function": caller.f_code.co_name,
            "line": caller.f_lineno,
            "file": caller.f_code.co_filename,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
