"""
gunicorn: its log and its requests as records.

    gunicorn --logger-class pipeline.integrations.gunicorn.Logger app:app

The error log becomes `log` records, each request an `api_request`. What gunicorn is told to write elsewhere
(`--access-logfile`, `--error-logfile`) it still writes. The pipeline is the application's when it has started
one before, else that of `PIPELINE_LOG_DIR` and the other settings of the environment. Hooks for
`gunicorn.conf.py`, so that each worker's end is told as an end and not found out:

    from pipeline.integrations.gunicorn import post_fork, worker_exit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gunicorn import glogging

from pipeline import app
from pipeline.host import handlers
from pipeline.integrations.logging import PipelineHandler
from pipeline.integrations.requests import number_in, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logger, which records as well."""

    access_log_enabled = True
    """Asked by gunicorn before it tells us of a request."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's own logs up, and put a handler beside theirs."""
        super().setup(cfg)
        if app.default_or_none() is None:
            app.start_pipeline()
        if not any(isinstance(handler, PipelineHandler) for handler in self.error_log.handlers):
            self.error_log.addHandler(PipelineHandler())

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:
        """Record a request that was answered."""
        try:
            app.emit("api_request", **request_fields(resp, environ, request_time))
        except Exception as error:  # noqa: BLE001 - the request has been answered, whatever we make of it
            handlers.let_through(error)
        if self.access_log.handlers:
            super().access(resp, req, environ, request_time)


def request_fields(resp: Any, environ: Mapping[str, Any], request_time: timedelta) -> dict[str, Any]:
    """Return the fields of an `api_request` record. Bodies and headers are not among them."""
    code = str(resp.status).split(None, 1)[0]
    http_status = int(code) if code.isdigit() else 0
    fields = {
        "method": environ.get("REQUEST_METHOD"),
        "path": environ.get("PATH_INFO", _path_in(environ)),
        "http_status": http_status,
        "status": status_of(http_status),
        "duration_ms": round(request_time.total_seconds() * 1000, 3),
        "client": environ.get("REMOTE_ADDR"),
        "request_size": number_in(environ.get("CONTENT_LENGTH")),
        "response_size": getattr(resp, "sent", None),
        "user_agent": environ.get("HTTP_USER_AGENT"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _path_in(environ: Mapping[str, Any]) -> str:
    """Return the path of a request that its worker has answered with an error page: it has not parsed it."""
    return str(environ.get("RAW_URI", "")).partition("?")[0]


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn's hook
    """Make the worker's lane before its first request."""
    app.open_lane()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn's hook
    """Close the worker's lane; what is in it is safe and does not have to be waited for."""
    app.close(timeout=0.0)
