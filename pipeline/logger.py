"""
`get_logger(name)`: lines with keyword fields, straight into the default pipeline (R-083 to R-085, C-30).

Every keyword is a field, `name` and `module` as well; what the standard library's `extra=` forbids is fine
here. Lines are `log` records like those of `logging` handlers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pipeline import app, tracing
from pipeline.records.context import bind, current
from pipeline.records.value_texts import text_of

if TYPE_CHECKING:
    from pipeline.app import Pipeline

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_NAMES: Final = {number: name for name, number in LEVELS.items()} | {"WARN": "WARNING", "FATAL": "CRITICAL"}
_OURS: Final = frozenset({"level", "logger", "message", "exception", "durable"})

_loggers: dict[str, Logger] = {}


class Logger:
    """
    A named source of log lines. Get one from `get_logger()`.

        log = pipeline.get_logger(__name__)
        log.info("request done", endpoint="/api/chat", latency_ms=234)

    Positional arguments are put into the message as `logging` does (`log.info("%d rows", n)`). Every method
    returns the action_number, 0 when the line was not accepted, and never raises for what it is given.
    """

    __slots__ = ("_pipeline", "level", "name")

    def __init__(self, name: str, *, level: str = "DEBUG", pipeline: Pipeline | None = None) -> None:
        self.name = name
        self.level = LEVELS[level]
        """Lines below this number (as in LEVELS) are left out."""
        self._pipeline = pipeline

    def debug(self, message: object, /, *args: object, **fields: Any) -> int:
        """Record a line of level DEBUG."""
        return self._line("DEBUG", message, args, fields) if self.level <= 10 else 0  # noqa: PLR2004 - LEVELS

    def info(self, message: object, /, *args: object, **fields: Any) -> int:
        """Record a line of level INFO."""
        return self._line("INFO", message, args, fields) if self.level <= 20 else 0  # noqa: PLR2004 - LEVELS

    def warning(self, message: object, /, *args: object, **fields: Any) -> int:
        """Record a line of level WARNING."""
        return self._line("WARNING", message, args, fields) if self.level <= 30 else 0  # noqa: PLR2004 - LEVELS

    def error(self, message: object, /, *args: object, exc_info: object = False, **fields: Any) -> int:
        """Record a line of level ERROR; `exc_info` is True, or an error, for its traceback."""
        return self._line("ERROR", message, args, fields, exc_info) if self.level <= 40 else 0  # noqa: PLR2004

    def critical(self, message: object, /, *args: object, exc_info: object = False, **fields: Any) -> int:
        """Record a line of level CRITICAL."""
        return self._line("CRITICAL", message, args, fields, exc_info)

    def exception(self, message: object, /, *args: object, **fields: Any) -> int:
        """Record a line of level ERROR with the error that is being handled."""
        return self._line("ERROR", message, args, fields, exc_info=True)

    def log(self, level: str | int, message: object, /, *args: object, **fields: Any) -> int:
        """Record a line of a level by its name, or by its number as in `logging`."""
        name = _NAMES.get(level, str(level).upper())
        name = str(_NAMES.get(name, name))
        number = level if isinstance(level, int) else LEVELS.get(name, self.level)
        exc_info = fields.pop("exc_info", False)
        return self._line(name, message, args, fields, exc_info) if number >= self.level else 0

    def is_enabled_for(self, level: str) -> bool:
        """Whether lines of a level are recorded."""
        return LEVELS.get(level, LEVELS["CRITICAL"]) >= self.level

    def set_trace_context(self, trace_id: str | None = None, span_id: str | None = None) -> dict[str, Any]:
        """
        Set trace_id and span_id for all that this thread or task records from here on; returns the context.

        New ids (32 and 16 hex digits, as W3C has them) where none are given.
        """
        bind(trace_id=trace_id or tracing.new_trace_id(), span_id=span_id or tracing.new_span_id())
        return dict(current())

    def _line(
        self,
        level: str,
        message: object,
        args: tuple[object, ...],
        fields: dict[str, Any],
        exc_info: object = None,
    ) -> int:
        caller = sys._getframe(2)
        line: dict[str, Any] = {
            "level": level,
            "logger": self.name,
            **_message(message, args),
            "module": caller.f_globals.get("__name__", ""),
            "function": caller.f_code.co_name,
            "line": caller.f_lineno,
        }
        if exc_info:
            line["exception"] = _exception(exc_info)
        for name, value in fields.items():
            line[f"field_{name}" if name in _OURS else name] = value
        return (app.emit if self._pipeline is None else self._pipeline.emit)("log", **line)


def get_logger(name: str = "") -> Logger:
    """Return the logger of a name, the same one for the same name. It needs no pipeline yet."""
    logger = _loggers.get(name)
    if logger is None:
        logger = _loggers.setdefault(name, Logger(name))
    return logger


def _message(message: object, args: tuple[object, ...]) -> dict[str, Any]:
    if not args:
        return {"message": message if isinstance(message, str) else text_of(message, chars_max=None)}
    template = text_of(message, chars_max=None)
    try:
        return {"message": template % args, "template": template, "args": list(args)}
    except Exception as error:  # noqa: BLE001 - the wrong number of arguments, a __str__ that raises
        problem = f"{type(error).__name__}: {error}"
        return {"message": template, "args": list(args), "message_error": problem}


def _exception(exc_info: object) -> str:
    from pipeline.records.log_lines import traceback_text

    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(error, BaseException):
        error = sys.exception()
    return traceback_text(error, error.__traceback__) if error is not None else ""
