"""An event bus: parts of the agent tell what happens, others listen."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

Listener = Callable[..., None]


class Bus:
    """Calls every listener of an event, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = defaultdict(list)

    def on(self, event: str, listener: Listener) -> None:
        """Listen to an event; `*` hears all, with the event's name first."""
        self._listeners[event].append(listener)

    def tell(self, event: str, **about: Any) -> None:
        """Tell all who listen."""
        for listener in self._listeners[event]:
            listener(**about)
        for listener in self._listeners["*"]:
            listener(event, **about)
