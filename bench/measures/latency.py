"""What one call costs its caller: alone, beside a computing thread, beside a process that syncs the disk."""

import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from bench.peer import Peer
from bench.record import clock_overhead_ns, emit_many, emit_timed

WARM_UP = 2_000
_SYNCER = """
import os, sys
with open(sys.argv[1], "ab", buffering=0) as file:
    while os.getppid() == int(sys.argv[2]):
        file.write(bytes(65536))
        os.fsync(file.fileno())
        if file.tell() > 1 << 26:
            file.truncate(0)
"""


def emit(
    subject: Peer, directory: Path, *, calls: int, seconds: float, beside: str | None = None
) -> dict[str, float]:
    """Percentiles over ``calls`` calls or what ``seconds`` allow; the clock's own price is taken off."""
    subject.setup(directory)
    samples = array("q")
    with _neighbour(beside, directory):
        emit_many(subject.call, WARM_UP if beside != "thread" else 20)
        stop_at = time.monotonic() + seconds
        while len(samples) < calls and time.monotonic() < stop_at:
            emit_timed(subject.call, 50 if beside == "thread" else 1_000, samples, len(samples))
    result = percentiles(samples)
    subject.finish()
    subject.close()
    return result


def sparse(subject: Peer, directory: Path, *, calls: int) -> dict[str, float]:
    """Percentiles of single calls between other work and a short sleep: caches are cold, as in most apps."""
    subject.setup(directory)
    emit_many(subject.call, WARM_UP)
    samples = array("q")
    for index in range(calls):
        str([index * 1.5] * 3_000)
        time.sleep(0.0005)
        emit_timed(subject.call, 1, samples, index)
    result = percentiles(samples)
    subject.finish()
    subject.close()
    return result


def percentiles(samples: "array[int]") -> dict[str, float]:
    """Microseconds at p50, p99, p99.9 and the worst, and how many calls that rests on."""
    overhead = clock_overhead_ns()
    ordered = sorted(samples)

    def at(share: float) -> float:
        return max(0, ordered[min(len(ordered) - 1, int(share * len(ordered)))] - overhead) / 1_000

    return {
        "p50_us": at(0.5),
        "p99_us": at(0.99),
        "p999_us": at(0.999),
        "max_us": at(1.0),
        "calls": len(ordered),
    }


def _neighbour(kind: str | None, directory: Path) -> AbstractContextManager[None]:
    if kind == "thread":
        return _computing_thread()
    return _syncing_process(directory) if kind == "fsync" else nullcontext()


@contextmanager
def _computing_thread() -> Iterator[None]:
    running = True

    def compute() -> None:
        value = 1
        while running:
            value = value * 31 % 1_000_003

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    try:
        yield
    finally:
        running = False
        thread.join()


@contextmanager
def _syncing_process(directory: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _SYNCER, str(directory / "neighbour.bin"), str(os.getpid())]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()
