"""A keeper that is played (tests/support/world.py): what one does in its life, by limits of a test."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.storage.fence import keeper_lock_of
from pipeline.storage.grip import Grip

if TYPE_CHECKING:
    from pipeline.paths import Places
    from pipeline.settings import Settings

LIMITS = (
    Limits(pack_after_sec=0.0),
    Limits(pack_after_sec=0.0, max_files=2),
    Limits(max_files=1),
    Limits(pack_after_sec=100.0, retention_sec=3600.0),
    Limits(pack_after_sec=1e9, max_total_bytes=6000),
    Limits(pack_after_sec=1e9, min_free_bytes=4000),
)
"""What keepers go by; the first lets nothing leave."""


def run(places: Places, settings: Settings, limits: Limits) -> None:
    """Do what is due, as `workers/keeper` does. A disk that refuses ends it."""
    grip = Grip(places)
    with suppress(OSError):
        grip.check()
        if keeper_lock_of(grip.places).try_acquire():
            cleaner = Cleaner(grip.places, settings, limits=limits, grip=grip)
            for _ in itertools.chain(cleaner.run(), cleaner.finish()):
                pass
