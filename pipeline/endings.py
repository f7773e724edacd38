"""
How a process ends, and what its lanes are told.

A normal end is marked in the lane, so that it is told as `producer_closed` and not as `producer_died`;
nothing waits, but for PID 1 of a container, whose end is the pipeline's end. Records emitted after the mark
are still accepted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pipeline.emitter import Emitter

_HANDLED: Final = (signal.SIGTERM, signal.SIGINT)
_FINALIZERS: Final = ("multiprocessing.util", "billiard.util")

_emitters: Callable[[], list[Emitter]] = list
_drain_sec = 0.0
_previous: dict[int, Any] = {}


def install(emitters: Callable[[], list[Emitter]], drain_timeout_sec: float) -> None:
    """
    Mark lanes at exit and on SIGTERM and SIGINT.

    Off the main thread no handler is installed, and none is needed.
    """
    global _emitters, _drain_sec
    _emitters, _drain_sec = emitters, drain_timeout_sec
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _HANDLED:
        before = signal.getsignal(number)
        # Once: whoever put a handler over ours calls ours, or does not want it; twice would be a circle.
        if number not in _previous and before is not _on_signal and before not in (signal.SIG_IGN, None):
            _previous[number] = before
            signal.signal(number, _on_signal)


def install_in_child() -> None:
    """
    Use what a child of multiprocessing or billiard runs at its end; it ends without atexit.

    Called when a lane is made, since such a child forgets at its start what was there before.
    """
    celery = sys.modules.get("celery.signals")
    if celery is not None:  # its pool processes run no finalizer
        celery.worker_process_shutdown.connect(_note_celery_ending, weak=False)
    for name in _FINALIZERS:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "Finalize"):
            module.Finalize(None, _note_endings, exitpriority=1)


def at_exit(emitters: list[Emitter]) -> None:
    """Mark the lanes as the interpreter ends, and wait only where our end is the workers' end."""
    is_interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
    _mark(emitters, signal.SIGINT if is_interrupted else 0)
    if os.getpid() == 1:
        drain(emitters)


def drain(emitters: list[Emitter]) -> None:
    """Wait, bounded, until all is in the files."""
    for emitter in emitters:
        emitter.flush(_drain_sec, durable=True)


def _on_signal(number: int, frame: FrameType | None) -> None:
    """
    Do at once what would have been done without us.

    A handler of the application may survive the signal, so only the default disposition marks the lanes here;
    an end that a handler brings about passes `at_exit`.
    """
    before = _previous.get(number, signal.SIG_DFL)
    if callable(before):
        before(number, frame)
    elif before == signal.SIG_DFL:
        _mark(_emitters(), number)
        _end_by(number)


def _end_by(number: int) -> None:
    """End as the default disposition does. The kernel spares PID 1 from it, so that has to exit by itself."""
    if os.getpid() == 1:
        drain(_emitters())
        os._exit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _note_endings() -> None:
    _mark(_emitters(), 0)


def _note_celery_ending(**_: object) -> None:
    _note_endings()


def _mark(emitters: list[Emitter], signal_number: int) -> None:
    for emitter in emitters:
        emitter.note_ending(signal_number)
