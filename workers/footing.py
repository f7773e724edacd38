"""Where a writer stands: whether it holds the append lock, and what it does to get it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.storage.fence import Fence
from pipeline.storage.volume import Volume

if TYPE_CHECKING:
    from pipeline.delivery.checkpoint import Checkpoint
    from pipeline.delivery.pump import Pump
    from pipeline.paths import Places
    from pipeline.settings import Settings


class Footing:
    """The append lock of one writer, and the volume that it is on."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self.volume = Volume(places)
        self._fence = Fence(places, settings, self.volume)
        self.error = ""
        """Why the lock could not be had."""
        self.waits_for = ""
        """The writer's state while it has not got it: "waiting_for_log_dir" or "waiting_for_append_lock"."""

    @property
    def is_held(self) -> bool:
        """Whether the files are ours to append to."""
        return self._fence.is_held

    @property
    def instance(self) -> str:
        """Our suffix in file names, "" for the first instance."""
        return self._fence.instance

    def try_acquire(self) -> bool:
        """Try to take the lock, at once; a log directory that cannot be used is waited for like a lock."""
        self.error = self.waits_for = ""
        try:
            if self._fence.try_acquire():
                return True
        except OSError as error:
            self.error, self.waits_for = str(error), "waiting_for_log_dir"
            return False
        self.error, self.waits_for = "another process holds the append lock", "waiting_for_append_lock"
        return False

    def is_lost(self) -> bool:
        """Whether the log directory was replaced under us, and the lock in the new one cannot be had."""
        if not self._fence.is_void():
            return False
        self._fence.give_up()
        return not self.try_acquire()

    def probe(self, pump: Pump, checkpoint: Checkpoint) -> None:
        """See that the log directory takes files, and cut what has to be cut there. OSError when it does not."""
        self._fence.probe()
        self.error = ""
        if not pump.retreat.may_touch_files:
            pump.days.instance = self.instance
            checkpoint.use(self.instance)
            remember_files(pump, checkpoint)
            pump.retreat.may_touch_files = True
        pump.retreat.cut_marked()


def remember_files(pump: Pump, checkpoint: Checkpoint) -> None:
    """Take over from the last checkpoint what it says of the files."""
    known = checkpoint.load()
    pump.days.known = known.get("files", {})
    pump.days.sealed = set(known.get("sealed", []))
