"""The queue with the face of `multiprocessing.Queue`, for code that expects one, such as QueueHandler."""

from __future__ import annotations

import logging
import queue
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.host import clock
from pipeline.queue import bell
from pipeline.records.log_lines import fields_of

if TYPE_CHECKING:
    from pipeline.emitter import Emitter

_ROOM_POLL_SEC = 0.01


class QueueFace:
    """put, put_nowait, qsize and full of a queue. What the policy refuses is `queue.Full`, as there."""

    def __init__(self, emitter: Emitter, *, is_enabled: bool) -> None:
        self._emitter = emitter
        self._is_enabled = is_enabled

    def put_nowait(self, item: Any) -> None:
        """Emit an item: a LogRecord as a `log` record, a mapping as it is, anything else as a `message`."""
        action_type, fields = _as_record(item)
        is_wanted = self._is_enabled and self._emitter.wants(action_type)
        if is_wanted and not self._emitter.emit(action_type, **fields) and not self._emitter.was_left_out():
            raise queue.Full

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        """Emit an item; with `block`, wait for room up to `timeout` seconds (for ever when None)."""
        deadline = clock.Deadline(timeout if timeout is not None else float("inf"))
        while True:
            try:
                return self.put_nowait(item)
            except queue.Full:
                if not block or deadline.has_passed:
                    raise
                bell.ring(self._emitter.places, bell.SYNC)
                clock.sleep(min(_ROOM_POLL_SEC, deadline.left))

    def qsize(self) -> int:
        """Return the records of all producers that are not in the files."""
        from pipeline.queue import depth

        places = self._emitter.places
        return depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir)).records

    def full(self) -> bool:
        """Whether the queue has reached the mark where back-pressure begins."""
        return not self._emitter.has_room()

    def empty(self) -> bool:
        """Whether everything is in the files."""
        return self.qsize() == 0


def _as_record(item: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(item, logging.LogRecord):
        return "log", fields_of(item)
    if isinstance(item, Mapping):
        fields = {str(key): value for key, value in item.items()}
        return str(fields.pop("action_type", "message")), fields
    return "message", {"content": item}
