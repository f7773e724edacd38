"""Faults in the system calls of a running process, by strace: an error, or a delay, for chosen calls."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def injected(
    pid: int, calls: str, fault: str, need_tool: Callable[[str], str], *, paths: tuple[Path, ...] = ()
) -> Iterator[None]:
    """
    Let calls of a process and its threads go wrong while the context lasts.

    `calls` as in `trace=` of strace(1), `fault` as behind the calls in `inject=`: "error=EIO",
    "error=ENOSPC:when=1..3", "delay_enter=200000" (microseconds). With `paths` only calls on these files
    count, by name or by descriptor, whether open already or not.
    """
    only = [word for path in paths for word in ("-P", str(path))]
    command = [need_tool("strace"), "-qq", "-f", "-o", "/dev/null", "-p", str(pid), *only]
    tracer = subprocess.Popen(
        [*command, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: _is_traced(pid, tracer), "strace at work")
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


def _is_traced(pid: int, tracer: subprocess.Popen[bytes]) -> bool:
    assert tracer.poll() is None, tracer.stderr.read().decode()
    return f"TracerPid:\t{tracer.pid}" in Path(f"/proc/{pid}/status").read_text()
