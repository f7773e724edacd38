"""Processes that read every file of the running Python's standard library and emit a record for each."""

from __future__ import annotations

import os
import signal
import sysconfig
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence
    from multiprocessing.synchronize import Event

    from pipeline.app import Pipeline

ACTION_TYPE: Final = "file_scanned"
_PASSED_OVER: Final = {"__pycache__", "site-packages", "dist-packages"}
_FIRST_LINE_MAX: Final = 200


def library_files() -> list[str]:
    """Return the files of the standard library, caches and installed packages aside."""
    found = []
    for directory, names, files in os.walk(sysconfig.get_path("stdlib")):
        names[:] = sorted(name for name in names if name not in _PASSED_OVER)
        found += [os.path.join(directory, name) for name in sorted(files)]
    return found


def scan(
    pipeline: Pipeline,
    name: str,
    paths: Sequence[str],
    accepted: MutableSequence[int],
    index: int,
    pause: float,
    is_over: Event | None = None,
) -> None:
    """
    Emit a record for each file, until `is_over`. Runs in a process of its own.

    `accepted[index]` lies in shared memory: how many were accepted is known even if this process is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the one who started us
    for path in paths:
        if is_over is not None and is_over.is_set():
            return
        if pipeline.emit(ACTION_TYPE, scanner=name, **describe(path)):
            accepted[index] += 1
        time.sleep(pause)


def describe(path: str) -> dict[str, Any]:
    """Return what the record of a file holds."""
    try:
        with open(path, "rb") as file:
            first = file.readline(_FIRST_LINE_MAX)
            lines = bool(first) + sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
            found = os.fstat(file.fileno())
    except OSError as error:
        return {"path": path, "status": "error", "error": error}
    return {
        "path": path,
        "size": found.st_size,
        "mtime": found.st_mtime,
        "lines": lines,
        "first_line": first.rstrip(b"\r\n").decode("utf-8", "backslashreplace"),
    }
