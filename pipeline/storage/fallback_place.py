"""Where the fallback store is."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.limits import MIB
from pipeline.storage.fallback import Fallback

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.paths import Places
    from pipeline.settings import Settings


def fallback_for(
    places: Places, settings: Settings, instance: str, beat: Callable[[], None], note: Callable[[str], None]
) -> Fallback:
    """Return the fallback store of an instance; nothing is opened or made."""
    root = Path(os.environ.get("XDG_STATE_HOME") or "/var/tmp")
    directory = root / f"pipeline-{os.geteuid()}" / f"{zlib.crc32(str(places.log_dir).encode()):08x}"
    name = f"fallback.{instance}.db" if instance else "fallback.db"
    return Fallback(
        directory / name,
        max_bytes=1024 * MIB,
        quarantine_dir=places.belongings_dir / "quarantine",
        about={"log_dir": str(places.log_dir)},
        beat=beat,
        note=note,
    )
