"""A FUSE file system in a process of its own, which does as a small text file says at the moment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.volumes import enter_private_namespace
from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = Path(__file__).resolve().parents[1]
_IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}


class FuseProcess:
    """The process, its mount, and the file that says what goes wrong; nothing does while that is empty."""

    def __init__(self, script: Path, point: Path, faults: Path, *arguments: str) -> None:
        self.point = point
        self._faults = faults
        enter_private_namespace()
        point.mkdir(exist_ok=True)
        self.set()
        env = os.environ | {"PYTHONPATH": str(_TESTS)}
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(point), str(faults), *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        until(self._is_mounted, f"a file system at {point}")

    def set(self, *lines: str) -> None:
        """Let these faults happen from now on, in place of those before."""
        draft = self._faults.with_suffix(".new")
        draft.write_text("".join(f"{line}\n" for line in lines))
        draft.rename(self._faults)

    def heal(self) -> None:
        """Let nothing go wrong any more; what hangs goes on."""
        self.set()

    def end(self) -> None:
        """End the process, with whatever hangs in it."""
        self.heal()
        with suppress(OSError):
            subprocess.run(["umount", "--lazy", str(self.point)], check=False, capture_output=True)
        self._process.kill()
        self._process.communicate()

    def _is_mounted(self) -> bool:
        assert self._process.poll() is None, self._process.stderr.read().decode()
        return os.path.ismount(self.point)


def need_fuse(need_tool: Callable[[str], str]) -> None:
    """Skip the test where no FUSE file system can be mounted; in CI that is a failure."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    need_tool("fusermount3")
    missing = "" if os.path.exists("/dev/fuse") else "/dev/fuse"
    missing = missing or ("" if importlib.util.find_spec("mfusepy") else "mfusepy")
    if missing and _IN_CI:
        pytest.fail(f"{missing} is missing; in CI nothing is skipped for that (see .ci/run)")
    if missing:
        pytest.skip(f"{missing} is missing: no file system of our own can be mounted")
