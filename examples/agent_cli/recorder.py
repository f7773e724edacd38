"""
The agent's recorder: listens to the bus, and runs the hooks.

The agent itself knows only the bus; that everything is recorded is decided here. Tools, calls of the model
and the session have a beginning and an end, and are recorded by the agent's `with` blocks.
"""

import time
from collections.abc import Callable
from typing import Any

from bus import Bus

import pipeline

Hook = Callable[..., None]


class Recorder:
    """Records what the bus tells, and calls hooks of the user's around it."""

    def __init__(self, bus: Bus, pl: pipeline.Pipeline) -> None:
        self._pl = pl
        self._hooks: dict[str, list[Hook]] = {}
        bus.on("input", lambda text: pl.emit(pipeline.UserInput(content=text)))
        bus.on("command", lambda command, args: pl.emit(pipeline.UserCommand(command=command, args=args)))
        bus.on("state", self._state)
        bus.on("permission", lambda **about: pl.emit("tool_permission", **about))
        bus.on("*", self._run_hooks)

    def hook(self, event: str, function: Hook) -> None:
        """Call a function at an event; how long it took, and that it failed, is recorded."""
        self._hooks.setdefault(event, []).append(function)

    def _state(self, before: str, after: str, reason: str) -> None:
        self._pl.emit("agent_state_change", from_state=before, to_state=after, reason=reason)

    def _run_hooks(self, event: str, **about: Any) -> None:
        for function in self._hooks.get(event, ()):
            began = time.monotonic()
            names = {"hook_name": f"on_{event}", "hook_type": "function"}
            try:
                function(**about)
            except Exception as error:  # noqa: BLE001 - a hook of the user's must not stop the agent
                self._pl.emit(
                    "hook_error", **names, error_type=type(error).__name__, error_message=str(error)
                )
            else:
                took_ms = (time.monotonic() - began) * 1000
                self._pl.emit("hook_execute", **names, duration_ms=round(took_ms, 3), status="success")
