"""Waiting for something to become true, with a deadline: what stands where a test would otherwise sleep."""

import time
from collections.abc import Callable
from typing import Any

HANG_SEC = 30.0
"""What takes this long hangs; nothing here is a promise about speed."""
_PAUSE_SEC = 0.02


def until(holds: Callable[[], Any], what: str, timeout_sec: float = HANG_SEC) -> Any:
    """Return the first true value of `holds()`; AssertionError that says what did not come."""
    deadline = time.monotonic() + timeout_sec
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_sec:g} s: {what}; last: {found!r}")
        time.sleep(_PAUSE_SEC)
