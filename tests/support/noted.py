"""Days that are noted: a copy in which small files have an index, too, and what of them nobody indexed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pipeline.query import pruning
from pipeline.query.blocks import blocks_of
from pipeline.query.cuts import Cuts
from pipeline.query.index import Index
from pipeline.query.sources import sources

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def indexable(days: Path, home: Path, patch: pytest.MonkeyPatch) -> Path:
    """Copy days to `home/logs`; what only their reader has is in `home/cache`."""
    patch.setattr(pruning, "SMALL_BYTES", 0)
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    shutil.copytree(days, home / "logs")
    return home / "logs"


def unknown_blocks(logs: Path) -> dict[str, int]:
    """Return how many blocks of each file nobody has indexed."""
    found = {}
    for source in sources(logs, "", "", Cuts(logs)):
        known = Index(logs, source)
        found[source.stem] = sum(known.of(block) is None for block in blocks_of(logs, source.stem))
    return found
