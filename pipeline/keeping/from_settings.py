"""What the settings say of keeping files: the limits, and what becomes of those that leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.host import files
from pipeline.keeping.codecs import NONE
from pipeline.keeping.leaving import Way
from pipeline.keeping.plan import Limits
from pipeline.limits import MIB
from pipeline.storage.directories import Access

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings

DAY_SEC: Final = 86_400.0
NAMES: Final = (
    "compression",
    "compress_after_days",
    "retention_days",
    "max_total_size_mb",
    "max_files",
    "min_free_mb",
    "expiry",
    "expiry_dir",
    "expiry_command",
    "expiry_timeout_sec",
    "timezone",
)
"""The settings that keeping files goes by."""
_NOTE: Final = "retention.json"
_FREE_SHARE: Final = 0.05
"""Of a small volume `min_free_mb` would be all: nothing could stay there."""


def limits_of(settings: Settings, log_dir: Path) -> Limits:
    """Return the limits for one log directory."""
    packs = settings.compression != NONE
    return Limits(
        retention_sec=settings.retention_days * DAY_SEC,
        max_total_bytes=int(settings.max_total_size_mb * MIB),
        max_files=settings.max_files,
        min_free_bytes=min(int(settings.min_free_mb * MIB), int(_volume_bytes(log_dir) * _FREE_SHARE)),
        pack_after_sec=settings.compress_after_days * DAY_SEC if packs else None,
    )


def way_of(settings: Settings) -> Way:
    """Return what is done with files that leave."""
    text = os.path.expanduser(os.path.expandvars(settings.expiry_dir))
    directory = Path(os.path.realpath(text)) if text else None
    return Way(settings.expiry, directory, settings.expiry_command, settings.expiry_timeout_sec)


def leave_note(places: Places, settings: Settings) -> None:
    """Write down the limits in force, for a command that cleans when no pipeline runs. OSError as usual."""
    note = {name: getattr(settings, name) for name in NAMES}
    path = places.belongings_dir / _NOTE
    if files.read_json(path) != orjson.loads(orjson.dumps(note)):
        files.write_json(path, note, is_only_writer=True, give=Access.of(settings).give_file)


def noted(places: Places) -> dict[str, Any]:
    """Return the limits that the last pipeline here had; nothing when none has left a note."""
    found = files.read_json(places.belongings_dir / _NOTE) or {}
    return {name: found[name] for name in NAMES if name in found}


def _volume_bytes(path: Path) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize
