"""Packing in tests: days that are over, packed at one go or interrupted, and what is in them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archive import write_days
from support.rig import Rig

from pipeline.host import failpoint
from pipeline.keeping import packing
from pipeline.keeping.packing import Packing
from pipeline.storage import naming

SUFFIXES = {"zstd": "zst", "gzip": "gz"}


def archive(rig: Rig, *, days: int = 3) -> None:
    """Let the real writer write some days, in manifests of many small blocks, and end."""
    write_days(rig, days=days)
    rig.kill_writer()


def small_pieces(patch: pytest.MonkeyPatch, size: int = 4096) -> None:
    """Let a piece be of 4 KiB, so that a small file has many."""
    patch.setattr(packing, "PIECE_BYTES", size)


def pack(rig: Rig, name: str, compression: str = "zstd") -> Packing:
    """Pack one file; PackingRefused or OSError as they come."""
    run = Packing(rig.places, name, compression)
    for _ in run.steps():
        pass
    return run


def day_files(log_dir: Path) -> list[str]:
    """Return the names of all day files, in whatever form."""
    return sorted(name for name in os.listdir(log_dir) if naming.parse(naming.unpacked(name)[0]))


def drafts(log_dir: Path) -> list[str]:
    """Return the copies that are not finished."""
    directory = log_dir / ".pipeline" / packing.DIRECTORY
    return sorted(os.listdir(directory)) if directory.exists() else []


def when_reached(patch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Do something at a fail point, once."""
    done: list[str] = []
    before = failpoint.reach

    def reach(here: str) -> None:
        before(here)
        if here == name and not done:
            done.append(here)
            act()

    patch.setattr(failpoint, "reach", reach)
