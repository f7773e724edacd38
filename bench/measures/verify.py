"""How fast an archive is verified, beside what nobody can do without: one digest, or one parse, of it all."""

import hashlib
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from bench.peer import Peer
from bench.record import bytes_written, emit_many

_FORK = multiprocessing.get_context("fork")
_GB = 1e9

Timed = tuple[float, float]
"""Seconds on the clock, and of CPU over all processes."""


def verify(subject: Peer, directory: Path, *, count: int, producers: int, rounds: int) -> dict[str, float]:
    """Have some producers write an archive, then verify it, hash it and parse it in turns; all per GB."""
    _write(subject, directory, count, producers)
    gigabytes = bytes_written(directory) / _GB
    jobs: dict[str, Callable[[], None]] = {
        "digests": lambda: _command(directory),
        "hash": lambda: _each(directory, _hash),
        "full": lambda: _command(directory, "--full"),
        "parse": lambda: _each(directory, _parse),
    }
    turns = [{name: _timed(job) for name, job in jobs.items()} for _ in range(rounds)]
    found = {"gb": gigabytes}
    for name in jobs:
        found[f"{name}_s"], found[f"{name}_cpu_s"] = (
            statistics.median(turn[name][kind] for turn in turns) / gigabytes for kind in (0, 1)
        )
    found["digests_ratio"] = found["digests_cpu_s"] / found["hash_cpu_s"]
    found["full_ratio"] = found["full_cpu_s"] / found["parse_cpu_s"]
    return found


def _write(subject: Peer, directory: Path, count: int, producers: int) -> None:
    subject.setup(directory)
    each = count // producers
    children = [
        _FORK.Process(target=_produce, args=(subject, each, index * each)) for index in range(producers)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    subject.finish()
    subject.close()


def _produce(subject: Peer, count: int, first: int) -> None:
    emit_many(subject.call, count, first)
    subject.leave()


def _timed(job: Callable[[], None]) -> Timed:
    before, began = _cpu_seconds(), time.perf_counter()
    job()
    return time.perf_counter() - began, _cpu_seconds() - before


def _cpu_seconds() -> float:
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + reaped.ru_utime + reaped.ru_stime


def _command(directory: Path, *options: str) -> None:
    """Run the command, start of the interpreter included; what it finds ends the measurement."""
    script = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", script, "verify", "--dir", str(directory), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)


def _each(directory: Path, job: Callable[[Path], object]) -> None:
    for path in directory.glob("*.jsonl"):
        job(path)


def _hash(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _parse(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
