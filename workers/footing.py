"""Where a writer stands: whether it holds the append lock, and what it does to get it back."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import FallbackError
from pipeline.host import files
from pipeline.host.locks import RecordLock
from pipeline.paths import NOWHERE
from pipeline.queue import adoption, usage
from pipeline.storage import fallback_places
from pipeline.storage.fallback import Fallback
from pipeline.storage.fence import Fence
from pipeline.storage.grip import Grip
from pipeline.storage.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.checkpoint import Checkpoint
    from pipeline.delivery.pump import Pump
    from pipeline.paths import Places
    from pipeline.settings import Settings


_FALLBACK_NOTE: Final = "fallback.json"
_STUCK: Final = "a killed writer is stuck in the kernel"
_GIVE_UP_AT: Final = 0.25
"""Share of the queue's quota past which nothing waits for a retry."""


class Footing:
    """
    The append lock of one writer, and its grip on the log directory.

    A stand-in never gets it: a killed writer is stuck there, and so would be who touches anything near it.
    """

    def __init__(self, places: Places, settings: Settings, *, is_stand_in: bool = False) -> None:
        self._places = places
        self._is_stand_in = is_stand_in
        self.grip = Grip(places)
        self._fence = Fence(self.grip, settings)
        self.error = ""
        """Why the lock could not be had."""
        self.waits_for = ""
        """The writer's state while it has not got it, such as "waiting_for_log_dir"."""

    @property
    def is_held(self) -> bool:
        """Whether the files are ours to append to."""
        return self._fence.is_held

    @property
    def has_log_dir(self) -> bool:
        """Whether there is a log directory, or will be again: its volume is away."""
        return self._is_stand_in or not self.grip.is_gone()

    @property
    def instance(self) -> str:
        """Our suffix in file names, "" for the first instance."""
        return self._fence.instance

    @property
    def lock_holder(self) -> str:
        """Which other process holds the append lock, empty when none does."""
        return self._fence.taken_by

    @property
    def lock_pid(self) -> int:
        """The process that holds the append lock, 0 when none does that can be told."""
        return self._fence.taken_by_pid

    def try_acquire(self) -> bool:
        """Try to take the lock, at once; a log directory that cannot be used is waited for like a lock."""
        self.error = self.waits_for = ""
        if self._is_stand_in:
            self.error, self.waits_for = _STUCK, "waiting_for_stuck_writer"
            return False
        try:
            if self._fence.try_acquire():
                return True
        except OSError as error:
            self.error, self.waits_for = str(error), "waiting_for_log_dir"
            return False
        self.error = f"{self.lock_holder} holds the append lock"
        self.waits_for = "waiting_for_append_lock"
        return False

    def sees_all_lanes(self) -> bool:
        """Whether no lane is out of sight: on a volume that is away, or that a killed writer is stuck on."""
        return not self._is_stand_in and self.grip.is_there(self._places.disk_lanes_dir)

    def is_lost(self, pump: Pump) -> bool:
        """Whether the log directory was replaced under us, and the lock in the new one cannot be had."""
        if not self._fence.is_void():
            return False
        self._fence.give_up()
        if not self.try_acquire():
            return True
        try:
            _load(pump)
        except OSError as error:
            self.error = str(error)
            return True
        return False

    def renew_notes(self, store: Path) -> None:
        """Leave a successor what the runtime directory said that somebody removed: volume, files, store."""
        self.grip.renew()
        if self.is_held:
            self._fence.renew_note()
        _note_store(self._places, store, lambda _: None)

    def hold_disk_lanes(self, note: Callable[[str], None]) -> None:
        """Say that this instance's disk lanes have a writer."""
        try:
            lanes_dir = self.grip.places.disk_lanes_dir
            files.make_private(lanes_dir)
            self._disk_lanes_lock = RecordLock(lanes_dir / adoption.INSTANCE_LOCK)
            self._disk_lanes_lock.try_acquire()
        except OSError as error:
            note(f"no disk lanes here: {error}")

    def probe(self, pump: Pump, checkpoint: Checkpoint) -> None:
        """See that the log directory takes files, and cut what is marked there. OSError when it does not."""
        if self._is_stand_in:
            raise OSError(errno.EBUSY, _STUCK)
        self._fence.probe()
        self.error = ""
        if not pump.retreat.may_touch_files:
            pump.days.use(self.instance)
            checkpoint.use(self.instance)
            remember_files(pump, checkpoint)
            _load(pump)
            pump.retreat.cut_elsewhere()
            pump.retreat.may_touch_files = True
        pump.retreat.cut_marked()


def _load(pump: Pump) -> None:
    """Have positions and cut marks as they stand now that the lock is ours. OSError when they do not."""
    try:
        pump.lanes.scan(everywhere=True)
        pump.retreat.load()
    except FallbackError as error:
        raise OSError(errno.EIO, str(error)) from error


def remember_files(pump: Pump, checkpoint: Checkpoint) -> None:
    """Take over from the last checkpoint what it says of the files."""
    known = checkpoint.load()
    pump.days.known = known.get("files", {})
    pump.days.sealed = set(known.get("sealed", []))


def is_pressed(places: Places, settings: Settings) -> bool:
    """Whether the queue has grown so far that records should go anywhere, rather than wait."""
    used = usage.used_bytes(places.lanes_dir) + usage.used_bytes(places.disk_lanes_dir)
    return used > usage.quota_bytes(settings.queue_max_mb) * _GIVE_UP_AT


def fallback_for(
    places: Places,
    settings: Settings,
    instance: str,
    *,
    is_stand_in: bool = False,
    beat: Callable[[], None],
    note: Callable[[str], None],
) -> Fallback:
    """
    Return the fallback store of this writer, not yet opened; for a stand-in by the names of places alone.

    It stays the same while the runtime directory lives, whatever lock is had: its positions belong to the
    lanes.
    """
    told = files.read_json(places.runtime(_FALLBACK_NOTE)) or {}
    reach = places.out_of_reach() if is_stand_in else places
    path = Path(str(told.get("path", "")) or _chosen(places, reach, settings, instance, note))
    if not told:
        _note_store(places, path, note)
    store = Fallback.of(places, settings, path, places.instance, beat=beat, note=note)
    store.quarantine_dir = reach.quarantine_dir
    return store


def _note_store(places: Places, path: Path, note: Callable[[str], None]) -> None:
    if path.is_relative_to(NOWHERE):
        return
    try:
        files.write_json(places.runtime(_FALLBACK_NOTE), {"path": str(path)})
    except OSError as error:
        note(f"the place of the fallback store is not noted: {error}")


def _chosen(
    places: Places, reach: Places, settings: Settings, instance: str, note: Callable[[str], None]
) -> Path:
    try:
        place = fallback_places.choose(places, settings.fallback_dir)
        if reach.log_dir.is_dir():
            with contextlib.suppress(OSError):  # the runtime directory has it too
                Volume(places).check_path(places.state_dir)
                fallback_places.leave_note(places, place)
        return place.database(instance)
    except FallbackError as error:
        note(str(error))
        return reach.state_dir / "fallback.db"
