"""
A command that looks at a volume which does not answer: it stands in the kernel, and says so.

Nobody can keep a look from hanging, and what hangs cannot speak. So a thread beside it asks the kernel every
second what we, and the processes that read for us, wait in, and says so when one and the same wait for a disk
lasts. With `--timeout` the command is a child, and its parent ends in time: what hangs cannot be killed. A
slow disk is many waits; one for people, pipes or workers is none. The test is
integration/test_cli_standstill.py.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from pipeline.cli.exit_codes import Exit
from pipeline.host import clock, processes
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")

_LOOK_SEC: Final = 1.0
_SAY_AFTER_SEC: Final = 5.0
_POLL_SEC: Final = 0.05
_SIGNALLED: Final = 128
"""What a shell adds to the number of the signal that ended a command."""
_IN_WAIT: Final = ("request_wait_answer", "wait_for_response", "rpc_wait", "nfs_wait")
"""What waits for FUSE, SMB and NFS may sleep lightly (S); a disk is waited for in state D."""


def timeout_option(command: Command) -> Command:
    """Add `--timeout`, and the watch over the command."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SECONDS",
        expose_value=False,
        callback=lambda ctx, _param, value: _watch(ctx, value),
        help="Give up when the disk has not answered for so long.  [default: wait, and say so]",
    )(command)


class Wait(NamedTuple):
    """One wait in the kernel; the next one of the same process has another number."""

    pid: int
    place: str
    number: str


class Standstill:
    """How long nothing has moved; `give_up_sec` is 0 for a command that waits for ever."""

    def __init__(self, command: str, give_up_sec: float) -> None:
        self.is_over = False
        """Whether the command is to end."""
        self._command = command
        self._give_up_sec = give_up_sec
        self._since = 0.0
        self._wait: Wait | None = None
        self._is_said = False

    def look(self, now: float, wait: Wait | None) -> str:
        """Take note of where we wait for a disk, None for nowhere; return what is to be said now."""
        if wait is None or wait != self._wait:
            self._since, self._wait = now, wait
            return ""
        waited = now - self._since
        self.is_over = 0 < self._give_up_sec <= waited
        if not self.is_over and (self._is_said or waited < _SAY_AFTER_SEC):
            return ""
        self._is_said = True
        place = f"process {wait.pid} waits in {visible(wait.place)}"
        what = f"{self._command}: the disk has not answered for {waited:.0f} s ({place})."
        if self.is_over:
            return f"{what} It gives up. Nothing was changed"
        return f"{what} It goes on as soon as there is an answer; --timeout SECONDS ends it"


def _watch(ctx: click.Context, give_up_sec: float) -> None:
    """Look on until the command ends; one that may be given up is a process of its own."""
    if ctx.resilient_parsing or ctx.obj is not None:
        return  # a shell that completes, or `log` inside of an application: the process is somebody else's
    found = Standstill(ctx.command_path, give_up_sec)
    if not give_up_sec:
        ended = threading.Event()
        ctx.call_on_close(ended.set)
        threading.Thread(target=_look_on, args=(found, ended), name="standstill", daemon=True).start()
    elif child := os.fork():
        os._exit(_guard(found, child))


def _look_on(found: Standstill, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SEC):
        _say(found.look(clock.monotonic(), _wait_of(os.getpid())))


def _guard(found: Standstill, child: int) -> int:
    """Wait for the command, and return its exit code; one that hangs may be killed and still be there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it has got the same, and we end with it
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _SIGNALLED - code
        _say(found.look(clock.monotonic(), _wait_of(child)))
        if found.is_over:
            os.kill(child, signal.SIGKILL)
            return Exit.NOT_POSSIBLE
        clock.sleep(_POLL_SEC)


def _say(what: str) -> None:
    if what:
        click.echo(what, err=True)


def _wait_of(pid: int) -> Wait | None:
    """Return the wait for a disk that a process, or one that reads for it, is in."""
    for one in (pid, *_children(pid)):
        place = processes.waits_in(one)
        if processes.state_letter(one) == "D" or place.startswith(_IN_WAIT):
            return Wait(one, place or "the kernel", processes.waits(one))
    return None


def _children(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in found.split()]
