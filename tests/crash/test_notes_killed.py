"""
SIGKILL while notes of finished files are made, and while files leave that have some.

Whatever is left answers nobody wrongly; the next run makes what is missing, and removes what is too much.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.archive import DAYS, at_rest
from support.noted import indexable, unknown_blocks
from support.nursery import nursery
from support.packing import archive, day_files

import pipeline
from pipeline import LogQueryEngine
from pipeline.verification import account, verify

_CALL = re.compile(r'failpoint\.(?:reach|is_aimed_at)\("(keeper\.index\.[a-z._]+)"\)')
KEPT = 1
"""How many files a run keeps that lets some leave."""
RUN = """
from pathlib import Path
from support.nursery import aim, serve
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.paths import places_for
from pipeline.query import index, pruning
from pipeline.settings import Settings

def keep(home, spec, max_files, compression):
    aim(home, spec)
    pruning.SMALL_BYTES, index._STORE_BYTES = 0, 9_000
    limits = Limits(max_files=max_files, pack_after_sec=0.0 if compression else None)
    settings = Settings(compression=compression or "none")
    cleaner = Cleaner(places_for(Path(home, "logs")), settings, limits=limits)
    for _ in cleaner.run():
        pass
    for _ in cleaner.finish():
        pass

serve(keep)
"""
MAKING = (
    "keeper.index.made",
    f"replace.{DAYS[1]}.index:0",
    f"replace.{DAYS[1]}.index:2",
    f"replace.{DAYS[1]}.json:0",
)
LEAVING = ("leave.told.before", "leave.done", "leave.removed")

Run = Callable[..., int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Give a function that keeps files in a process of its own and returns how that ended."""
    with nursery(RUN, tmp_path_factory.mktemp("runtime")) as have_done:

        def keep(home: Path, failpoint: str = "", max_files: int = 0, compression: str = "") -> int:
            return have_done(str(home), failpoint, max_files, compression)

        yield keep


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days that the real writer has written."""
    return at_rest(tmp_path_factory.mktemp("days"), archive)


@pytest.fixture
def home(tmp_path: Path, days: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of them, where small files have an index, too."""
    indexable(days, tmp_path, monkeypatch)
    return tmp_path


def check(home: Path, days: Path) -> None:
    """See that nobody who looks has a complaint, and that who asks is answered as by the bytes."""
    logs, there = home / "logs", day_files(home / "logs")
    assert not verify(logs).findings
    assert not account(logs).faulty
    copy = home / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in there:
        shutil.copy(days / name.removesuffix(".zst").removesuffix(".gz"), copy)
    for question in ({"action_types": "work"}, {"since": "2025-11-22T04:40:00.00003Z"}):
        assert LogQueryEngine(logs).filter(**question).count() == (
            LogQueryEngine(copy).filter(**question).count()
        )


def notes(home: Path) -> list[str]:
    """Return what is noted of files, and of what kind."""
    places = [home / "logs" / ".pipeline" / directory for directory in ("counts", "index")]
    return sorted(name for place in places if place.exists() for name in os.listdir(place))


@pytest.mark.parametrize("point", MAKING)
def test_a_kill_while_notes_are_made_leaves_nothing_that_answers_wrongly(
    home: Path, days: Path, run: Run, point: str
) -> None:
    """The next run makes what is missing."""
    assert run(home, point) == -signal.SIGKILL
    assert (home / "kills").read_text().split() == [point.rpartition(":")[0] or point]
    check(home, days)
    assert run(home) == 0
    assert run(home) == 0  # what was noted of a draft goes at the end of the run before
    assert notes(home) == sorted(f"{day}.{end}" for day in DAYS for end in ("index", "json"))
    assert unknown_blocks(home / "logs") == dict.fromkeys(DAYS, 0)
    check(home, days)


@pytest.mark.parametrize("point", LEAVING)
def test_a_kill_while_files_leave_leaves_notes_of_none_that_is_gone_for_long(
    home: Path, days: Path, run: Run, point: str
) -> None:
    """At the second file; what it has left goes with the next run, though nothing else is to be done then."""
    assert run(home) == 0
    assert run(home, f"{point}:1", max_files=KEPT) == -signal.SIGKILL
    check(home, days)
    assert run(home, max_files=KEPT) == 0
    assert notes(home) == [f"{DAYS[-1]}.index", f"{DAYS[-1]}.json"]
    check(home, days)


def test_a_kill_behind_packing_leaves_no_index_that_is_of_no_use_for_long(
    home: Path, days: Path, run: Run
) -> None:
    """A gzip file has none."""
    assert run(home) == 0
    assert run(home, "keeper.pack.unlinked:1", compression="gzip") == -signal.SIGKILL
    check(home, days)
    assert run(home, compression="gzip") == 0
    assert notes(home) == [f"{day}.json" for day in DAYS]
    check(home, days)


def test_every_fail_point_of_notes_has_a_case() -> None:
    """A place that kills and is in no case is not tested."""
    root = Path(pipeline.__file__).parent
    found = {name for path in root.rglob("*.py") for name in _CALL.findall(path.read_text("utf-8"))}
    assert found <= set(MAKING)
