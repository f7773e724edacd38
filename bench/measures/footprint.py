"""What the recorder costs while nothing or little happens: CPU, memory, and the time to start."""

import os
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from bench.peer import Nothing, Peer
from bench.procs import cpu_by_role, mapped_mb, resident_mb, spent_since
from bench.record import STEADY_RATE, emit_many, emit_paced

_TOLD = "import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.process_time(), flush=True)"
_STARTING = f"""
import sys
from pipeline import start_pipeline
pl = start_pipeline(sys.argv[1])
{_TOLD}
pl.close()
"""


def idle(subject: Peer, directory: Path, *, seconds: float) -> dict[str, float]:
    """CPU of all processes, in percent of a core, while nobody emits."""
    subject.setup(directory)
    emit_many(subject.call, 1_000)
    subject.finish()
    time.sleep(3.0)  # segments shrink, the file is synced
    percents = _cpu_percents(subject, lambda: time.sleep(seconds))
    subject.close()
    return percents


def steady(subject: Peer, directory: Path, *, seconds: float) -> dict[str, float]:
    """CPU of all processes at 2,000 records a second, less what pacing costs without any recorder."""
    subject.setup(directory)
    emit_many(subject.call, 1_000)
    time.sleep(0.5)
    reference = Nothing()
    reference.setup(directory)
    pacing = _cpu_percents(
        reference, lambda: emit_paced(reference.call, STEADY_RATE, seconds / 2, array("q"))
    )
    busy = _cpu_percents(subject, lambda: emit_paced(subject.call, STEADY_RATE, seconds, array("q")))
    subject.finish()
    subject.close()
    for role in ("all", "app"):
        busy[f"{role}_percent"] -= pacing["app_percent"]
    return busy | {"pacing_percent": pacing["app_percent"]}


def _cpu_percents(subject: Peer, work: Callable[[], object]) -> dict[str, float]:
    workers = subject.worker_pids()
    before, started = cpu_by_role(workers), time.perf_counter()
    work()
    spent = spent_since(before, workers)
    elapsed = time.perf_counter() - started
    return {f"{role}_percent": seconds / elapsed * 100 for role, seconds in spent.items()}


def memory(subject: Peer, directory: Path, *, count: int) -> dict[str, float]:
    """RSS of the workers together, and what the app has grown by beside its mapped segments."""
    before = resident_mb(os.getpid())
    subject.setup(directory)
    emit_many(subject.call, count)
    mapped = mapped_mb(os.getpid(), "/dev/shm/")
    grown = resident_mb(os.getpid()) - before - mapped
    workers = {role: resident_mb(pid) for role, pid in subject.worker_pids().items()}
    subject.finish()
    peak = {role: max(workers[role], resident_mb(pid)) for role, pid in subject.worker_pids().items()}
    subject.close()
    return {"workers_mb": sum(peak.values()), "app_mb": grown, "mapped_mb": mapped} | {
        f"{role}_mb": size for role, size in peak.items()
    }


def startup(_subject: Peer, directory: Path, *, rounds: int) -> dict[str, float]:
    """Take the milliseconds of import and ``start_pipeline()`` over a bare interpreter, medians of both."""
    bare, ours = [], []
    for index in range(rounds):
        bare.append(_until_told([sys.executable, "-c", _TOLD]))
        ours.append(_until_told([sys.executable, "-c", _STARTING, str(directory / str(index))]))
    bare_ms, bare_cpu_ms = (statistics.median(each) for each in zip(*bare, strict=True))
    ours_ms, ours_cpu_ms = (statistics.median(each) for each in zip(*ours, strict=True))
    return {
        "over_ms": ours_ms - bare_ms,
        "cpu_ms": ours_cpu_ms - bare_cpu_ms,
        "worst_ms": max(ours)[0] - bare_ms,
        "bare_ms": bare_ms,
    }


def _until_told(command: list[str]) -> tuple[float, float]:
    """Time a process until it told its clock, in milliseconds of wall and of CPU.

    All processes share the monotonic clock.
    """
    started = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told_ns, cpu_seconds = done.stdout.split()
    return (int(told_ns) - started) / 1e6, float(cpu_seconds) * 1e3
