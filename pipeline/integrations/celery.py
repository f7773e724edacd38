"""
Celery: tasks as context, failures as critical records, its log as `log` records.

    app = Celery(...)
    pipeline.integrations.celery.install(app, log_dir="logs")

Every record that a task emits carries task_id and task_name, and the trace of whoever sent it: trace_id,
session_id and the other fields in force at `apply_async()` travel in the message's headers. Each process of a
prefork pool is a producer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celery import signals

from pipeline import app as ours
from pipeline.host import handlers
from pipeline.integrations.logging import PipelineHandler
from pipeline.records.context import context, current
from pipeline.records.exception_forms import error_fields

if TYPE_CHECKING:
    import logging
    import os

    from celery import Celery

_HEADER: Final = "pipeline_context"


class install:  # noqa: N801 - used like a function
    """
    Connect to Celery's signals. `uninstall()` takes it back.

    `log_dir` and settings as for `start_pipeline()`, which each worker process calls when it begins; without
    any, the default pipeline of the process is used. `forward` names the context's fields that travel with
    a task.
    """

    def __init__(
        self,
        app: Celery | None = None,
        *,
        log_dir: str | os.PathLike[str] | None = None,
        forward: tuple[str, ...] = ("trace_id", "span_id", "session_id", "user_id", "execution_id"),
        **settings: Any,
    ) -> None:
        self.app = app
        self._log_dir = log_dir
        self._settings = settings
        self._forward = forward
        self._contexts: dict[str, context] = {}
        self._connected = (
            (signals.worker_init, self._start),
            (signals.worker_process_init, self._start),
            (signals.before_task_publish, self._send),
            (signals.task_prerun, self._begin),
            (signals.task_postrun, self._end),
            (signals.task_failure, self._fail),
            (signals.after_setup_logger, self._listen),
            (signals.after_setup_task_logger, self._listen),
        )
        for signal, receiver in self._connected:
            signal.connect(receiver, weak=False)

    def uninstall(self) -> None:
        """Let go of the signals."""
        for signal, receiver in self._connected:
            signal.disconnect(receiver)

    def _start(self, **_about: Any) -> None:
        if self._log_dir is not None or self._settings:
            ours.start_pipeline(self._log_dir, **self._settings)

    def _send(self, headers: dict[str, Any] | None = None, **_about: Any) -> None:
        """Put the sender's context into a task's message."""
        carried = {name: value for name, value in current().items() if name in self._forward}
        if headers is not None and carried:
            headers[_HEADER] = carried

    def _begin(self, task_id: str = "", task: Any = None, **_about: Any) -> None:
        sent = getattr(task.request, _HEADER, None) or (task.request.get("headers") or {}).get(_HEADER)
        fields = dict(sent) if isinstance(sent, dict) else {}
        entered = context(**{**fields, "task_id": task_id, "task_name": task.name})
        entered.__enter__()
        self._contexts[task_id] = entered

    def _end(self, task_id: str = "", **_about: Any) -> None:
        entered = self._contexts.pop(task_id, None)
        if entered is None:
            return
        try:
            entered.__exit__(None, None, None)
        except ValueError as error:  # a pool of green threads may end a task in another context
            handlers.let_through(error)

    def _fail(
        self, task_id: str = "", exception: Any = None, einfo: Any = None, sender: Any = None, **_about: Any
    ) -> None:
        ours.emit(
            "task_error",
            task_id=task_id,
            task_name=getattr(sender, "name", ""),
            **error_fields(exception),
            traceback=str(getattr(einfo, "traceback", "")),
        )

    def _listen(self, logger: logging.Logger | None = None, **_about: Any) -> None:
        if logger is not None and not any(isinstance(one, PipelineHandler) for one in logger.handlers):
            logger.addHandler(PipelineHandler())
