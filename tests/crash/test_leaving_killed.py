"""
SIGKILL between every two steps in which a file leaves: it is there, or its entry says that it has left.

Each case lets one named place kill, and shows by the log of the kills that it did. Then `verify` and
`account` have no complaint, and a run without fail points finishes what was begun.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.days import DAYS, history, site_over
from support.nursery import nursery
from support.waiting import HANG_SEC, until

import pipeline
from pipeline.storage import departed
from pipeline.verification import account, verify

if TYPE_CHECKING:
    from support.apps import App, Site

_CALL = re.compile(r'failpoint\.(?:reach|is_aimed_at)\("(leave\.[a-z._]+)"\)')
NAMES = [f"{day}.jsonl" for day in DAYS]
KEPT = 2
"""How many files the runs keep."""
POINTS = (
    "leave.told.before",
    "writer.manifest.before",
    "writer.manifest.partial",
    "writer.manifest.after",
    "leave.done",
    "leave.removed",
)
MOVING = ("leave.move.partial", "leave.move.copied", "leave.done", "leave.removed")
SPECIAL = {"leave.asked"}
"""Reached with a writer only: below."""
CLEAN = """
import os, sys
from pathlib import Path
from support.nursery import aim, serve
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.paths import places_for
from pipeline.settings import Settings

def refuse(*_):
    raise OSError(18, "Invalid cross-device link")

def clean(home, spec, moves):
    aim(home, spec)
    os.link = refuse
    way = {"expiry": "move", "expiry_dir": f"{home}/archive"} if moves else {}
    done = list(Cleaner(places_for(Path(home, "logs")), Settings(**way), limits=Limits(max_files=2)).run())
    sys.exit(any(one.trouble for one in done))

serve(clean)
"""

Run = Callable[..., int]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a history once."""
    return history(tmp_path_factory.mktemp("made") / "logs")


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """Give a directory with a copy of it."""
    shutil.copytree(made, tmp_path / "logs")
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a function that cleans in a process of its own and returns how that ended; they fork from one."""
    with nursery(CLEAN, tmp_path_factory.mktemp("runtime")) as have_done:

        def clean(home: Path, failpoint: str = "", *, moves: bool = False) -> int:
            return have_done(str(home), failpoint, moves)

        yield clean


def check(logs: Path) -> None:
    """See that each file is there or told gone, and nobody who looks has a complaint."""
    manifests = logs / ".pipeline" / "manifests"
    gone = [name for name in NAMES if not (logs / name).exists()]
    assert all(departed.cause_of(manifests / f"{name}.manifest") for name in gone)
    assert not verify(logs).findings
    assert not account(logs).faulty


def day_files(logs: Path) -> list[str]:
    """Return the day files."""
    return sorted(name for name in os.listdir(logs) if name in NAMES)


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_leaves_each_file_there_or_told(home: Path, run: Run, point: str, skip: int) -> None:
    """At the first file, and at the second."""
    assert run(home, f"{point}:{skip}") == -signal.SIGKILL
    assert (home / "kills").read_text().split() == [point]
    check(home / "logs")
    assert run(home) == 0
    check(home / "logs")
    assert day_files(home / "logs") == NAMES[-KEPT:]


@pytest.mark.parametrize("point", MOVING)
def test_a_kill_while_files_are_moved_leaves_each_whole_and_once(home: Path, run: Run, point: str) -> None:
    """To another file system: it stands at the old place until it stands at the new one, and there once."""
    plain = {name: (home / "logs" / name).read_bytes() for name in NAMES}
    assert run(home, f"{point}:1", moves=True) == -signal.SIGKILL
    check(home / "logs")
    moved = {path.name for path in (home / "archive").glob("2025*")}
    assert moved | set(day_files(home / "logs")) == set(NAMES)
    assert run(home, moves=True) == 0
    assert day_files(home / "logs") == NAMES[-KEPT:]
    assert {name: (home / "archive" / name).read_bytes() for name in NAMES[:-KEPT]} == {
        name: plain[name] for name in NAMES[:-KEPT]
    }
    assert sorted(os.listdir(home / "archive")) == NAMES[:-KEPT]


APP = """
    from stage import *
    start(compression="none", retention_days=0, max_total_size_mb=0, min_free_mb=0)
    emit("first")
    say("ready")
    hear()
    emit("last")
"""
ONE_RUN = f"""
import json, sys
from pathlib import Path
from pipeline.keeping import at_once
from pipeline.paths import places_for
from pipeline.settings import Settings

limits = dict(max_files={KEPT}, compression="none", retention_days=0, max_total_size_mb=0, min_free_mb=0)
done = at_once.clean(places_for(Path(sys.argv[1])), Settings(**limits)).done
print("done", json.dumps([[one.file, one.trouble] for one in done]), flush=True)
"""


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Iterator[Site]:
    """Give a site over a copy of the history."""
    with site_over(made, tmp_path / "site") as found:
        yield found


def started(site: Site, **env: str) -> App:
    """Start an application, and wait until its writer has the files."""
    app = site.app(APP, **env)
    app.expect("ready")
    until(lambda: len(site.files()) > len(NAMES), "a day of the writer's")
    return app


def clean_beside(site: Site, status: int = 0, **env: str) -> list[list[str]]:
    """Clean in a process of its own, beside the pipeline of the site."""
    app = site.run(ONE_RUN, str(site.log_dir), status=status, **env)
    return json.loads(app.told[-1].removeprefix("done ")) if status == 0 else []


def test_files_leave_beside_a_writer_which_says_so(site: Site) -> None:
    """Its chain goes on without a break, live and at rest; the day that it writes counts as the newest."""
    app = started(site)
    assert clean_beside(site) == [[name, ""] for name in NAMES[: 1 - KEPT]]
    check(site.log_dir)
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(HANG_SEC)
    check(site.log_dir)
    told = {record["file"]: (record["cause"], record["records"]) for record in site.of_type("file_expired")}
    assert told == {name: ("max_files", verify(site.log_dir).expired[name]) for name in NAMES[: 1 - KEPT]}


@pytest.mark.parametrize("point", ["writer.goodbye.said", "writer.manifest.partial"])
def test_a_writer_that_is_killed_while_it_says_so_is_followed_by_one_that_does(
    site: Site, point: str
) -> None:
    """The request stays until it is answered, or whoever asked has gone."""
    log = site.home / "kills"
    app = started(
        site, PIPELINE_FAILPOINT=f"{point}:{2 * ('partial' in point)}", PIPELINE_FAILPOINT_LOG=str(log)
    )
    done = clean_beside(site)
    assert log.read_text().split() == [point]
    check(site.log_dir)
    if any(trouble for _, trouble in done):
        clean_beside(site)
    assert [name for name in day_files(site.log_dir) if name in NAMES] == NAMES[1 - KEPT :]
    app.tell("end")
    assert app.wait() == 0
    site.until_ended(HANG_SEC)
    check(site.log_dir)


def test_whoever_asked_and_was_killed_is_followed_by_one_that_goes_on(site: Site) -> None:
    """The writer answers all the same: what is told and there goes at the next cleaning."""
    app = started(site)
    log = str(site.home / "kills")
    clean_beside(site, -signal.SIGKILL, PIPELINE_FAILPOINT="leave.asked", PIPELINE_FAILPOINT_LOG=log)
    manifests = site.log_dir / ".pipeline" / "manifests"
    until(lambda: departed.cause_of(manifests / f"{NAMES[0]}.manifest"), "an answer")
    check(site.log_dir)
    assert day_files(site.log_dir) == NAMES
    clean_beside(site)
    assert day_files(site.log_dir) == NAMES[1 - KEPT :]
    app.tell("end")
    app.wait()
    site.until_ended(HANG_SEC)
    check(site.log_dir)


def test_every_fail_point_of_leaving_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    root = Path(pipeline.__file__).parent
    found = {name for path in root.rglob("*.py") for name in _CALL.findall(path.read_text("utf-8"))}
    ours = {name for name in (*POINTS, *MOVING) if name.startswith("leave.")}
    assert found == ours | SPECIAL
