"""Processes: who lives, since when, how much memory; and starting one that is no child of ours."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Final

from pipeline.errors import WorkerPythonError

_PYTHON_NAME: Final = re.compile(r"^(python|pypy)[\w.\-]*$")


def start_ticks(pid: int) -> int:
    """
    Return the start time of a process in clock ticks since boot, 0 when it is gone.

    (pid, ticks) is unique.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # The name of the program stands in parentheses and may hold anything, so count from its end.
    return int(text[text.rindex(b")") + 2 :].split()[19])


def is_running(pid: int, ticks: int) -> bool:
    """Whether the very process still runs (a zombie does not)."""
    return pid > 0 and start_ticks(pid) == ticks != 0 and not is_zombie(pid)


def is_there(pid: int) -> bool:
    """Whether a process that is not our child still runs; nobody may be in a hurry to reap it."""
    return start_ticks(pid) != 0 and not is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Whether the process has ended and only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return text[text.rindex(b")") + 2 : text.rindex(b")") + 3] in (b"Z", b"X")


def state_letter(pid: int) -> str:
    """Return the kernel's state letter of a process (R, S, D, T, Z), empty when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return chr(text[text.rindex(b")") + 2])


def program_name(pid: int) -> str:
    """Return the name of a process's program as `ps` shows it, cut to 15 bytes; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def is_condemned(pid: int) -> bool:
    """
    Whether SIGKILL has been sent to a process that is still there, and no thread of it is running.

    Such a process is in the kernel or frozen. It may end the system call that it is in, and executes no
    instruction of its own program any more, whatever thaws it: the kernel looks for signals on the way back.
    """
    if not _is_condemned(f"/proc/{pid}/status"):
        return False
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    return all(_is_condemned(f"/proc/{pid}/task/{thread}/status") for thread in threads)


def _is_condemned(status: str) -> bool:
    try:
        text = Path(status).read_bytes()
    except OSError:
        return True  # that thread has ended
    state = _said(text, b"State")[:1]
    pending = int(_said(text, b"SigPnd"), 16) | int(_said(text, b"ShdPnd"), 16)
    return state in b"ZX" or (state != b"R" and bool(pending >> (signal.SIGKILL - 1) & 1))


def _said(status: bytes, name: bytes) -> bytes:
    """Return what stands behind a name in /proc/PID/status (proc(5))."""
    return status.partition(b"\n" + name + b":\t")[2].partition(b"\n")[0]


def waits(pid: int) -> str:
    """Return how often a process has waited, empty when it is gone; a slow disk is many waits."""
    try:
        return _said(Path(f"/proc/{pid}/status").read_bytes(), b"voluntary_ctxt_switches").decode()
    except OSError:
        return ""


def waits_in(pid: int) -> str:
    """Return the kernel function that a process waits in, empty where the kernel does not tell."""
    try:
        name = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""
    return "" if name == "0" else name


def resident_bytes(pid: int | None = None) -> int:
    """Return the resident memory of a process (this one by default), 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid or 'self'}/statm").read_text()
    except OSError:
        return 0
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pid_namespace() -> str:
    """Return the identity of our pid namespace, empty where the kernel does not tell."""
    return _namespace("pid")


def time_namespace() -> str:
    """Return the same of our time namespace, which has a time since the boot of its own."""
    return _namespace("time")


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def worker_python(setting: str) -> str:
    """
    Return the interpreter that runs the workers.

    Raises WorkerPythonError for a frozen or embedding program, whose `sys.executable` would start the program
    again.
    """
    if setting:
        return setting
    executable = sys.executable or ""
    if getattr(sys, "frozen", False) or not _PYTHON_NAME.match(Path(executable).name):
        raise WorkerPythonError(
            "this program is no Python interpreter that could run the workers",
            where=executable or "sys.executable is empty",
            remedy="Set worker_python to a Python that has this package installed",
        )
    return executable


def worker_environment() -> dict[str, str]:
    """
    Return the environment for a worker: the host's, with our own packages first on the path.

    `-P` keeps the working directory out; only this keeps out a `workers` package on the user's PYTHONPATH.
    """
    ours = str(Path(__file__).resolve().parent.parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONINSPECT", "PYTHONWARNINGS")
    }
    environment["PYTHONPATH"] = f"{ours}{os.pathsep}{path}" if path else ours
    return environment


def launch_detached(command: list[str], environment: dict[str, str]) -> None:
    """
    Start a process in a session of its own that is nobody's child here.

    A shell stands between: it starts the command and ends, so the application can never wait for the command
    or get SIGCHLD for it. The SIGCHLD of the shell itself is taken back below.
    """
    import subprocess

    held = _hold_sigchld()
    try:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *command],
            env=environment,
            cwd="/",
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    finally:
        _release_sigchld(held)


def _hold_sigchld() -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})}


def _release_sigchld(mask_before: set[int]) -> None:
    """Swallow the SIGCHLD of the shell, but give it back when a child of the application ended meanwhile."""
    if int(signal.SIGCHLD) in mask_before:
        return
    if signal.SIGCHLD in signal.sigpending():
        signal.sigtimedwait({signal.SIGCHLD}, 0)
        if _has_dead_child():
            os.kill(os.getpid(), signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _has_dead_child() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
