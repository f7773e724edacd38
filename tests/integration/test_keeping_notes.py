"""What is noted of finished files: made before anybody asks, gone with the file, believed by nobody."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from support.archive import DAYS, at_rest
from support.noted import indexable, unknown_blocks
from support.packing import archive

from pipeline import LogQueryEngine
from pipeline.keeping import notes
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.plan import Limits
from pipeline.paths import places_for
from pipeline.query import index
from pipeline.settings import Settings

FOREIGN = ("notes.txt", "2025-1-1.jsonl.index", ".2025-11-21.jsonl.index.old", "2025-11-20.jsonl.json.bak")


class Ended(BaseException):
    """The keeper is told to end."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days of many small blocks that the real writer has written."""
    return at_rest(tmp_path_factory.mktemp("made"), archive)


@pytest.fixture
def logs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of it, where small files have an index, too; what only users have is in `cache`."""
    return indexable(made, tmp_path, monkeypatch)


def cleaner(logs: Path, beat: object = lambda: None, limits: Limits | None = None, **more: object) -> Cleaner:
    """Return what keeps the directory; without limits nothing leaves and nothing is packed."""
    return Cleaner(places_for(logs), Settings(**more), limits=limits or Limits(), beat=beat)


def finish(logs: Path, beat: object = lambda: None, **more: object) -> list[str]:
    """Do what a keeper does last."""
    return list(cleaner(logs, beat, **more).finish())


def noted(logs: Path, directory: str) -> list[str]:
    """Return the names in a directory of notes."""
    return sorted(os.listdir(logs / ".pipeline" / directory))


def indexes(*days: str) -> list[str]:
    """Return what indexes are called."""
    return [f"{day}.index" for day in days]


def test_a_finished_file_has_its_index_before_anybody_asks(logs: Path) -> None:
    """All blocks of it; who asks then has nothing to make, and a second run neither."""
    assert finish(logs) == DAYS
    assert noted(logs, "index") == indexes(*DAYS)
    assert unknown_blocks(logs) == dict.fromkeys(DAYS, 0)
    before = {name: (logs / ".pipeline" / "index" / name).stat() for name in indexes(*DAYS)}
    assert LogQueryEngine(logs).filter(action_types="work").count() > 300
    assert finish(logs) == []
    assert {name: (logs / ".pipeline" / "index" / name).stat() for name in indexes(*DAYS)} == before


@pytest.mark.parametrize("way", [{}, {"expiry": "move"}], ids=["deleted", "moved"])
def test_notes_go_with_their_file(logs: Path, tmp_path: Path, way: dict[str, str]) -> None:
    """Whatever becomes of it; at once, as room may be what it is about, and not at the end of the run."""
    finish(logs)
    run = cleaner(logs, limits=Limits(max_files=1), **way, expiry_dir=str(tmp_path / "archive")).run()
    assert next(run).file == DAYS[0]
    assert DAYS[0] not in " ".join(noted(logs, "index") + noted(logs, "counts"))
    assert next(run).file == DAYS[1]
    assert list(run) == []
    assert noted(logs, "index") == indexes(DAYS[2])
    assert noted(logs, "counts") == [f"{DAYS[2]}.json"]


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_an_index_outlives_packing_where_it_is_of_use(logs: Path, compression: str) -> None:
    """A file that is packed to frames keeps it, as it is; of a gzip file it goes, and none is made."""
    finish(logs)
    before = {name: (logs / ".pipeline" / "index" / name).read_bytes() for name in indexes(*DAYS)}
    expected = LogQueryEngine(logs).filter(action_types="pipeline_started").execute()
    done = list(cleaner(logs, limits=Limits(pack_after_sec=0.0), compression=compression).run())
    assert [(one.file, one.action, one.trouble) for one in done] == [(day, "packed", "") for day in DAYS]
    if compression == "zstd":
        assert {name: (logs / ".pipeline" / "index" / name).read_bytes() for name in before} == before
        assert unknown_blocks(logs) == dict.fromkeys(DAYS, 0)
    else:
        assert noted(logs, "index") == []
        shutil.rmtree(logs / ".pipeline" / "counts")
        assert finish(logs, compression=compression) == DAYS
        assert noted(logs, "index") == []
    assert LogQueryEngine(logs).filter(action_types="pipeline_started").execute() == expected


def test_what_a_kill_left_goes_with_the_next_run_and_nothing_else(logs: Path) -> None:
    """Notes of files that are gone, and drafts; not what anybody else has put there."""
    finish(logs)
    (logs / DAYS[0]).rename(logs / "elsewhere")
    for directory, names in {
        "index": (".2025-11-22.jsonl.index.4711", "2025-11-19T14.i1a2b3c4d.3.jsonl.index", *FOREIGN),
        "counts": (".2025-11-22.jsonl.json.new", "2025-11-19.jsonl.json", *FOREIGN),
    }.items():
        for name in names:
            (logs / ".pipeline" / directory / name).write_bytes(b"{")
    assert list(cleaner(logs).run()) == []
    assert noted(logs, "index") == sorted([*FOREIGN, *indexes(*DAYS[1:])])
    assert noted(logs, "counts") == sorted([*FOREIGN, *(f"{day}.json" for day in DAYS[1:])])


def test_a_directory_that_takes_no_index_keeps_no_file_from_anything(logs: Path, tmp_path: Path) -> None:
    """N1: files are counted and leave as always, and nothing is made in the keeper's own home."""
    (logs / ".pipeline" / "index").write_bytes(b"in the way")
    assert finish(logs) == DAYS
    done = list(cleaner(logs, limits=Limits(max_files=1)).run())
    assert [(one.file, one.trouble) for one in done] == [(day, "") for day in DAYS[:2]]
    assert not (tmp_path / "cache").exists()


def test_a_keeper_that_ends_in_the_middle_leaves_a_part_that_counts(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each block: what is stored is whole, answers are the same, and the next one makes the rest."""
    monkeypatch.setattr(index, "_STORE_BYTES", 9_000)
    expected = LogQueryEngine(logs).filter(action_types=["work", "nobody"]).count()
    shutil.rmtree(logs / ".pipeline" / "index")
    left = []
    for beats in (1, 4, 7):
        shutil.rmtree(logs / ".pipeline" / "index", ignore_errors=True)
        turns = iter(range(beats))

        def beat(turns: object = turns) -> None:
            if next(turns, None) is None:
                raise Ended

        with pytest.raises(Ended):
            finish(logs, beat)
        left.append(unknown_blocks(logs)[DAYS[0]])
        assert LogQueryEngine(logs).filter(action_types=["work", "nobody"]).count() == expected
    assert sorted(left, reverse=True) == left
    assert left[0] > left[-1] > 0
    assert not notes.is_finished(places_for(logs), DAYS[0])
    assert finish(logs) == DAYS
    assert unknown_blocks(logs) == dict.fromkeys(DAYS, 0)


def test_who_may_read_the_files_may_read_their_indexes(logs: Path) -> None:
    """The modes of the settings, as files and manifests have them."""
    finish(logs, dir_mode=0o750, file_mode=0o640)
    directory = logs / ".pipeline" / "index"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / f"{DAYS[0]}.index")]
    assert modes == [0o750, 0o640]
