"""
SIGKILL between every two steps of a store and of a replay: each record is in the files once all the same.

Each case lets one named place kill a process in the middle of its work, and shows by the log of the kills
that it did. Then a process without fail points finishes.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.nursery import nursery
from support.slices import A, B, are_once_and_ascending, make, row

import pipeline

_CALL = re.compile(r'failpoint\.(?:reach|is_aimed_at)\("((?:replay|fallback)\.[a-z._]+)"\)')
REPLAY_POINTS = (
    "replay.created",
    "replay.claimed",
    "replay.append.partial",
    "replay.appended",
    "replay.sync.before_directory",
    "replay.synced",
    "replay.removed",
    "replay.quarantined",
    "replay.settle",
    "replay.settled",
    "fallback.commit.before",
    "fallback.commit.after",
)
SPECIAL = {"replay.left"}
"""Reached by a failed fsync only: below."""
FIRST = {"replay.settle": "replay.claimed", "replay.settled": "replay.append.partial"}
"""What has to kill before a point can be reached."""
ONCE = {*FIRST, "replay.created", "replay.quarantined", "replay.sync.before_directory"}
"""Reached once in a run."""
RUN = """
import os
from pathlib import Path
import sqlite_utils
from support.nursery import aim, serve
from support.slices import make
from pipeline.delivery.replay import Replay
from pipeline.paths import places_for
from pipeline.settings import Settings

def replay(home, spec, body):
    aim(home, spec)
    store = make(Path(home, "fallback"), [])
    exec(body, {**globals(), **locals()})
    run = Replay(store, places_for(Path(home, "logs")), "", Settings())
    while run.step(3000):
        pass
    store.close()

serve(replay)
"""
FAIL_ONCE = """
real, calls = os.fsync, []
def fsync(fd):
    if ".r1.jsonl" in os.readlink(f"/proc/self/fd/{fd}"):
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
    real(fd)
os.fsync = fsync
"""


Run = Callable[..., int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a function that replays in a process of its own and returns how that ended; they fork from one."""
    with nursery(RUN, tmp_path_factory.mktemp("runtime")) as have_done:

        def replay(home: Path, failpoint: str = "", body: str = "") -> int:
            return have_done(str(home), failpoint, body)

        yield replay


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a log directory, and a store of forty rows of which one is damaged."""
    (tmp_path / "logs").mkdir()
    store = make(tmp_path / "fallback", [])
    for first in range(1, 200, 10):
        store.store([row(A, first, first + 9), row(B, first, first + 9)], {})
    store.change(lambda conn: conn.execute("UPDATE slices SET data = CAST(x'00' AS BLOB) WHERE id = 9"))
    store.close()
    return tmp_path


WANTED = {(producer, number) for producer in (A, B) for number in range(1, 201)} - {
    (A, number) for number in range(41, 51)
}


def is_done(home: Path) -> bool:
    """Whether the files hold what they should and the store nothing, the damaged row being in quarantine."""
    store = make(home / "fallback", [])
    store.open()
    rows = store.summary().rows
    store.close()
    kept = list((home / "logs" / ".pipeline" / "quarantine").iterdir())
    return rows == 0 and len(kept) == 1 and are_once_and_ascending(home / "logs", WANTED)


@pytest.mark.parametrize("point", REPLAY_POINTS)
def test_a_kill_at_this_point_of_a_replay_loses_and_repeats_nothing(home: Path, run: Run, point: str) -> None:
    """Killed there, at the second piece where there is one."""
    if point in FIRST:
        assert run(home, FIRST[point]) == -signal.SIGKILL
    assert run(home, f"{point}:{int(point not in ONCE)}") == -signal.SIGKILL
    assert (home / "kills").read_text().splitlines().count(point) == 1
    assert run(home) == 0
    assert is_done(home)


def test_a_kill_while_a_part_is_left_loses_and_repeats_nothing(home: Path, run: Run) -> None:
    """Between the cut mark and the cut: the mark is in the store, and the rows come in another part."""
    assert run(home, "replay.left", FAIL_ONCE) == -signal.SIGKILL
    store = make(home / "fallback", [])
    store.open()
    (mark,) = store.cut_marks()
    os.truncate(home / "logs" / mark.file, mark.size)  # as the writer does before anything else
    store.remove_cut_mark(mark)
    store.close()
    assert run(home) == 0
    assert is_done(home)


@pytest.mark.parametrize("point", ["fallback.commit.before", "fallback.commit.after"])
def test_a_kill_around_a_commit_keeps_all_of_it_or_nothing(tmp_path: Path, run: Run, point: str) -> None:
    """Rows, positions and cut mark are there together, or none of them is."""
    body = (
        "from support.slices import *\nfrom pipeline.storage.fallback import CutMark\n"
        "store.store([row(A, 1, 3)], {A: 7}, [CutMark('f', '1', 2, 3)])"
    )
    (tmp_path / "logs").mkdir()
    assert run(tmp_path, f"{point}:1", body) == -signal.SIGKILL  # the first commit makes the schema
    store = make(tmp_path / "fallback", [])
    store.open()
    is_there = point == "fallback.commit.after"
    assert store.summary().rows == len(store.positions()) == len(store.cut_marks()) == is_there
    store.close()


def test_every_fail_point_of_store_and_replay_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    root = Path(pipeline.__file__).parent
    found = {name for path in root.rglob("*.py") for name in _CALL.findall(path.read_text("utf-8"))}
    assert found == set(REPLAY_POINTS) | SPECIAL
