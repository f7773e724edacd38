"""Asking once: what it took, and what came out, with the file in the page cache or not."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.query.questions import Command, Python, Subject

IN_PYTHON = """
import json, resource, sys, time
from bench.query.asking import digest, forget
{setup}
for place in json.loads({cold!r}): forget(place)
begun, cpu = time.perf_counter(), time.process_time()
answer = {question}
took, cpu = time.perf_counter() - begun, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print()
print(json.dumps([took, cpu, peak, answer]))
"""


class CannotAnswer(Exception):
    """A subject ended with an error: what it said."""


@dataclass(frozen=True)
class Asked:
    """Seconds on the clock, seconds of CPU, MiB at most, and the answer."""

    took: float
    cpu: float
    peak: float
    answer: Any

    def measured(self) -> tuple[float, float, float]:
        """Return the numbers."""
        return self.took, self.cpu, self.peak


def ask(subject: Subject, cold: Iterable[Path] = ()) -> Asked:
    """Ask; the files below the directories `cold` are not in the page cache when it begins."""
    places = [str(place) for place in cold]
    return ask_command(subject, places) if isinstance(subject, Command) else ask_python(subject, places)


def ask_command(subject: Command, cold: list[str]) -> Asked:
    """Ask a program: from its start to its end."""
    for place in cold:
        forget(place)
    begun = time.perf_counter()
    # Not to /dev/null: grep sees that and stops at the first hit.
    with subprocess.Popen(subject.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output = _taken(process.stdout, subject.gives)
        errors = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: nothing found
        raise CannotAnswer(errors.decode(errors="replace").strip()[-200:])
    return Asked(took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output)


def _taken(stream, gives: str) -> Any:
    if gives == "lines":
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))
    output = stream.read()
    if gives == "digest":
        return digest(output.splitlines())
    if gives == "groups":
        return {row[0]: row[1:] for row in map(json.loads, output.splitlines())}
    return int(output.split()[0]) if output else 0


def ask_python(subject: Python, cold: list[str]) -> Asked:
    """Ask in an interpreter of its own: the time of the question alone."""
    program = IN_PYTHON.format(setup=subject.setup, question=subject.question, cold=json.dumps(cold))
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    if run.returncode:
        raise CannotAnswer(run.stderr.strip().splitlines()[-1][:200])
    return Asked(*json.loads(run.stdout.splitlines()[-1]))  # DuckDB shows its progress before it


def digest(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of lines, whether they come with their newlines or without."""
    return hashlib.sha256(b"\n".join(line.rstrip(b"\n") for line in lines)).hexdigest()


def forget(place: str) -> None:
    """Drop the files below a directory from the page cache; only what is synced goes."""
    for path in filter(Path.is_file, Path(place).rglob("*")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remembered(path: Path) -> str:
    """Say how much of a file is in the page cache."""
    if shutil.which("fincore") is None:
        return "unknown (fincore is not installed)"
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    found = int(subprocess.run(command, capture_output=True, check=True).stdout or 0)
    return f"{found / 1e6:,.0f} MB"


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two answers agree; means may differ in their last digits, and None agrees with all."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= 1e-9 * abs(one)
    return one is None or other is None or one == other
