"""What the settings say of keeping files: the limits, and what becomes of those that leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.keeping.leaving import Way
from pipeline.keeping.plan import Limits
from pipeline.limits import MIB

if TYPE_CHECKING:
    from pipeline.settings import Settings

DAY_SEC: Final = 86_400.0
_FREE_SHARE: Final = 0.05
"""Of a small volume `min_free_mb` would be all: nothing could stay there."""


def limits_of(settings: Settings, log_dir: Path, pack_after_sec: float | None = None) -> Limits:
    """Return the limits for one log directory."""
    return Limits(
        retention_sec=settings.retention_days * DAY_SEC,
        max_total_bytes=int(settings.max_total_size_mb * MIB),
        max_files=settings.max_files,
        min_free_bytes=min(int(settings.min_free_mb * MIB), int(_volume_bytes(log_dir) * _FREE_SHARE)),
        pack_after_sec=pack_after_sec,
    )


def way_of(settings: Settings) -> Way:
    """Return what is done with files that leave."""
    text = os.path.expanduser(os.path.expandvars(settings.expiry_dir))
    directory = Path(os.path.realpath(text)) if text else None
    return Way(settings.expiry, directory, settings.expiry_command, settings.expiry_timeout_sec)


def _volume_bytes(path: Path) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize
