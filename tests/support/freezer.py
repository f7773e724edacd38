"""A group of processes that the kernel freezes: they hear no signal, not even SIGKILL, until thawed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from support.waiting import until

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = Path("/sys/fs/cgroup/freezer")
_IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}


def need_freezer() -> None:
    """Skip the test where there is no freezer of the first kind; in CI that is a failure."""
    if os.access(_ROOT, os.W_OK):
        return
    # The freezer of cgroup v2 lets SIGKILL through, so there is nothing to be tested with it.
    missing = f"no freezer (cgroup v1) that can be written to at {_ROOT}"
    if _IN_CI:
        pytest.fail(f"{missing}; in CI nothing is skipped for that")
    pytest.skip(missing)


class Freezer:
    """The group; a context manager that thaws and removes it."""

    def __init__(self) -> None:
        self._group = _ROOT / f"pipeline-test-{os.getpid()}"
        self._group.mkdir()

    def freeze(self, pid: int) -> None:
        """Freeze a process."""
        (self._group / "cgroup.procs").write_text(str(pid))
        self._set("FROZEN")

    def thaw(self) -> None:
        """Let what is frozen go on, or die of what it was sent."""
        self._set("THAWED")

    def _set(self, state: str) -> None:
        path = self._group / "freezer.state"
        path.write_text(state)
        until(lambda: path.read_text().strip() == state, f"a group that is {state}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        for pid in (self._group / "cgroup.procs").read_text().split():
            (_ROOT / "cgroup.procs").write_text(pid)
        self._group.rmdir()
