"""
Where fallback stores are: a directory per user and log directory, on another mount than the logs if possible.

    fallback_dir = DIR     DIR/KEY
    fallback_dir = auto    $XDG_STATE_HOME/pipeline/KEY
                           ~/.local/state/pipeline/KEY
                           /var/tmp/pipeline-UID/KEY

KEY is made of the log directory's path alone, so it is the same after a reboot and for who has no settings.
In it stand `fallback.db`, and `fallback.INSTANCE.db` of another instance. Who looks for stores looks into all
of these places: a mount that was away when a pipeline started may have led it to another one.
"""

from __future__ import annotations

import os
import pwd
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.errors import FallbackError
from pipeline.host import files, mounts

if TYPE_CHECKING:
    from pipeline.paths import Places

AUTO: Final = "auto"
_NOTE: Final = "fallback.json"
_DATABASE: Final = re.compile(r"^fallback(?:\.(i[0-9a-f]{8}))?\.db$")


class FallbackPlace(NamedTuple):
    """The directory of this pipeline's stores, and whether it fails together with the log directory."""

    directory: Path
    is_same_mount: bool

    def database(self, instance: str) -> Path:
        """Return the store of an instance, "" for the first one."""
        return self.directory / (f"fallback.{instance}.db" if instance else "fallback.db")


def choose(places: Places, fallback_dir: str) -> FallbackPlace:
    """
    Return where a pipeline keeps its store. Makes nothing.

    FallbackError when there is no place that is, or can become, this user's and safe from others.
    """
    tried = _candidates(places.log_dir, fallback_dir)
    for directory in sorted(tried, key=lambda path: is_same_mount(path, places.log_dir)):
        if _can_be_ours(directory):
            return FallbackPlace(directory, is_same_mount(directory, places.log_dir))
    raise FallbackError(
        "there is no place for the fallback store",
        where=", ".join(map(str, tried)),
        cause="each is not writable, or others may write to it",
        remedy="Set fallback_dir to a directory on another volume than the logs",
    )


def leave_note(places: Places, place: FallbackPlace) -> None:
    """Say beside the checkpoint where the store is, for who has no settings. OSError when it cannot be."""
    note = {"directory": str(place.directory)}
    path = places.state_dir / _NOTE
    if files.read_json(path) != note:
        files.make_private(places.state_dir)
        files.write_json(path, note, is_only_writer=True)


def stores(places: Places, fallback_dir: str = AUTO) -> list[Path]:
    """Return every store there is of a log directory, of whatever instance and in whatever place."""
    noted = (files.read_json(places.state_dir / _NOTE) or {}).get("directory")
    directories = [*_candidates(places.log_dir, fallback_dir), *_candidates(places.log_dir, AUTO)]
    if isinstance(noted, str):
        directories.append(Path(noted))
    in_use = store_in_use(places)
    if in_use is not None:
        directories.append(in_use.parent)
    found = dict.fromkeys(
        Path(os.path.realpath(directory)) / name
        for directory in directories
        for name in sorted(files.names_in(directory))
        if _DATABASE.match(name) and files.is_guarded_directory(directory)
    )
    return list(found)


def store_in_use(places: Places) -> Path | None:
    """Return the store of the pipeline that runs, or ran, here; None when it did not say."""
    path = (files.read_json(places.runtime(_NOTE)) or {}).get("path")
    return Path(os.path.realpath(path)) if isinstance(path, str) and path else None


def instance_of(store: Path) -> str:
    """Return whose store it is, "" for the first instance of its log directory."""
    match = _DATABASE.match(store.name)
    return (match[1] or "") if match else ""


def key_of(log_dir: Path) -> str:
    """Return the name of the directory that the stores of a log directory are in."""
    text = str(log_dir).encode()
    return f"{zlib.crc32(text):08x}{zlib.crc32(text[::-1], 1):08x}"


def _candidates(log_dir: Path, fallback_dir: str) -> list[Path]:
    key = key_of(log_dir)
    if fallback_dir not in (AUTO, ""):
        expanded = os.path.expanduser(os.path.expandvars(fallback_dir))
        return [Path(os.path.realpath(expanded)) / key]
    homes = [os.environ.get("XDG_STATE_HOME", ""), os.path.expanduser("~/.local/state")]
    homes += [os.path.join(home, ".local/state") for home in _own_home()]
    return [
        *(Path(home) / "pipeline" / key for home in dict.fromkeys(homes) if os.path.isabs(home)),
        Path("/var/tmp") / f"pipeline-{os.geteuid()}" / key,
    ]


def _own_home() -> list[str]:
    """Return the home of the user that we act as: $HOME may still be root's."""
    try:
        return [pwd.getpwuid(os.geteuid()).pw_dir]
    except KeyError:
        return []


def is_same_mount(path: Path, log_dir: Path) -> bool:
    """Whether both are on one file system, without a look at the log directory, which may hang."""
    return mounts.is_same(Path(os.path.realpath(path)), log_dir)


def _can_be_ours(directory: Path) -> bool:
    """Whether the directory is private to us, or we can make it so."""
    if os.path.lexists(directory):
        return files.is_guarded_directory(directory)
    from pipeline.storage import fallback_file  # sqlite is paid for by who makes a store

    above = next(path for path in directory.parents if os.path.lexists(path))
    return fallback_file.is_safe_above(above) and os.access(above, os.W_OK | os.X_OK)
