"""The log directory and what belongs to it, made with the modes and the group that the settings ask for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pipeline.host import files

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.paths import Places
    from pipeline.settings import Settings


def make_log_dir(log_dir: Path, settings: Settings) -> None:
    """Make the log directory; one that is there keeps its mode. OSError when it cannot be."""
    if log_dir.is_dir():
        return
    log_dir.parent.mkdir(parents=True, exist_ok=True)
    log_dir.mkdir(mode=settings.dir_mode, exist_ok=True)
    log_dir.chmod(settings.dir_mode)  # mkdir(2) takes the umask off
    if settings.group:
        shutil.chown(log_dir, group=settings.group)
    files.sync_ancestors(log_dir)


def make_belongings(places: Places, settings: Settings) -> None:
    """Make the log directory and `.pipeline` in it. OSError when it cannot be."""
    make_log_dir(places.log_dir, settings)
    places.belongings_dir.mkdir(mode=0o700, exist_ok=True)
