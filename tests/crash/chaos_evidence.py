"""What a chaos soak that turns red leaves to find out why: what happened when, and copies of all state."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from support.ground import Ground


class Evidence:
    """`events` has a line for each beginning and end of a trouble, in the time of the stream's records."""

    def __init__(self, home: Path, ground: Ground) -> None:
        self._home = home
        self._ground = ground
        self._began = time.monotonic()
        self._is_kept = False
        self.events = home / "events"
        self.events.touch()

    def note(self, what: object) -> None:
        """Write down what happens now."""
        now = time.time()
        at = f"{time.strftime('%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06}"
        with self.events.open("a") as file:
            file.write(f"{at} {time.monotonic() - self._began:8.2f} {what}\n")

    def keep_first(self) -> None:
        """Copy the state at the first command that answered what it must not: later much lies over it."""
        if not self._is_kept:
            self._is_kept = True
            self.note(f"a command found something; the state is in {self.keep('first')}")

    def keep(self, name: str) -> Path:
        """Copy what mounts and memory would take with them; return where it is."""
        kept, ground = self._home / name, self._ground
        for part, place in (
            ("logs", ground.log_dir),
            ("runtime", ground.root),
            ("fallback", ground.fallback_dir),
        ):
            with suppress(OSError, shutil.Error):  # what changes under the copy
                shutil.copytree(place, kept / part, dirs_exist_ok=True)
        return kept
