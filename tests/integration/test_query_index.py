"""The block index decides what is not read, and never what is found."""

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forms import cut, frames_of, line_of, record, write_manifest

from pipeline import LogQueryEngine
from pipeline.query import pruning
from pipeline.query.cuts import Cuts
from pipeline.query.pruning import Pruner, refresh
from pipeline.query.question import Question, asked
from pipeline.query.sources import Source, sources

DAY = "2025-11-21.jsonl"
BLOCKS = 20
LINES = [
    line_of(
        record(
            n,
            f"2025-11-21T{n // 60 % 24:02d}:{n % 60:02d}:00.000000Z",
            "tool_call" if n < 900 else "llm_call",
            session_id=f"s{n // 10}",
            tag=n,
        )
    )
    for n in range(1200)
]
QUESTIONS = [
    {"session_id": "s7"},
    {"session_id": ["s3", "s110"]},
    {"session_id": "nobody"},
    {"action_types": "llm_call"},
    {"since": "2025-11-21T05:00", "until": "2025-11-21T05:05"},
    {"since": "2025-11-21T19:30"},
    {"where": 'session_id = s7 or session_id = "s110"'},
    {"where": "session_id = s7 and tag > 72"},
]


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let files of a test be long enough for an index, and the cache be the test's own."""
    monkeypatch.setattr(pruning, "SMALL_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give a directory with a day of twenty blocks."""
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    (log_dir / DAY).write_bytes(b"".join(LINES))
    write_manifest(log_dir, DAY, cut(LINES, BLOCKS))
    return log_dir


def source_of(log_dir: Path) -> Source:
    """Return the one file of a directory."""
    return sources(log_dir, "", "", Cuts(log_dir))[0]


def index_of(log_dir: Path) -> Path:
    """Return where the index is."""
    return log_dir / ".pipeline" / "index" / f"{DAY}.index"


def blocks_read(log_dir: Path, question: dict) -> int:
    """Return how many parts of the day a question is asked of."""
    ranges = Pruner(log_dir, asked(Question(), question)).ranges(source_of(log_dir))
    return BLOCKS if ranges is None else len(ranges)


def answers(log_dir: Path) -> list[list[dict]]:
    """Return the answers to all questions, forwards and from the end."""
    engines = [LogQueryEngine(log_dir).filter(**question) for question in QUESTIONS]
    return [found for engine in engines for found in (engine.execute(), engine.tail(3).execute())]


def everything(place: Path) -> dict[str, bytes]:
    """Return all files below a place."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_look_up_reads_few_blocks_and_finds_the_same(logs: Path) -> None:
    """By session, by type and by time; an id that is nowhere is looked for nowhere."""
    plain = logs.parent / "plain"
    plain.mkdir()
    shutil.copy(logs / DAY, plain)
    refresh(logs, source_of(logs))
    assert answers(logs) == answers(plain)
    assert [blocks_read(logs, question) for question in QUESTIONS[:5]] == [1, 2, 0, 5, 1]
    assert blocks_read(logs, {"status": "error"}) == BLOCKS


def test_questions_make_the_index_piece_by_piece_and_write_nothing_else(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question adds a bounded piece; manifests and files stay as they are, byte by byte."""
    monkeypatch.setattr(pruning, "INDEX_BYTES", 8 * len(b"".join(LINES)) // BLOCKS)
    before = everything(logs)
    unread = []
    for _ in range(4):
        unread.append(blocks_read(logs, {"session_id": "nobody"}))
        assert len(LogQueryEngine(logs).filter(session_id="s7").execute()) == 10
    assert unread[0] > 0
    assert unread[-1] == 0
    after = everything(logs)
    assert {name: data for name, data in after.items() if not name.startswith(".pipeline/index/")} == before


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other", "nonsense", "future"])
def test_a_wrong_index_is_made_anew(logs: Path, damage: str) -> None:
    """Whatever stands in its place, answers are those of the bytes, and the next index is right."""
    refresh(logs, source_of(logs))
    expected, path = answers(logs), index_of(logs)
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(
        {
            "flipped": good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1 :],
            "cut": good[:middle],
            "empty": b"",
            "other": good.replace(b'"s', b'"t'),
            "nonsense": b"\0" * 5000,
            "future": b"%08x %b" % (zlib.crc32(b'{"version":"2"}\n'), b'{"version":"2"}\n'),
        }[damage]
    )
    assert answers(logs) == expected
    assert path.read_bytes() == good
    path.unlink()
    assert answers(logs) == expected


def test_bytes_that_somebody_changed_are_found_as_they_are_now(logs: Path) -> None:
    """A record whose session was edited in place is found by what it says now, the index notwithstanding."""
    refresh(logs, source_of(logs))
    assert blocks_read(logs, {"session_id": "x7"}) == 0
    data = (logs / DAY).read_bytes().replace(b'"s7"', b'"x7"')
    (logs / DAY).write_bytes(data)
    engine = LogQueryEngine(logs)
    assert len(engine.filter(session_id="x7").execute()) == 10
    assert not engine.filter(session_id="s7").execute()
    assert len(engine.filter(session_id="x7").execute()) == 10
    assert engine.filter(session_id="s90").count() == 10


def test_an_index_of_other_bytes_does_not_count(logs: Path, tmp_path: Path) -> None:
    """An entry is bound to the digest of its block: a manifest of other blocks makes it void."""
    refresh(logs, source_of(logs))
    changed = [line.replace(b'"s7"', b'"x7"') for line in LINES]
    found = (logs / DAY).stat()
    (logs / DAY).write_bytes(b"".join(changed))
    os.utime(logs / DAY, ns=(found.st_atime_ns, found.st_mtime_ns))
    write_manifest(logs, DAY, cut(changed, BLOCKS))
    assert LogQueryEngine(logs).filter(session_id="x7").count() == 10


def test_an_index_is_made_only_of_the_bytes_that_the_manifest_has(logs: Path) -> None:
    """What stood in a file for a while, and has no digest, is in no index."""
    original, found = (logs / DAY).read_bytes(), (logs / DAY).stat()
    (logs / DAY).write_bytes(original.replace(b'"s7"', b'"x7"'))
    os.utime(logs / DAY, ns=(found.st_atime_ns, found.st_mtime_ns))
    refresh(logs, source_of(logs))
    (logs / DAY).write_bytes(original)
    os.utime(logs / DAY, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert LogQueryEngine(logs).filter(session_id="s7").count() == 10


def test_a_day_keeps_its_index_when_it_is_packed(logs: Path) -> None:
    """Offsets are those of the unpacked bytes; frames that cannot have anything are not unpacked."""
    refresh(logs, source_of(logs))
    expected, found = answers(logs), (logs / DAY).stat()
    packed = logs / f"{DAY}.zst"
    packed.write_bytes(frames_of(cut(LINES, 7)))
    os.utime(packed, ns=(found.st_atime_ns, found.st_mtime_ns))
    (logs / DAY).unlink()
    before = index_of(logs).read_bytes()
    assert answers(logs) == expected
    assert blocks_read(logs, {"session_id": "s7"}) <= 2  # and what may follow the last block
    assert index_of(logs).read_bytes() == before
    index_of(logs).unlink()
    assert answers(logs) == expected
    assert index_of(logs).exists()


def test_what_is_written_behind_the_last_block_is_always_read(logs: Path) -> None:
    """A file that grows keeps its index; the new lines have none yet."""
    refresh(logs, source_of(logs))
    more = [
        line_of(record(n, "2025-11-21T23:00:00.000000Z", "log", session_id="s7")) for n in range(2000, 2005)
    ]
    with (logs / DAY).open("ab") as file:
        file.writelines(more)
    assert LogQueryEngine(logs).filter(session_id="s7").count() == 15
    assert blocks_read(logs, {"session_id": "s7"}) == 2
    assert len(LogQueryEngine(logs).filter(session_id="s7").tail(6).execute()) == 6


def test_without_a_place_for_it_there_is_none_and_answers_are_the_same(logs: Path, tmp_path: Path) -> None:
    """A directory that cannot be written to: the index is in the user's cache; without one, nowhere."""
    expected = answers(logs)
    shutil.rmtree(logs / ".pipeline" / "index")
    (logs / ".pipeline" / "index").write_bytes(b"in the way")
    assert answers(logs) == expected
    (cached,) = (tmp_path / "cache").rglob("*.index")
    assert cached.name == f"{DAY}.index"
    assert blocks_read(logs, {"session_id": "s7"}) == 1
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_bytes(b"in the way")
    assert answers(logs) == expected
