"""Starting the pipeline's own processes: by whoever needs them, one launcher at a time."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from pipeline import settings as settings_table
from pipeline.host import clock, files, processes, seats
from pipeline.host.locks import RecordLock
from pipeline.paths import Places, create_runtime, require_volume

if TYPE_CHECKING:
    from pipeline.settings import Reading, Settings

VERSION: Final = "0.1.0"
_BOOT_SEC: Final = 1.5
"""How long a supervisor that was launched is waited for before another one is launched."""
STOPPED_MARK: Final = "stopped"
"""Stands in the runtime directory after `pipeline stop`: producers then queue and start nothing."""
RELOADED: Final = "reloaded.json"
"""What reading the settings again came to the last time, in the runtime directory."""
KEEPER_WANTED: Final = "keeper.wanted"
"""Stands in the runtime directory while there is work for the keeper; the supervisor takes it away."""


def supervisor_pid(places: Places) -> int | None:
    """Return the pid of the running supervisor, 0 in another pid namespace, None when there is none."""
    return seats.holder(places.runtime("supervisor.lock"))


def writer_pid(places: Places) -> int | None:
    """Return the pid of the running writer, None when there is none."""
    return seats.holder(places.runtime("writer.lock"))


def stuck_writers(places: Places) -> list[int]:
    """Return the writers that were killed and are still there, stuck in the kernel or frozen."""
    return seats.condemned(places.runtime("writer.lock"))


def is_held_back(places: Places) -> bool:
    """Whether an operator stopped the pipeline, or runs it as a service: then producers start nothing."""
    if places.runtime(STOPPED_MARK).exists():
        return True
    # The state directory may be on the volume that a writer is stuck in; emit() asks this.
    return not stuck_writers(places) and places.service_mark.exists()


def hold_back(places: Places) -> None:
    """Say that an operator wants the pipeline to stand still: producers then start nothing."""
    files.write_json(places.runtime(STOPPED_MARK), {"stopped": clock.wall_text(), "pid": os.getpid()})


def want_keeper(places: Places) -> None:
    """Ask the supervisor for a keeper; one that works now is followed by another. OSError."""
    files.write_json(places.runtime(KEEPER_WANTED), {"at": clock.wall_text(), "pid": os.getpid()})


def publish_settings(places: Places, reading: Reading) -> None:
    """Store the settings in force where the workers find them."""
    content = {**settings_table.document_of(reading), "version": VERSION}
    try:
        files.write_json(places.runtime("settings.json"), content)
    except OSError:  # no room in memory: the state directory has them then
        with contextlib.suppress(OSError):
            require_volume(places, places.state_dir)
            files.make_private(places.state_dir)
            files.write_json(places.spare_settings, content)


def published_settings(places: Places) -> Reading | None:
    """Return the settings of the pipeline that runs, or ran, here; None when there was none."""
    found = files.read_json(places.runtime("settings.json")) or files.read_json(places.spare_settings)
    return settings_table.reading_of(found) if found else None


def start_supervisor(places: Places, settings: Settings, *, extra: tuple[str, ...] = ()) -> bool:
    """
    Start a supervisor unless one runs or is being started; whether this call started one.

    Raises WorkerPythonError when this program has no interpreter for it.
    """
    python = processes.worker_python(settings.worker_python)
    create_runtime(places)
    launching = RecordLock(places.runtime("launch.lock"))
    try:
        takes_over = "--take-over" in extra
        if not launching.try_acquire() or (not takes_over and _is_up_or_starting(places, launching)):
            return False
        with contextlib.suppress(OSError):  # a full memory: then two may be launched, and one of them leaves
            os.pwrite(launching.fd, clock.monotonic_ns().to_bytes(8, "little"), 0)
        processes.launch_detached(
            [python, "-P", "-m", "workers", "supervisor", *place_arguments(places), *extra],
            processes.worker_environment(),
        )
    finally:
        launching.close()
    return True


def note_started(places: Places) -> None:
    """Take the launcher's stamp away: the supervisor is there, and its death is answered at once."""
    fd = os.open(places.runtime("launch.lock"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.close(fd)


def _is_up_or_starting(places: Places, launching: RecordLock) -> bool:
    """Whether a supervisor runs, or was launched a moment ago and has not come to its lock yet."""
    if supervisor_pid(places) is not None:
        return True
    stamp = int.from_bytes(os.pread(launching.fd, 8, 0), "little")
    return 0 <= clock.monotonic_ns() - stamp < _BOOT_SEC * clock.NANO


def place_arguments(places: Places) -> list[str]:
    """Return the arguments that lead a worker to the same places."""
    return ["--log-dir", str(places.log_dir), "--state-dir", str(places.state_dir)]


def is_older(version: str) -> bool:
    """Whether a running supervisor's library is older than this one."""
    return _numbers(version) < _numbers(VERSION)


def running_version(places: Places) -> str:
    """Return the library version of the running supervisor, empty when it does not say."""
    return str((files.read_json(places.runtime("supervisor.json")) or {}).get("version", ""))


def health_address(places: Places) -> str:
    """Return host:port of the health endpoint, empty when nobody serves it."""
    for path in (places.runtime("supervisor.json"), places.belongings_dir / "supervisor.json"):
        address = (files.read_json(path) or {}).get("address", "")
        if address:
            return str(address)
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
