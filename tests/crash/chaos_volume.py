"""What goes wrong with the volume of the log directory in a chaos soak, and with the fallback store."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.ground import Ground
    from support.volumes import Volume

_HELD_SEC = 20.0


class FallbackTrouble:
    """The fallback store on a volume of its own, with at most one trouble at a time."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._holder: sqlite3.Connection | None = None
        self.is_on = False

    def begin(self, kind: str) -> None:
        """Fill its volume, or lock it as somebody does who looks into it and went for lunch."""
        self.is_on = True
        if kind == "fallback_full":
            self._volume.fill()
            return
        for store in self._volume.point.glob("*/fallback.db"):
            self._holder = sqlite3.connect(store, isolation_level=None, timeout=1.0)
            self._holder.execute("BEGIN IMMEDIATE")

    def heal(self) -> None:
        """Make it well."""
        self.is_on = False
        self._volume.free()
        if self._holder is not None:
            self._holder.close()
            self._holder = None


class VolumeTrouble:
    """The one volume of the logs, with at most one trouble at a time."""

    def __init__(self, ground: Ground, volume: Volume) -> None:
        self.kind = ""
        self._ground = ground
        self._volume = volume
        self._undo: Callable[[], None] = lambda: None

    def begin(self, kind: str, number: int) -> None:
        """Break it. OSError when that was not possible, and nothing has changed then."""
        self._undo = getattr(self, f"_{kind}")(random.Random(number))
        self.kind = kind

    def heal(self) -> None:
        """Make it well, whatever was done to it."""
        self._undo()
        self._undo = lambda: None
        self.kind = ""

    def _full(self, _: random.Random) -> Callable[[], None]:
        self._volume.fill()
        return self._volume.free

    def _tight(self, dice: random.Random) -> Callable[[], None]:
        """Room for some more batches, then for a part of one."""
        self._volume.fill(keep=dice.randrange(200_000))
        return self._volume.free

    def _unmounted(self, _: random.Random) -> Callable[[], None]:
        """From under all that is open; below the mount point is an empty directory."""
        self._require_known()
        self._volume.unmount(lazily=True)
        return self._volume.mount

    def _read_only(self, _: random.Random) -> Callable[[], None]:
        """Kill who has a file open for writing, as the kernel asks for that there is none."""

        def tried() -> bool:
            for role in ("writer", "supervisor", "keeper"):
                self._ground.kill(role)
            try:
                self._volume.remount("ro")
            except OSError:
                return False
            return True

        try:
            until(tried, "a moment in which nobody writes", _HELD_SEC)
        except AssertionError as error:
            raise OSError(str(error)) from None
        return lambda: self._volume.remount("rw")

    def _forbidden(self, dice: random.Random) -> Callable[[], None]:
        """Give files, the log directory or what belongs to it the mark of chattr +i."""
        log_dir = self._ground.log_dir
        files = sorted(log_dir.glob("*.jsonl"))
        for path in dice.choice([files, [log_dir], [*files, log_dir], [log_dir / ".pipeline"]]):
            with suppress(OSError):  # a file that was renamed or ended meanwhile
                self._volume.forbid(path)
        return self._volume.allow

    def _emergency(self, _: random.Random) -> Callable[[], None]:
        """EROFS under all that is open; only a new mount heals that, for which everybody has to let go."""
        self._require_known()
        if list(self._ground.log_dir.glob(".pipeline/lanes/*/*/alive")):
            raise OSError("a producer has its lane on the volume, and would have to die for it")
        self._volume.break_read_only()
        return self._mount_anew

    def _require_known(self) -> None:
        """OSError while no writer has seen the volume: the next one would take the empty directory for it."""
        if not list(self._ground.root.glob("pipeline-*/*/volume.json")):
            raise OSError("no writer knows the volume yet")

    def _mount_anew(self) -> None:
        self._volume.unmount(lazily=True)
        until(self._is_let_go, "nobody on the volume", _HELD_SEC)
        self._volume.mount()

    def _is_let_go(self) -> bool:
        """Whether the kernel has given the image back; who holds it is killed."""
        for role in ("writer", "supervisor", "keeper", "other"):
            self._ground.kill(role)
        found = subprocess.run(
            ["losetup", "--noheadings", "--associated", str(self._image)], capture_output=True, check=True
        )
        return not found.stdout.strip()

    @property
    def _image(self) -> Path:
        assert self._volume.source
        return self._volume.source
