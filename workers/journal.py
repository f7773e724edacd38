"""
`workers.log`: the workers' own messages and tracebacks, bounded.

It is the only voice they have: their stdio is closed, and their failures must not reach the application's
terminal.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from pipeline.host import clock, files
from pipeline.limits import WORKERS_LOG_BYTES_MAX
from pipeline.paths import require_volume

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from pipeline.paths import Places


class Journal:
    """
    Appends lines to workers.log, and turns the file over once when it has reached its bound.

    With `waits=False` a thread does what touches the file: the supervisor must go on while the disk hangs.
    """

    def __init__(self, places: Places, role: str, path: Path | None = None, *, waits: bool = True) -> None:
        self.path = path or places.workers_log
        self._places = places
        self.role = role
        self.named: Callable[[str], str] = str
        """Puts names that people know into a message."""
        self._fd = -1
        self._work: queue.SimpleQueue[Callable[[], None]] | None = None if waits else queue.SimpleQueue()
        if self._work is not None:
            threading.Thread(target=self._work_off, args=(self._work,), name="journal", daemon=True).start()

    def note(self, message: str) -> None:
        """Write one line. Never raises: the disk may be what is wrong."""
        line = f"{clock.wall_text()} {self.role}[{os.getpid()}] {self.named(message)}\n"
        self._do(lambda: self._write(line))

    def note_file(self, path: Path) -> None:
        """Take over the lines of another journal, and remove it: of who could not reach this one."""
        try:
            text = path.read_text(errors="replace")
        except OSError:
            return
        self._do(lambda: self._write(text))
        files.remove(path)

    def _do(self, work: Callable[[], None]) -> None:
        if self._work is None:
            work()
        else:
            self._work.put(work)

    def _work_off(self, work: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            work.get()()

    def _write(self, line: str) -> None:
        try:
            self._open()
            os.write(self._fd, line.encode(errors="backslashreplace"))
        except OSError:
            self._close()

    def take_over(self) -> None:
        """Send uncaught exceptions and the stack dump of SIGABRT here."""
        sys.excepthook = self._on_uncaught
        self._do(self._take_stacks)

    def _take_stacks(self) -> None:
        try:
            self._open()
            faulthandler.enable(self._fd)
        except OSError:
            self._close()

    def _on_uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        self.note(
            "ended by an exception:\n" + "".join(traceback.format_exception(kind, error, trace)).rstrip()
        )

    def _open(self) -> None:
        if self._fd >= 0 and files.same_file(self._fd, self.path):
            if os.fstat(self._fd).st_size < WORKERS_LOG_BYTES_MAX:
                return
            self.path.replace(self.path.with_suffix(".log.1"))
        self._close()
        # Where it was mounted, somebody who saw it leave may have left directories.
        require_volume(self._places, self.path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(self.path.parent)
        self._fd = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
