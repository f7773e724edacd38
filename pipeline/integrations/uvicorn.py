"""
uvicorn: its log and its requests as records.

    uvicorn.run("app:app", workers=2, log_config=log_config("logs"))

Each worker process is a producer of its own. Lines go on to the terminal as before.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

from pipeline.integrations.logging import PipelineHandler
from pipeline.integrations.requests import status_of

if TYPE_CHECKING:
    import logging

_ACCESS_ARGS = 5


class AccessHandler(PipelineHandler):
    """Records a line of `uvicorn.access` as an `api_request`."""

    def record_of(self, record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
        """Return the type and fields of the record for a line; a line of another form is a `log` record."""
        args = record.args
        if not isinstance(args, tuple) or len(args) != _ACCESS_ARGS:
            return super().record_of(record)
        client, method, path, version, http_status = args
        return "api_request", {
            "method": method,
            "path": str(path).partition("?")[0],
            "query": str(path).partition("?")[2],
            "http_status": http_status,
            "status": status_of(int(str(http_status))),
            "client": str(client).rpartition(":")[0],
            "http_version": version,
        }


def log_config(log_dir: str | os.PathLike[str] | None = None, **settings: Any) -> dict[str, Any]:
    """
    Return uvicorn's own logging configuration with our handlers beside its own.

    Without `log_dir` records go to the default pipeline, which the application then has to start.
    """
    from uvicorn.config import LOGGING_CONFIG

    config = copy.deepcopy(LOGGING_CONFIG)
    options = dict(settings)
    if log_dir is not None:
        options["log_dir"] = os.fspath(log_dir)
    config["handlers"] |= {
        "pipeline": {"class": "pipeline.integrations.logging.PipelineHandler", **options},
        "pipeline_access": {"class": "pipeline.integrations.uvicorn.AccessHandler", **options},
    }
    loggers = config["loggers"]
    loggers["uvicorn"].setdefault("handlers", []).append("pipeline")
    loggers["uvicorn.access"].setdefault("handlers", []).append("pipeline_access")
    return config
