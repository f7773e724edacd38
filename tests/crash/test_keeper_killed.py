"""
SIGKILL between every two steps of packing a file: the old one is there or the new one, whole, never neither.

Each case lets one named place kill a process in the middle of its work, and shows by the log of the kills
that it did. Then readers find every record once, and a process without fail points finishes.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.archive import DAYS, at_rest
from support.nursery import nursery
from support.packing import archive, day_files, drafts
from support.unpacking import content

import pipeline
from pipeline.verification import account, verify

_CALL = re.compile(r'failpoint\.(?:reach|is_aimed_at)\("(keeper\.(?:pack|mend)\.[a-z._]+)"\)')
PACK_POINTS = (
    "keeper.pack.partial",
    "keeper.pack.synced",
    "keeper.pack.compared",
    "keeper.pack.renamed",
    "keeper.pack.named",
    "keeper.pack.unlinked",
)
MEND_POINTS = {
    "keeper.mend.draft": "keeper.pack.synced",
    "keeper.mend.compared": "keeper.pack.renamed",
}
"""What has to kill before a point can be reached."""
RUN = """
import os
from pathlib import Path
from support.nursery import aim, serve
from support.packing import small_pieces
import pytest
from pipeline.keeping import packing
from pipeline.keeping.packing import Packing
from pipeline.paths import places_for
from pipeline.storage import naming

def keep(home, spec, compression):
    aim(home, spec)
    small_pieces(pytest.MonkeyPatch())
    places = places_for(Path(home, "logs"))
    packing.remove_drafts(places)
    for name in sorted(os.listdir(places.log_dir)):
        if naming.parse(name):
            has_copy = naming.packed_copy(places.log_dir / name)
            work = packing.mend(places, name) if has_copy else Packing(places, name, compression).steps()
            for _ in work:
                pass

serve(keep)
"""

Run = Callable[..., int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a function that packs in a process of its own and returns how that ended; they fork from one."""
    with nursery(RUN, tmp_path_factory.mktemp("runtime")) as have_done:

        def keep(home: Path, failpoint: str = "", compression: str = "zstd") -> int:
            return have_done(str(home), failpoint, compression)

        yield keep


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days that the real writer has written."""
    return at_rest(tmp_path_factory.mktemp("days"), archive)


@pytest.fixture
def home(tmp_path: Path, days: Path) -> Path:
    """Give a copy of them."""
    shutil.copytree(days, tmp_path / "logs")
    return tmp_path


def check(home: Path, days: Path) -> None:
    """See that each day is there, in a form that is whole, and that readers find what they found before."""
    logs = home / "logs"
    for day in DAYS:
        forms = [logs / name for name in day_files(logs) if name.startswith(day)]
        assert forms
        assert all(content(path) == (days / day).read_bytes() for path in forms)
    report = verify(logs)
    assert not report.findings
    assert report.records == verify(days).records
    assert account(logs).as_dict() | {"log_dir": ""} == account(days).as_dict() | {"log_dir": ""}


def finish(home: Path, run: Run, days: Path) -> None:
    """Let a keeper without fail points do what is left."""
    assert run(home) == 0
    check(home, days)
    assert [name.rpartition(".")[0] for name in day_files(home / "logs")] == DAYS
    assert not drafts(home / "logs")


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
@pytest.mark.parametrize("point", PACK_POINTS)
def test_a_kill_at_this_point_of_packing_leaves_the_old_file_or_the_new_one(
    home: Path, days: Path, run: Run, point: str, compression: str
) -> None:
    """At the second file, so that one is packed already; the next keeper goes on."""
    skip = 20 if point == "keeper.pack.partial" else 1
    assert run(home, f"{point}:{skip}", compression) == -signal.SIGKILL
    assert (home / "kills").read_text().split() == [point]
    check(home, days)
    finish(home, run, days)


@pytest.mark.parametrize("point", MEND_POINTS)
def test_a_kill_while_another_kill_is_mended_leaves_the_same(
    home: Path, days: Path, run: Run, point: str
) -> None:
    """Twice in a row at the same place."""
    assert run(home, f"{MEND_POINTS[point]}:1") == -signal.SIGKILL
    for _ in range(2):
        assert run(home, f"{point}:0:2") == -signal.SIGKILL
        check(home, days)
        if point == "keeper.mend.draft":
            assert not drafts(home / "logs")
            break
    finish(home, run, days)


def test_every_fail_point_of_the_keeper_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    root = Path(pipeline.__file__).parent
    found = {name for path in root.rglob("*.py") for name in _CALL.findall(path.read_text("utf-8"))}
    assert found == {*PACK_POINTS, *MEND_POINTS}
