"""
Real file systems on a disk that remembers: cut at each of its flushes, with any of the writes that followed.

The producers and the writer work once; then the disk is made again as it was at each flush, a start goes over
it, and what producers had been told by that flush is looked for. Some minutes long, so by hand.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.fuse_disk import FuseDisk
from support.fuse_process import need_fuse
from support.ground import Ground
from support.power import judge_cut, plan, watch_flushes
from support.volumes import IMAGE_BYTES, KINDS, Volumes, run, volumes_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

FLUSHES = 60


@pytest.fixture
def volumes(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[Volumes]:
    """Give what mounts small file systems."""
    need_fuse(need_tool)
    with volumes_below(tmp_path, need_tool) as volumes:
        yield volumes


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_each_flush_loses_nothing_that_was_on_the_disk(
    volumes: Volumes, tmp_path: Path, seed: int, kind: str
) -> None:
    """As it was at the flush, and with two choices of what followed it."""
    dice = random.Random(seed)
    disk = FuseDisk(tmp_path / "disk", IMAGE_BYTES[kind])
    try:
        volumes.make(disk.image, kind)
        volume = volumes.image("volume", disk.image, kind)
        run("sync")
        disk.begin_log()
        with Ground(tmp_path / "ground") as ground:
            ground.log_dir = volume.point / "logs"
            ground.start(plan(dice))
            told = watch_flushes(ground, disk, FLUSHES)
            ground.kill("")
            for flush in range(FLUSHES):
                for chosen in (None, dice.randrange(1 << 30), dice.randrange(1 << 30)):
                    name = f"cut{flush}.{chosen}"
                    image = disk.cut_at(flush, chosen)
                    cut = volumes.image(name, image, kind, options="nouuid" if kind == "xfs" else "")
                    judge_cut(ground, tmp_path / f"again{name}", cut, told, flush)
                    cut.end()
                    image.unlink()
                    print(f"{kind} {name} ok", flush=True)
    finally:
        disk.end()
