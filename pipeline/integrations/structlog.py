"""
structlog: a processor that records each event, and a logger factory for those who record only.

    structlog.configure(processors=[..., Record(), structlog.dev.ConsoleRenderer()])  # beside what is there
    structlog.configure(processors=[...], logger_factory=LoggerFactory())             # instead of it

An event dict becomes a `log` record: `event` is its message, the method's name its level, all else a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import app

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from pipeline.app import Pipeline

_LEVELS = {"warn": "WARNING", "exception": "ERROR", "err": "ERROR", "fatal": "CRITICAL", "msg": "INFO"}
_RENAMED = {"event": "message", "timestamp": "event_timestamp", "durable": "field_durable"}


class Record:
    """A processor: records the event dict, as records of type `action_type`, and hands it on as it was."""

    def __init__(self, *, pipeline: Pipeline | None = None, action_type: str = "log") -> None:
        self._pipeline = pipeline
        self._action_type = action_type

    def __call__(
        self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Record one event."""
        emit = app.emit if self._pipeline is None else self._pipeline.emit
        emit(self._action_type, **fields_of(event_dict, method_name, getattr(logger, "name", "")))
        return event_dict


class LoggerFactory:
    """
    For `structlog.configure(logger_factory=…)`: loggers that record what the processors leave.

    The last processor must leave the event dict as it is (no renderer) or a text.
    """

    def __init__(self, *, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline

    def __call__(self, *args: Any) -> RecordLogger:
        """Return a logger; the first argument of `get_logger()` is its name."""
        return RecordLogger(str(args[0]) if args else "", self._pipeline)


class RecordLogger:
    """What structlog calls at the end of the processors' chain."""

    def __init__(self, name: str = "", pipeline: Pipeline | None = None) -> None:
        self.name = name
        self._pipeline = pipeline

    def __getattr__(self, method: str) -> Callable[..., int]:
        if method.startswith("_"):
            raise AttributeError(method)

        def record(event: object = "", /, **fields: Any) -> int:
            emit = app.emit if self._pipeline is None else self._pipeline.emit
            return emit("log", **fields_of({"event": event, **fields}, method, self.name))

        return record


def fields_of(event: Mapping[str, Any], method: str, name: str = "") -> dict[str, Any]:
    """Return the fields of a `log` record for an event dict."""
    fields: dict[str, Any] = {"level": _LEVELS.get(method, method.upper())}
    if name:
        fields["logger"] = name
    for key, value in event.items():
        fields[_RENAMED.get(str(key), str(key))] = value
    fields["level"] = str(fields["level"]).upper()
    return fields
