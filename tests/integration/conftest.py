"""What several tests of outages and faults ask for; a file that means another thing by a name has its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fuse_process import need_fuse
from support.fuse_rules import RuledDirectory
from support.obeying import Mount, StateSite, mounts_below
from support.outage_rig import Disk
from support.rig import Rig
from support.volumes import Volumes, volumes_below


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig whose producers and writer run in this process, with lanes in memory."""
    made = Rig()
    yield made
    made.close()


@pytest.fixture
def disk(rig: Rig) -> Disk:
    """Give the disk of the rig's day files, which a test can break."""
    return Disk(rig.patch)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[StateSite]:
    """Give a site, with its state elsewhere than its logs, that ends with the test."""
    with StateSite(tmp_path / "site") as made:
        yield made


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Give a function that mounts a small file system in memory."""
    with mounts_below(tmp_path) as mounts:
        yield mounts


@pytest.fixture
def volumes(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[Volumes]:
    """Give what mounts small file systems."""
    with volumes_below(tmp_path, need_tool) as made:
        yield made


@pytest.fixture
def ruled(tmp_path: Path, need_tool: Callable[[str], str]) -> Iterator[RuledDirectory]:
    """Give a directory whose operations go wrong by rules; it outlives a site over it."""
    need_fuse(need_tool)
    made = RuledDirectory(tmp_path / "volume")
    yield made
    made.end()
