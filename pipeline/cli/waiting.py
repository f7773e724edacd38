"""Waiting for something, with a line on the terminal that says for what and for how long already."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SEC: Final = 0.05
_SHOWN_AFTER_SEC: Final = 0.3
"""What is over sooner needs no line."""


class ProgressLine:
    """One line on a terminal's stderr that is written over; nothing at all where there is no terminal."""

    def __init__(self) -> None:
        self._is_on = sys.stderr.isatty()
        self._began = clock.monotonic()
        self._length = 0

    def show(self, text: str) -> None:
        """Put the text in place of the last one."""
        if self._is_on and clock.monotonic() - self._began > _SHOWN_AFTER_SEC:
            sys.stderr.write("\r" + text.ljust(self._length))
            sys.stderr.flush()
            self._length = len(text)

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._length:
            sys.stderr.write("\r" + " " * self._length + "\r")
            sys.stderr.flush()
            self._length = 0


def wait_until(is_done: Callable[[], bool], timeout_sec: float, describe: Callable[[], str]) -> bool:
    """Wait until something holds; whether it did in time. `describe` says what is waited for."""
    line, began, deadline = ProgressLine(), clock.monotonic(), clock.Deadline(timeout_sec)
    try:
        while not is_done():
            if deadline.has_passed:
                return False
            line.show(f"{describe()} ({clock.monotonic() - began:.0f} s)")
            clock.sleep(min(_POLL_SEC, max(deadline.left, 0.001)))
    finally:
        line.clear()
    return True
