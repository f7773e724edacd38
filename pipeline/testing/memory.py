"""
A pipeline that keeps its records in a list: for tests of code that records.

Records go through the real encoding, so that what a test sees is what a file would hold.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Self

import orjson

from pipeline import app
from pipeline.episodes import Episodes
from pipeline.host import clock
from pipeline.records import context
from pipeline.records.encoding import encode_fields
from pipeline.records.forms import unfolded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class MemoryPipeline(Episodes):
    """
    What tests pass where a `Pipeline` is expected. No process, no file.

    `events` are the records as dicts, in the order of their acceptance. `refuses = True` makes emit()
    answer 0, as a full queue does.
    """

    def __init__(self, *, producer: str = "test") -> None:
        self.producer = producer
        self.events: list[dict[str, Any]] = []
        self.refuses = False
        self._lock = threading.RLock()

    def emit(self, record: Any, /, *, durable: bool = False, **fields: Any) -> int:  # noqa: ARG002
        """Keep a record; its action_number, or 0 where this pipeline refuses."""
        if self.refuses:
            return 0
        action_type, fields = unfolded(record, fields)
        body = orjson.loads(encode_fields({**context.in_force(), **fields}))
        with self._lock:
            number = len(self.events) + 1
            opening = {
                "timestamp": clock.wall_text(),
                "action_type": action_type,
                "action_number": number,
                "producer": self.producer,
            }
            self.events.append({**opening, **body})
        return number

    def wants(self, action_type: str) -> bool:  # noqa: ARG002 - Pipeline's face
        """Return True: here every type is recorded."""
        return True

    def was_left_out(self) -> bool:
        """Return False: nothing is sampled here."""
        return False

    async def aemit(self, record: Any, /, *, durable: bool = False, **fields: Any) -> int:
        """Like emit()."""
        return self.emit(record, durable=durable, **fields)

    def flush(self, timeout: float = 5.0, *, durable: bool = False) -> bool:  # noqa: ARG002 - Pipeline's face
        """Return True: nothing is on its way anywhere."""
        return True

    async def aflush(self, timeout: float = 5.0, *, durable: bool = False) -> bool:
        """Return True."""
        return self.flush(timeout, durable=durable)

    def health(self) -> dict[str, Any]:
        """Return the health of a pipeline in which all is well."""
        return {"status": "ok", "reasons": [], "counts": {"emitted": len(self.events)}}

    def cleanup(
        self,
        retention: float | str | None = None,  # noqa: ARG002 - Pipeline's face
        max_size_mb: float | str | None = None,  # noqa: ARG002
        *,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Return that there was nothing to clean up."""
        return {
            "dry_run": dry_run,
            "log_dir": "",
            "packed": 0,
            "expired": 0,
            "stayed": 0,
            "freed_bytes": 0,
            "files": [],
        }

    def close(self, timeout: float = 30.0) -> bool:  # noqa: ARG002 - Pipeline's face
        """Refuse what comes after this."""
        self.refuses = True
        return True

    def of_type(self, action_type: str) -> list[dict[str, Any]]:
        """Return the records of one type."""
        return [event for event in self.events if event["action_type"] == action_type]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def capture_events() -> Iterator[list[dict[str, Any]]]:
    """
    Catch what this process emits into its default pipeline, and yield the growing list of records.

        with capture_events() as events:
            pipeline.emit("user_input", content="hi")
        assert events[0]["content"] == "hi"

    The default pipeline from before is back at the end. Handles that code got elsewhere are not caught:
    give such code a `MemoryPipeline`.
    """
    caught = MemoryPipeline()
    before = app.replace_default(caught)
    try:
        yield caught.events
    finally:
        app.replace_default(before)
