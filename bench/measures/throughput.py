"""From the first call to the last byte in the file, with one producer and with many."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

from bench.peer import Peer
from bench.procs import cpu_by_role, spent_since
from bench.record import emit_many, tally

SETTLE = 1.2
"""Seconds for the workers to sync, checkpoint and release behind the last byte before CPU time is read."""

_FORK = multiprocessing.get_context("fork")


def end_to_end(subject: Peer, directory: Path, *, count: int) -> dict[str, float]:
    """Measure records a second until the file holds all, and CPU time per record over all processes."""
    subject.setup(directory)
    workers = subject.worker_pids()
    before = cpu_by_role(workers)
    started = time.perf_counter()
    emit_many(subject.call, count)
    emitted = time.perf_counter()
    subject.finish()
    finished = time.perf_counter()
    if subject.worker_pids():
        time.sleep(SETTLE)
    spent = spent_since(before, workers)
    found = tally(directory)
    subject.close()
    return {
        "per_second": count / (finished - started),
        "drain_s": finished - emitted,
        "missing": count - found.distinct,
    } | {f"cpu_{role}_us": seconds / count * 1e6 for role, seconds in spent.items()}


def producers(subject: Peer, directory: Path, *, count: int, producers: int) -> dict[str, float]:
    """Measure records a second of forked producers together, from their common start to the last byte."""
    each = count // producers
    if subject.shared:
        subject.setup(directory)
    ready, go = _FORK.Semaphore(0), _FORK.Event()
    children = [
        _FORK.Process(target=_produce, args=(subject, directory, each, index * each, ready, go))
        for index in range(producers)
    ]
    for child in children:
        child.start()
    for _ in children:
        ready.acquire()
    started = time.perf_counter()
    go.set()
    for child in children:
        child.join()
    if subject.shared:
        subject.finish()
    rate = each * producers / (time.perf_counter() - started)
    found = tally(directory)
    if subject.shared:
        subject.close()
    return {"per_second": rate, "missing": each * producers - found.distinct}


def _produce(subject: Peer, directory: Path, count: int, first: int, ready: Any, go: Any) -> None:
    if not subject.shared:
        subject.setup(directory)
    emit_many(subject.call, 1, first)  # a lane, a feeder thread: made at first use, before the clock runs
    ready.release()
    go.wait()
    emit_many(subject.call, count - 1, first + 1)
    (subject.leave if subject.shared else subject.finish)()
