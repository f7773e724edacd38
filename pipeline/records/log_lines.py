"""
A line of the standard `logging` module as the fields of a `log` record (R-063 to R-067).

What the line carries beside the standard attributes is taken over as it is: that is what `extra=` put there.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import handlers

if TYPE_CHECKING:
    from types import TracebackType

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every LogRecord has; `taskName` came with Python 3.12."""


def fields_of(line: logging.LogRecord) -> dict[str, Any]:
    """
    Return the fields of a log line: level, logger, message, where it was logged, and what `extra` added.

    `template` and `args` are there when the message was made of them, `exception` and `stack` as text when
    the line carries them. A message that cannot be made is recorded as its template with `message_error`.
    """
    fields: dict[str, Any] = {"level": line.levelname, "logger": line.name}
    fields |= _message_of(line)
    fields |= {
        "module": line.module,
        "function": line.funcName,
        "line": line.lineno,
        "file": line.pathname,
        "thread": line.threadName,
        "process": line.process,
    }
    exception = exception_text(line)
    if exception:
        fields["exception"] = exception
    if line.stack_info:
        fields["stack"] = str(line.stack_info)
    for name, value in vars(line).items():
        if name not in _STANDARD:
            fields[name if name not in fields else f"field_{name}"] = value
    return fields


def exception_text(line: logging.LogRecord) -> str:
    """Return the traceback that a line carries, "" when it carries none."""
    if line.exc_text:
        return line.exc_text
    info = line.exc_info
    if not isinstance(info, tuple) or info[1] is None:
        return ""
    return traceback_text(info[1], info[2])


def traceback_text(error: BaseException, trace: TracebackType | None) -> str:
    """Return a traceback as Python prints it; of an error that cannot be printed, its type."""
    try:
        return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")
    except Exception as second:  # noqa: BLE001 - somebody's __str__ or __cause__
        handlers.let_through(second)
        return f"{type(error).__module__}.{type(error).__qualname__}: <cannot be shown>"


def _message_of(line: logging.LogRecord) -> dict[str, Any]:
    template = line.msg if isinstance(line.msg, str) else None
    try:
        message = line.getMessage()
    except Exception as error:  # noqa: BLE001 - a wrong number of arguments, a __str__ that raises
        handlers.let_through(error)
        problem = {"message_error": f"{type(error).__name__}: {error}"}
        return {"message": template or f"<{type(line.msg).__name__}>", **_arguments(line), **problem}
    if not line.args:
        return {"message": message}
    return {"message": message, "template": template or message, **_arguments(line)}


def _arguments(line: logging.LogRecord) -> dict[str, Any]:
    if not line.args:
        return {}
    return {"args": dict(line.args) if isinstance(line.args, dict) else list(line.args)}
