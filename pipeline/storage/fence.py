"""The append lock: whoever appends to a set of files holds it, and nobody else does."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from pipeline.host import files, locks, processes
from pipeline.host.locks import RecordLock
from pipeline.storage.directories import Access, make_belongings

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings
    from pipeline.storage.grip import Grip

_PROBE_BYTES: Final = 4096
_NOTE: Final = "instance.json"
KEEPER_LOCK: Final = "keeper.lock"


class Fence:
    """
    Held by a writer all its life, or by who replays without one.

    `instance` is "" for the plain file names, which the first instance has while it lives, else our own
    suffix. It is remembered in the runtime directory, for a successor that cannot reach the log directory.
    """

    def __init__(self, grip: Grip, settings: Settings) -> None:
        self._grip = grip
        self._places = places = grip.places
        self._settings = settings
        self._lock: RecordLock | None = None
        self.taken_by = ""
        """Which other process holds the lock, as last seen; empty when none does, or nobody can tell."""
        self.taken_by_pid = 0
        self.instance = str((files.read_json(places.runtime(_NOTE)) or {}).get("instance", places.instance))

    @property
    def is_held(self) -> bool:
        """Whether this process may append."""
        return self._lock is not None and not self.is_void()

    def try_acquire(self) -> bool:
        """Take the lock unless another process has it. OSError when the log directory cannot be used."""
        self.taken_by, self.taken_by_pid = "", 0
        self._grip.make(self._settings)
        make_belongings(self._places, self._settings)
        self.instance = self._choose_instance()
        lock = lock_of(self._places, self.instance)
        if not lock.try_acquire():
            holder = locks.holder_of(lock.fd)
            self.taken_by, self.taken_by_pid = _described(holder), max(0, holder or 0)
            lock.close()
            return False
        try:
            # Whoever made these directories may have died, with the power to come, before it synced them.
            files.sync_directory(self._places.log_dir)
            files.sync_ancestors(self._grip.log_dir)
        except OSError:
            lock.close()
            raise
        self._lock = lock
        if not self.instance:
            claim = {"instance": self._places.instance}
            files.write_json(self._places.belongings_dir / "primary.json", claim, is_only_writer=True)
            self._grip.name_volume(Access.of(self._settings))
        self.renew_note()
        return True

    def renew_note(self) -> None:
        """Remember our files, for a successor that cannot reach the log directory."""
        with contextlib.suppress(OSError):
            files.write_json(self._places.runtime(_NOTE), {"instance": self.instance})

    def probe(self) -> None:
        """See that a file can be written, synced and removed, with the lock held. OSError when not."""
        self._grip.make(self._settings)
        make_belongings(self._places, self._settings)
        if not self.is_held:
            self.give_up()
            if not self.try_acquire():
                raise OSError(errno.EBUSY, f"{self.taken_by} holds the append lock", str(self._grip.log_dir))
        path = self._places.log_dir / f".probe-{os.getpid()}"
        try:
            path.write_bytes(bytes(_PROBE_BYTES))
            files.sync_file(path)
        finally:
            files.remove(path)

    def is_void(self) -> bool:
        """Whether the log directory was replaced, so that what we hold keeps nobody out."""
        if self._lock is None or not self._grip.log_dir.is_dir():
            return False
        return not (self._grip.is_current() and self._lock.is_current())

    def give_up(self) -> None:
        """Let go of the lock, and of the log directory."""
        self._grip.let_go()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _choose_instance(self) -> str:
        claimed = (files.read_json(self._places.belongings_dir / "primary.json") or {}).get("instance")
        if claimed in (None, self._places.instance):
            return ""
        probe = RecordLock(self._places.belongings_dir / "append.lock")
        is_free = probe.try_acquire()
        probe.close()
        return "" if is_free else self._places.instance


def lock_of(places: Places, instance: str) -> RecordLock:
    """Return the append lock of an instance, not taken; never of one that this process holds already."""
    return RecordLock(places.belongings_dir / (f"append.{instance}.lock" if instance else "append.lock"))


def keeper_lock_of(places: Places) -> RecordLock:
    """Return the lock of whoever packs files or lets them leave, not taken; one for all instances."""
    return RecordLock(places.belongings_dir / KEEPER_LOCK)


def _described(pid: int | None) -> str:
    """Return what there is to say of the process that holds a lock; None let go of it just now."""
    if pid is None or pid <= 0:
        return "a process of another container or host"
    name = processes.program_name(pid)
    return f"pid {pid} ({name})" if name else f"pid {pid} of another host"
