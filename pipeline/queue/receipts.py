"""Receipts: each lane of a process with the place behind its last record, to wait for the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.queue.appender import Appender

_POLL_SEC: Final = (0.0005, 0.02)
"""The first pause between two looks, and the longest."""


def have_arrived(receipts: Sequence[tuple[Appender, int]], *, durable: bool) -> bool:
    """Whether the writer has got as far as the receipts say."""
    return all(appender.lane.has_arrived(end, durable=durable) for appender, end in receipts)


def wait(
    receipts: Sequence[tuple[Appender, int]],
    timeout_sec: float,
    nudge: Callable[..., None],
    *,
    durable: bool,
) -> bool:
    """Wait until they have arrived, calling `nudge(durable=…)` at every look; False after the timeout."""
    deadline = clock.Deadline(timeout_sec)
    pause, pause_max = _POLL_SEC
    while not have_arrived(receipts, durable=durable):
        if deadline.has_passed:
            return False
        nudge(durable=durable)
        clock.sleep(min(pause, deadline.left))
        pause = min(pause * 1.5, pause_max)
    return True
