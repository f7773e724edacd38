"""What several tests of whole pipelines, of outages and of faults ask for."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.apps import Site
from support.archive import at_rest
from support.fuse_process import need_fuse
from support.fuse_rules import RuledDirectory
from support.obeying import Mount, StateSite, mounts_below
from support.outage_rig import Disk
from support.packing import archive, small_pieces
from support.rig import Rig
from support.volumes import Volumes, volumes_below

HOLD = """
import sys
from pathlib import Path
from pipeline.host.locks import RecordLock

locks = [RecordLock(Path(path)) for path in sys.argv[1:]]
assert all(lock.try_acquire() for lock in locks)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig whose producers and writer run in this process, with lanes in memory."""
    made = Rig()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days that the real writer has written, to be copied."""
    return at_rest(tmp_path_factory.mktemp("days"), archive)


@pytest.fixture
def logs(rig: Rig, _days: Path) -> Path:
    """Give the rig's log directory with these days at rest, to be packed in small pieces."""
    shutil.copytree(_days, rig.places.log_dir)
    small_pieces(rig.patch)
    return rig.places.log_dir


@pytest.fixture
def disk(rig: Rig) -> Disk:
    """Give the disk of the rig's day files, which a test can break."""
    return Disk(rig.patch)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a log directory with a runtime root of its own and its applications; it ends with the test."""
    with Site(tmp_path / "site") as made:
        yield made


@pytest.fixture
def state_site(tmp_path: Path) -> Iterator[StateSite]:
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


@pytest.fixture
def held() -> Iterator[Callable[..., Callable[[], object]]]:
    """Give a function by which another process holds locks, until the test ends or it is told to let go."""
    holders: list[subprocess.Popen[str]] = []

    def hold(*paths: Path) -> Callable[[], object]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        holders.append(process)
        assert process.stdout.readline() == "held\n"

        def let_go() -> None:
            process.kill()
            process.wait()

        return let_go

    yield hold
    for process in holders:
        process.communicate("")
