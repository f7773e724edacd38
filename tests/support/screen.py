"""A terminal of a test: what programs send to it, and keys that are pressed."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from support.waiting import HANG_SEC

_PROGRAM = """
import json, sys
from pipeline.cli import group, guarded
for arguments in json.loads(sys.argv[1]):
    code = guarded(lambda: group.main(arguments, prog_name="pipeline", standalone_mode=False))
    print(f"<exit {int(code)}>", flush=True)
"""


class Screen:
    """A pseudo-terminal with one process on it, which runs commands of ours one after the other."""

    def __init__(
        self, *commands: list[str], cwd: Path, columns: int = 100, lines: int = 50, **env: str
    ) -> None:
        self.seen = b""
        """Everything that was sent to the terminal."""
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (lines, columns))
        clean = {
            name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "PAGER", "LESS")
        }
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-c", _PROGRAM, json.dumps(commands)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**clean, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env},
            cwd=cwd,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        """Return the screen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def until(self, text: bytes) -> bytes:
        """Read until this was sent; return everything up to it that was not returned yet."""
        deadline = time.monotonic() + HANG_SEC
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.seen!r}"
            if not self._read():
                raise AssertionError(f"{text!r} did not come: {self.seen!r}")
        return self.seen

    def press(self, keys: bytes) -> None:
        """Press keys; the byte 3 is Ctrl+C."""
        os.write(self._ours, keys)

    def rest(self) -> bytes:
        """Read until the program has ended and return all that was sent."""
        while self._read():
            pass
        self.process.wait(HANG_SEC)
        return self.seen

    def _read(self) -> bool:
        """Read what is there; False when the other end is closed."""
        if not select.select([self._ours], [], [], HANG_SEC)[0]:
            return False
        try:
            found = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.seen += found
        return bool(found)
