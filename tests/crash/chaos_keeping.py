"""
Keeping files in a chaos soak: how files are rotated, packed and let go, and keepers that are killed.

Files that leave are moved out of the volume, so that the oracle finds what was in them.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crash.chaos_commands import run

from pipeline.storage import departed, naming
from pipeline.storage.manifest import SUFFIX, directory_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.ground import Ground

_KEEPS_ALL = {"min_free_mb": 0, "compression": "none"}
"""A volume that is filled on purpose must not have files leave for want of room."""
_AGE_MAX_SEC = 1.5
"""A keeper that has lived longer is killed at once."""


def settings_of(seed: int, moved_to: Path, *, keeps_all: bool = False) -> dict[str, Any]:
    """Return the settings of a soak: small parts, packed at once, and little room; or none of it."""
    if keeps_all:
        return _KEEPS_ALL
    dice = random.Random(f"{seed}/keeping")
    return {
        "rotate_max_mb": dice.choice([0.1, 0.3]),
        "rotate_every": dice.choice(["day", "day", "minute"]),
        "compression": dice.choice(["zstd", "zstd", "gzip"]),
        "compress_after_days": 0,
        "max_total_size_mb": dice.choice([1, 4]),
        "expiry": "move",
        "expiry_dir": str(moved_to),
    }


class Keepers:
    """Those of one soak; while they are doomed, each is killed sooner or later in its short life."""

    def __init__(self, ground: Ground) -> None:
        self.killed = 0
        self._ground = ground
        self._dice: random.Random | None = None
        self._die_at: dict[int, float] = {}

    def doom(self, number: int) -> Callable[[], None]:
        """Have them die from now on; returns what ends it."""
        self._dice = random.Random(number)

        def spare() -> None:
            self._dice = None
            self._die_at.clear()

        return spare

    def tend(self) -> None:
        """Kill those whose time has come."""
        if self._dice is None:
            return
        now = time.monotonic()
        for pid in self._ground.pids("keeper"):
            die_at = self._die_at.setdefault(pid, now + self._dice.uniform(0.0, _AGE_MAX_SEC))
            if now >= die_at:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed += 1


def clean(ground: Ground, moved_to: Path) -> list[str]:
    """Do what keepers were killed over; return what is wrong with that, and with files that have left."""
    done = run(ground, "cleanup")
    faults = (
        [f"cleanup ended with {done.returncode}: {done.stdout!r} {done.stderr!r}"] if done.returncode else []
    )
    left = _untold(ground.log_dir, moved_to)
    return [*faults, f"left without a word, or not at all: {left}"] if left else faults


def _untold(log_dir: Path, moved_to: Path) -> list[str]:
    """Return the files that have left without a word in their manifest, or are here and there."""
    manifests = directory_of(log_dir / ".pipeline")
    names = [naming.unpacked(path.name)[0] for path in moved_to.glob("*.jsonl*")] if moved_to.exists() else []
    silent = [name for name in names if not departed.cause_of(manifests / (name + SUFFIX))]
    return silent + [name for name in names if list(log_dir.glob(f"{name}*"))]
