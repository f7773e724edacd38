"""
The standard library's `logging`: a handler that records, and a formatter that writes the same as JSON.

Invariants
    L1  A log call never raises and never waits for another process, whatever the line holds.
    L2  A log call made while a line is being recorded (an argument's `__str__` that logs) is recorded too;
        one inside that is not, so that no two objects can log each other for ever.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipeline import app
from pipeline.host import clock, handlers
from pipeline.records import context
from pipeline.records.encoding import encode_fields
from pipeline.records.log_lines import fields_of
from pipeline.settings import dict_config as translation, settings_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pipeline.app import Pipeline

_NESTED_MAX: Final = 2
_FLUSH_SEC: Final = 1.0


class PipelineHandler(logging.Handler):
    """
    Record every log line as a `log` record.

    `pipeline` is the handle to use; `log_dir` starts (or joins) the pipeline of that directory at the first
    line; with neither, lines go to the default pipeline of the process, and those that come before there is
    one are refused and counted in `refused`. Further keywords are settings for `start_pipeline()`.

        logging.basicConfig(handlers=[PipelineHandler(log_dir="logs")], level="INFO")

    Several threads use it at once without waiting for each other: it takes no lock.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        pipeline: Pipeline | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        action_type: str = "log",
        **settings: Any,
    ) -> None:
        super().__init__(level)
        self.action_type = action_type
        self.refused = 0
        """Lines that were not accepted: no pipeline yet, or the queue's policy."""
        self._pipeline = pipeline
        self._log_dir = log_dir
        self._settings = settings
        self._starting = threading.Lock()
        self._depth = threading.local()

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and record a line; without the handler's lock, which emit() does not need."""
        answer: Any = self.filter(record)  # since Python 3.12 a filter may return another line
        if answer:
            self.emit(answer if isinstance(answer, logging.LogRecord) else record)
        return answer

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line; what goes wrong is handed to `handleError`, as with any handler."""
        depth = getattr(self._depth, "value", 0)
        if depth >= _NESTED_MAX:
            self.refused += 1
            return
        self._depth.value = depth + 1
        try:
            action_type, fields = self.record_of(record)
            if not self._emit()(action_type, **fields):
                self.refused += 1
        except Exception as error:  # noqa: BLE001 - the application's log call must return
            handlers.let_through(error)
            self.refused += 1
            self.handleError(record)
        finally:
            self._depth.value = depth

    def record_of(self, record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
        """Return the type and fields of the record for a line; the place for a subclass to change them."""
        fields = fields_of(record)
        if "durable" in fields:
            fields["field_durable"] = fields.pop("durable")  # emit() has an argument of that name
        return self.action_type, fields

    def flush(self) -> None:
        """Wait, a second at most, until what this process logged is in the files. It is safe before that."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.flush(_FLUSH_SEC)

    def _emit(self) -> Callable[..., int]:
        pipeline = self._pipeline
        if pipeline is None:
            if self._log_dir is None and not self._settings:
                return app.emit
            pipeline = self._start()
        return pipeline.emit

    def _start(self) -> Pipeline:
        with self._starting:
            if self._pipeline is None:
                self._pipeline = app.start_pipeline(self._log_dir, **self._settings)
            return self._pipeline

    def __repr__(self) -> str:
        return f"<PipelineHandler {logging.getLevelName(self.level)} {self._log_dir or 'default pipeline'}>"


class JsonFormatter(logging.Formatter):
    """
    Write a log line as one JSON object, with the fields of a `log` record and those of `pipeline.context()`.

    For handlers of the standard library that go on beside the recorder, such as one on stdout in a container.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: `timestamp` first, in UTC, and no line break in it."""
        seconds, micros = divmod(int(record.created * 1_000_000), 1_000_000)
        body = encode_fields({**context.current(), **fields_of(record)})
        return f'{{"timestamp":"{clock.second_text(seconds).decode()}.{micros:06d}Z",{body[1:].decode()}'


def dict_config(source: Mapping[str, Any] | str | os.PathLike[str]) -> dict[str, Any]:
    """
    Return a configuration for `logging.config.dictConfig` that records through the pipeline.

    `source` is one that writes files, or a file in TOML, YAML or JSON that holds one (alone, or as its block
    `logging`). Its file handlers become `PipelineHandler(log_dir=…)`, its JSON formatters `JsonFormatter`,
    and the rest stays: `pipeline config check FILE` tells what is done in another way.

        logging.config.dictConfig(dict_config("config/logging.yaml"))

    Raises SettingsError for a file that cannot be read.
    """
    found = source if isinstance(source, Mapping) else settings_file.parse(source)
    block = found.get("logging")
    if isinstance(block, Mapping) and not translation.is_one(found):
        found = block
    return translation.translate(found).config
