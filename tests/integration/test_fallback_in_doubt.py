"""A COMMIT whose fsync failed: its bytes are in SQLite's log, and yet it must not come back."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.slices import A, make
from support.waiting import until

from pipeline.storage import fallback_reader

SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.slices import A, make, row
from pipeline.errors import FallbackError
store = make(Path(sys.argv[1]), [])
store.store([row(A, 1, 1)], {A: 1})
sys.stdin.readline()
try:
    store.store([row(A, 2, 2)], {A: 2})
except FallbackError:
    print("refused", store.settle(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("fails", "is_settled"), [("1", True), ("1+", False)])
def test_what_failed_to_commit_is_gone_once_the_volume_writes_again(
    tmp_path: Path, need_tool: Callable[[str], str], fails: str, is_settled: bool
) -> None:
    """After one failed fsync nothing of it is left for a successor; while all fail, settle() says so."""
    strace = need_tool("strace")
    app = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parents[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    until_opened(tmp_path)
    inject = f"inject=fdatasync,fsync:error=EIO:when={fails}"
    tracer = subprocess.Popen(
        [
            strace,
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            inject,
            "-p",
            str(app.pid),
        ]
    )
    until_traced(app.pid)
    said, _ = app.communicate("go\n")
    tracer.wait()
    assert said == f"refused {is_settled}\n"
    again = make(tmp_path, [])
    again.open()
    if is_settled:
        assert (again.summary().records, again.positions()) == (1, {A: 1})
    again.close()


def until_opened(directory: Path) -> None:
    """Wait for the store and its first row."""

    def has_row() -> bool:
        found = fallback_reader.summary(directory / "fallback.db")
        return found is not None and found.rows == 1

    until(has_row, "a store with a row")


def until_traced(pid: int) -> None:
    """Wait until strace has taken hold of a process."""
    status = Path(f"/proc/{pid}/status")
    until(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace")
