"""
Where everything lives: the log directory, what belongs to it, and the runtime directory in memory.

Every process of every program must come to the same answer for the same log directory, so nothing here
depends on anything but the settings, the user and the machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import RuntimeDirectoryError, SettingsError
from pipeline.host import files, mounts, processes

LOG_DIR_VARIABLE: Final = "PIPELINE_LOG_DIR"
RUNTIME_ROOT_VARIABLE: Final = "PIPELINE_RUNTIME_ROOT"
"""
Another place than /dev/shm for the runtime directory.

Has to be the same for all processes of a pipeline.
"""

BELONGINGS: Final = ".pipeline"
"""The directory in the log directory for what belongs to the files."""
QUARANTINE: Final = "quarantine"
NOWHERE: Final = Path("/dev/null/out-of-reach")
"""A path at which nothing can be looked at or made, and each try is refused at once (ENOTDIR)."""
_DEFAULT_LOG_DIR: Final = "~/.pipeline/logs"


def resolve_log_dir(log_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute log directory: as given, else `$PIPELINE_LOG_DIR`, else `~/.pipeline/logs`."""
    text = os.fspath(log_dir) if log_dir else os.environ.get(LOG_DIR_VARIABLE) or _DEFAULT_LOG_DIR
    named = os.path.expandvars(text)
    expanded = os.path.expanduser(named)
    if "$" in named:
        raise SettingsError("log_dir names a variable that is not set", where="log_dir", cause=text)
    return Path(os.path.realpath(expanded))


class Places(NamedTuple):
    """The directories and files of one pipeline instance."""

    log_dir: Path
    state_dir: Path
    runtime_dir: Path
    instance: str
    is_memory: bool
    """Whether the runtime directory is on a file system in memory, the only kind that is ever mapped."""

    @property
    def lanes_dir(self) -> Path:
        """Lanes in memory, and the lock of every lane."""
        return self.runtime_dir / "lanes"

    @property
    def disk_lanes_dir(self) -> Path:
        """Lanes on disk of this instance."""
        return self.state_dir / "lanes" / self.runtime_dir.name

    @property
    def belongings_dir(self) -> Path:
        """What belongs to the files: append lock, manifests, checkpoint, quarantine."""
        return self.log_dir / BELONGINGS

    @property
    def quarantine_dir(self) -> Path:
        """What was cut from files or is damaged, for somebody to look at."""
        return self.belongings_dir / QUARANTINE

    @property
    def unknown_lanes_dir(self) -> Path:
        """Lanes that another version of this library wrote: kept whole, not read."""
        return self.belongings_dir / "unknown_lanes"

    @property
    def spare_settings(self) -> Path:
        """The settings in force, when the runtime directory had no room for them."""
        return self.state_dir / f"settings.{self.runtime_dir.name}.json"

    @property
    def workers_log(self) -> Path:
        """The workers' own messages."""
        return self.belongings_dir / "workers.log"

    @property
    def volume_note(self) -> Path:
        """Where the writer says on which mount point the log directory is."""
        return self.runtime("volume.json")

    @property
    def service_mark(self) -> Path:
        """Stands while the pipeline is run as a service: producers then start nothing themselves."""
        return self.state_dir / "service.json"

    def out_of_reach(self) -> Places:
        """Return the places of who must not touch the log directory's volume, which may hang."""
        is_same = mounts.is_same(self.state_dir, self.log_dir)
        return self._replace(log_dir=NOWHERE, state_dir=NOWHERE if is_same else self.state_dir)

    def through(self, log_dir: Path) -> Places:
        """Return the same places, with the log directory and what is in it reached by another path."""
        state_dir = self.state_dir
        if state_dir.is_relative_to(self.log_dir):
            state_dir = log_dir / state_dir.relative_to(self.log_dir)
        return self._replace(log_dir=log_dir, state_dir=state_dir)

    def runtime(self, name: str) -> Path:
        """Return a file of the runtime directory."""
        return self.runtime_dir / name


def require_volume(places: Places, path: Path) -> None:
    """
    Refuse a path in the mount point of the log directory's volume while that is away: OSError (ENODEV).

    What is made there is hidden when the volume comes back, and what belongs there is not gone. A writer
    notes where it is mounted (storage/volume).
    """
    noted = str((files.read_json(places.volume_note) or {}).get("mount_point", ""))
    if noted and path.is_relative_to(noted) and not os.path.ismount(noted):
        raise OSError(errno.ENODEV, f"the volume of the log directory is not mounted at {noted}")


def places_for(log_dir: Path, state_dir: str = "") -> Places:
    """Return where the pipeline over a log directory lives. Creates nothing."""
    state = (
        Path(os.path.realpath(os.path.expanduser(os.path.expandvars(state_dir))))
        if state_dir
        else log_dir / BELONGINGS
    )
    return places_at(log_dir, state)


def places_at(log_dir: Path, state: Path) -> Places:
    """Return the same for two directories without links in them. Touches neither: they may hang."""
    root = runtime_root()
    device = _device_of(root.parent)
    namespace = processes.pid_namespace()
    key = f"{_digest(str(log_dir), str(state))[:10]}-{_digest(namespace, device)[:6]}"
    return Places(
        log_dir=log_dir,
        state_dir=state,
        runtime_dir=root / key,
        instance="i" + _digest(processes.boot_id(), namespace, device, str(os.geteuid()))[:8],
        is_memory=is_in_memory(root.parent),
    )


def find_places(log_dir: Path, state_dir: str = "") -> Places:
    """
    Return where the pipeline that runs over a log directory lives, else where one would.

    A pipeline with a `state_dir` of its own has another runtime directory; who was not told finds its note
    there.
    """
    places = places_for(log_dir, state_dir)
    if state_dir or places.runtime_dir.exists():
        return places
    root = runtime_root()
    for name in files.names_in(root):
        home = files.read_json(root / name / "home.json") or {}
        if home.get("log_dir") == str(log_dir):
            found = places_for(log_dir, str(home.get("state_dir", "")))
            if found.runtime_dir == root / name:
                return found
    return places


def runtime_root() -> Path:
    """
    Return the directory of this user that holds all runtime directories.

    The first candidate that is ours or can become ours; one that somebody else prepared is passed over.
    """
    user = os.geteuid()
    given = os.environ.get(RUNTIME_ROOT_VARIABLE)
    parents = [Path(given)] if given else [Path("/dev/shm"), Path(f"/run/user/{user}"), Path("/tmp")]
    for parent in parents:
        root = parent / f"pipeline-{user}"
        if files.is_private_directory(root) or (
            not os.path.lexists(root) and os.access(parent, os.W_OK | os.X_OK)
        ):
            return root
    raise RuntimeDirectoryError(
        "no place for the runtime directory",
        where=", ".join(str(parent) for parent in parents),
        cause="each is missing, not writable, or has a pipeline directory that is not private to this user",
        remedy=f"Make one of them writable or set {RUNTIME_ROOT_VARIABLE}",
    )


def create_runtime(places: Places) -> None:
    """Create the runtime directory, private to this user; another process may do the same at once."""
    root = places.runtime_dir.parent
    for _ in range(100):
        try:
            for path in (root, places.runtime_dir):
                _make_own(path)
            places.lanes_dir.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            continue  # the last pipeline of this user ended just now and removed the root
        break
    home = places.runtime("home.json")
    if not home.exists():
        about = {
            "log_dir": str(places.log_dir),
            "state_dir": str(places.state_dir),
            "instance": places.instance,
        }
        with contextlib.suppress(OSError):  # a full file system: the name is for a successor's convenience
            files.write_json(home, about)


def _make_own(path: Path) -> None:
    """Make a directory of ours, or see that it is; what somebody else prepared is not used."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not files.is_private_directory(path):
        if not os.path.lexists(path):
            raise FileNotFoundError(path)
        raise RuntimeDirectoryError(
            "the runtime directory is not private to this user",
            where=str(path),
            remedy="Remove it; it has to be a directory of mode 0700",
        )


def is_in_memory(path: Path) -> bool:
    """Whether the file system under `path` is tmpfs."""
    return mounts.of(Path(os.path.realpath(path))).kind in ("tmpfs", "ramfs")


def _device_of(path: Path) -> str:
    try:
        return str(path.stat().st_dev)
    except OSError:
        return ""


def _digest(*parts: str) -> str:
    # Two checksums and no hash: importing OpenSSL costs 8 ms, and nobody gains by a collision here.
    text = "\0".join(parts).encode()
    return f"{zlib.crc32(text):08x}{zlib.crc32(text[::-1], 1):08x}"
