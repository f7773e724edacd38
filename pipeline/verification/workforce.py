"""
Work on several processors: small tasks are done here, many bytes by processes of our own.

A process is a clean interpreter that imports this package from where we have it: no fork of an application
with threads, and no second import of the caller's main module. A task is a module-level function with its
arguments. One whose process dies is done here instead.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.host import processes
from pipeline.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WORTH_BYTES: Final = 64 * MIB
"""Work of fewer bytes is done sooner than processes are started."""
PROCESSES_MAX: Final = 8

_SIZE: Final = struct.Struct("=Q")
_CODE: Final = "from pipeline.verification import workforce; workforce.serve()"


class Task(NamedTuple):
    """One call, and how many bytes it has to read."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    bytes: int


def do(tasks: Sequence[Task], progress: Callable[[int], None]) -> list[Any]:
    """Return what each task returns, in their order. `progress` is told the bytes that are done."""
    count = min(len(tasks), len(os.sched_getaffinity(0)), PROCESSES_MAX)
    if count < 2 or sum(task.bytes for task in tasks) < WORTH_BYTES:  # noqa: PLR2004 - one more than us
        return _do_here(tasks, progress)
    return _Shift(tasks, progress).work(count)


def serve() -> None:
    """Do what comes in on stdin until it ends: the main program of a process of ours."""
    while (task := _receive(sys.stdin.buffer)) is not None:
        function, arguments = task
        _send(sys.stdout.buffer, function(*arguments))


def _do_here(tasks: Sequence[Task], progress: Callable[[int], None]) -> list[Any]:
    results, done = [], 0
    for task in tasks:
        results.append(task.function(*task.arguments))
        done += task.bytes
        progress(done)
    return results


class _Shift:
    """Several processes at work on one list of tasks; a thread for each hands it one after the other."""

    def __init__(self, tasks: Sequence[Task], progress: Callable[[int], None]) -> None:
        self._tasks = tasks
        self._progress = progress
        self._results: list[Any] = [None] * len(tasks)
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._undone: set[int] = set(range(len(tasks)))

    def work(self, count: int) -> list[Any]:
        for number in range(len(self._tasks)):
            self._waiting.put(number)
        threads = [threading.Thread(target=self._hand_out, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        done, left = 0, count
        while left:
            index = self._finished.get()
            if index is None:
                left -= 1
                continue
            self._undone.discard(index)
            done += self._tasks[index].bytes
            self._progress(done)
        for thread in threads:
            thread.join()
        for number in sorted(self._undone):
            self._results[number] = self._tasks[number].function(*self._tasks[number].arguments)
        return self._results

    def _hand_out(self) -> None:
        try:
            with _process() as process:
                if process.stdin is not None and process.stdout is not None:
                    self._feed(process.stdin, process.stdout)
        except (OSError, EOFError, pickle.PickleError):
            return  # what it had, and what nobody took, is done by the caller
        finally:
            self._finished.put(None)

    def _feed(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        while True:
            try:
                index = self._waiting.get_nowait()
            except queue.Empty:
                return
            task = self._tasks[index]
            _send(stdin, (task.function, task.arguments))
            answer = _receive(stdout)
            if answer is None:
                raise EOFError
            self._results[index] = answer
            self._finished.put(index)


def _process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [processes.worker_python(""), "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=processes.worker_environment(),
    )


def _send(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_SIZE.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    data = stream.read(_SIZE.unpack(head)[0])
    return pickle.loads(data)  # noqa: S301 - from a process of ours, through a pipe of ours
