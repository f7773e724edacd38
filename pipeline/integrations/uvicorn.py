"""
uvicorn: its log and its requests as records.

    app = timed(app)
    uvicorn.run("app:app", workers=2, log_config=log_config("logs"))

Each worker process is a producer of its own. Lines go on to the terminal as before. uvicorn writes the line
of a request when its answer begins, and does not say how long that took: `timed` does, at the answer's end.
"""

from __future__ import annotations

import copy
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from pipeline import app as ours
from pipeline.host import clock, handlers
from pipeline.integrations.logging import PipelineHandler
from pipeline.integrations.requests import number_in, status_of
from pipeline.records.exception_forms import error_fields

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, MutableMapping

    from pipeline.app import Pipeline

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Receive, Send], Awaitable[None]]

_ACCESS_ARGS = 5
_UNANSWERED: Final = 500
"""What a server answers for an application that has raised or ended without an answer."""
_is_timed: Final[ContextVar[bool]] = ContextVar("pipeline_is_timed", default=False)
"""Whether `timed` records the request of this task. Never reset: a server has a task for each request."""


class AccessHandler(PipelineHandler):
    """Records a line of `uvicorn.access` as an `api_request`, unless `timed` records that request."""

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line."""
        if not _is_timed.get():
            super().emit(record)

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


class timed:  # noqa: N801 - used like a function
    """
    An ASGI application around another one: each request that was answered becomes an `api_request`.

    The record is made at the end of the answer. `duration_ms` runs from the request's head to there, and
    `status` is error for 5xx and for an application that raises, quota_exceeded for 429. Neither bodies nor
    headers are recorded but the user agent; the query is, masked as any text. Works with any ASGI server.
    """

    def __init__(self, app: Application, *, pipeline: Pipeline | None = None) -> None:
        self._app = app
        self._pipeline = pipeline

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; a websocket or the application's start and end are passed on as they are."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _is_timed.set(True)
        answer = _Answer(send)
        began, failure = clock.monotonic(), None
        try:
            await self._app(scope, receive, answer.send)
        except BaseException as error:
            failure = error
            raise
        finally:
            duration_ms = round((clock.monotonic() - began) * 1000, 3)
            self._record(scope, answer.fields(failure), duration_ms)

    def _record(self, scope: Message, answer: dict[str, Any], duration_ms: float) -> None:
        emit = ours.emit if self._pipeline is None else self._pipeline.emit
        try:
            emit("api_request", **_request_fields(scope), **answer, duration_ms=duration_ms)
        except Exception as error:  # noqa: BLE001 - the request has been answered, whatever we make of it
            handlers.let_through(error)


class _Answer:
    """What goes by of an answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._size = 0

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._status = int(message["status"])
        elif message["type"] == "http.response.body":
            self._size += len(message.get("body", b""))
        await self._send(message)

    def fields(self, failure: BaseException | None) -> dict[str, Any]:
        """Return what there is to say of it, and of the error that the application has ended with."""
        is_cut_off = failure is not None and not isinstance(failure, Exception)
        http_status = self._status or (0 if is_cut_off else _UNANSWERED)
        known = {"http_status": http_status, "response_size": self._size} if http_status else {}
        return known | {"status": status_of(http_status)} | error_fields(failure)


def _request_fields(scope: Message) -> dict[str, Any]:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    fields = {
        "method": scope.get("method"),
        "path": scope.get("path"),
        "query": scope.get("query_string", b"").decode("latin-1"),
        "client": (scope.get("client") or (None,))[0],
        "http_version": scope.get("http_version"),
        "request_size": number_in(headers.get(b"content-length")),
        "user_agent": headers.get(b"user-agent"),
    }
    return {name: value for name, value in fields.items() if value is not None}


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
