"""
loguru: a sink.

    from loguru import logger
    logger.add(sink(), level="INFO")        # no enqueue=True: the recorder's queue is the one that survives
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import app
from pipeline.records.log_lines import traceback_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.app import Pipeline


def sink(*, pipeline: Pipeline | None = None) -> Callable[[Any], None]:
    """Return a sink for `logger.add()`: each message is a `log` record, what was bound to it are fields."""

    def record(message: Any) -> None:
        emit = app.emit if pipeline is None else pipeline.emit
        emit("log", **fields_of(message.record))

    return record


def fields_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `log` record for loguru's record dict."""
    fields: dict[str, Any] = {
        "level": line["level"].name,
        "logger": line["name"],
        "message": line["message"],
        "module": line["module"],
        "function": line["function"],
        "line": line["line"],
        "file": line["file"].path,
        "thread": line["thread"].name,
        "process": line["process"].id,
    }
    caught = line["exception"]
    if caught is not None and caught.value is not None:
        fields["exception"] = traceback_text(caught.value, caught.traceback)
    for name, value in line["extra"].items():
        fields[f"field_{name}" if name in fields or name == "durable" else name] = value
    return fields
