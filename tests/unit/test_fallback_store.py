"""The fallback store: what it took is on the disk, what it refused is nowhere, and no damage is an end."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.slices import DAY, A, B, lines, make, row

from pipeline.errors import FallbackError, FallbackFull
from pipeline.storage.fallback import CutMark, Fallback, FallbackRow

PAGE = 65536
MARK = CutMark("2025-11-21.jsonl", "v0123456789abcdef", 2**64 - 1, 4096)


@pytest.fixture
def notes() -> list[str]:
    """Give the list that the stores of a test note into."""
    return []


@pytest.fixture
def store(tmp_path: Path, notes: list[str]):
    """Give an open store of 64 MiB."""
    made = make(tmp_path, notes)
    made.open()
    yield made
    made.close()


def stored(path: Path) -> list[tuple]:
    """Return producer, first and last of the rows, as anybody reads them."""
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return reader.execute("SELECT producer, first, last FROM slices ORDER BY id").fetchall()
    finally:
        reader.close()


def kill_after(tmp_path: Path, body: str) -> None:
    """Run code over an open store `s` in a process that ends as kill -9 ends it."""
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from support.slices import *\nfrom pipeline.storage.fallback import CutMark\n"
        "s = make(Path(sys.argv[1]), []); s.open()\n"
        f"{body}\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parents[1])]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_what_was_stored_is_there_after_a_kill(tmp_path, notes) -> None:
    """Rows, positions and cut marks of a returned store() survive kill -9 together."""
    kill_after(tmp_path, f"s.store([row(A, 1, 3), row(B, 1, 1)], {{A: 77, B: 8}}, [{MARK!r}])")
    again = make(tmp_path, notes)
    again.open()
    assert stored(again.path) == [(A, 1, 3), (B, 1, 1)]
    assert again.positions() == {A: 77, B: 8}
    assert again.cut_marks() == [MARK]
    assert not notes
    again.close()


def test_a_position_never_goes_back(store) -> None:
    """An older position that is stored later changes nothing, in memory or in the file."""
    store.store([], {A: 9})
    store.store([], {A: 5})
    store.close()
    store.open()
    assert store.positions() == {A: 9}


def test_the_summary_says_what_is_there(store) -> None:
    """Rows, records, bytes, reasons and the oldest time are counted, also after a new start."""
    store.store([row(A, 1, 3), row(B, 1, 1, reason="ENOSPC")], {})
    for _ in range(2):
        found = store.summary()
        assert (found.rows, found.records, found.reasons) == (2, 4, {"EIO": 3, "ENOSPC": 1})
        assert found.bytes == len(lines(A, 1, 3) + lines(B, 1, 1))
        assert found.oldest_at.endswith("Z")
        store.close()
        store.open()


def test_held_gives_the_numbers_also_of_a_row_with_a_gap(store) -> None:
    """Recovery by sets sees exactly what the rows hold."""
    gap = lines(A, 5, 5) + lines(A, 8, 8)
    store.store([row(A, 1, 3), FallbackRow(A, DAY, 5, 8, 2, gap, "EIO"), row(B, 1, 1)], {})
    assert store.held([A]) == {A: {1, 2, 3, 5, 8}}


def test_forgotten_positions_and_removed_cut_marks_are_gone(store) -> None:
    """What is settled does not come back with the next start."""
    store.store([], {A: 1, B: 2}, [MARK])
    store.forget([A, "never_seen"])
    store.remove_cut_mark(MARK)
    for _ in range(2):
        assert store.positions() == {B: 2}
        assert store.cut_marks() == []
        store.close()
        store.open()


def test_the_smallest_size_of_a_file_that_was_cut_twice_counts(store) -> None:
    """A second mark of the same file never claims more of it."""
    store.store([], {}, [MARK])
    store.store([], {}, [MARK._replace(size=9999)])
    store.store([], {}, [MARK._replace(size=10)])
    assert store.cut_marks() == [MARK._replace(size=10)]


def fill_up(full: Fallback) -> int:
    """Store rows until the budget refuses one; how many there are then."""
    for kept in range(1000):
        try:
            full.store([row(A, kept * 100 + 1, kept * 100 + 100, fill=1000)], {A: kept + 1})
        except FallbackFull:
            return kept
    raise AssertionError("the store never was full")


def test_the_budget_refuses_and_leaves_what_is_there(tmp_path, notes) -> None:
    """At max_bytes a store is refused whole, and the disk holds no more than that, log included."""
    small = make(tmp_path, notes, max_bytes=4 << 20)
    small.open()
    kept = fill_up(small)
    assert kept > 20
    assert small.summary().rows == small.positions()[A] == kept
    assert sum(path.stat().st_size for path in tmp_path.glob("fallback.db*")) < 5 << 20
    small.close()


def test_room_that_is_freed_is_used_again(tmp_path, notes) -> None:
    """After its rows are gone a full store takes records again, and gives its volume the room back."""
    small = make(tmp_path, notes, max_bytes=4 << 20)
    small.open()
    fill_up(small)
    small.change(lambda connection: connection.execute("DELETE FROM slices"))
    small.store([row(A, 1, 1)], {})
    small.shrink()
    assert sum(path.stat().st_size for path in tmp_path.glob("fallback.db*")) < 1 << 20
    small.close()


def test_a_reader_that_stays_in_its_snapshot_delays_nothing(store) -> None:
    """Somebody who reads for ever makes the log longer, and no store() fails or waits for him."""
    store.store([row(A, 1, 1)], {})
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM slices").fetchone() == (1,)
    for number in range(2, 40):
        store.store([row(A, number, number, fill=1_000_000)], {A: number})
    assert store.summary().rows == 39
    assert reader.execute("SELECT count(*) FROM slices").fetchone() == (1,)
    reader.close()
    store.store([row(A, 40, 40, fill=30_000_000 // 2)], {})
    store.store([row(A, 41, 41)], {})
    wal = Path(f"{store.path}-wal")
    assert wal.stat().st_size < 60 << 20
    store.shrink()
    assert wal.stat().st_size == 0


def test_a_foreign_lock_is_an_error_soon_and_nothing_else(store) -> None:
    """While a stopped process holds the write lock, store() raises FallbackError; then it works again."""
    store.store([row(A, 1, 1)], {A: 1})
    script = (
        "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(store.path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(FallbackError, match="locked"):
            store.store([row(A, 2, 2)], {A: 2})
        assert store.positions() == {A: 1}
        assert store.summary().rows == 1
    finally:
        holder.kill()
        holder.communicate()
    store.store([row(A, 2, 2)], {A: 2})
    assert stored(store.path) == [(A, 1, 1), (A, 2, 2)]


@pytest.mark.parametrize("ends", [("", "-wal", "-shm"), ("-wal",), ("",), ("-shm",)], ids="+".join)
def test_a_removed_database_is_made_again_with_all_that_was_in_it(store, notes, ends) -> None:
    """Rows, positions and cut marks of a database that somebody deletes under us are in its successor."""
    store.store([row(A, 1, 3), row(B, 1, 1)], {A: 3, B: 1}, [MARK])
    for end in ends:
        Path(f"{store.path}{end}").unlink()
    store.store([row(A, 4, 4)], {A: 4})
    store.close()
    store.open()
    assert stored(store.path) == [(A, 1, 3), (B, 1, 1), (A, 4, 4)]
    assert store.positions() == {A: 4, B: 1}
    assert store.cut_marks() == [MARK]
    assert "removed or replaced" in notes[0]


def test_another_file_in_its_place_is_noticed(store, notes, tmp_path) -> None:
    """A file that somebody renames over the database is kept aside, and ours is put in its place."""
    store.store([row(A, 1, 1)], {A: 1})
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "other").rename(store.path)
    store.store([row(A, 2, 2)], {A: 2})
    assert stored(store.path) == [(A, 1, 1), (A, 2, 2)]
    assert any(path.read_bytes() == b"other" for path in (tmp_path / "aside").iterdir())


def test_a_database_of_rubbish_is_moved_aside_at_open(tmp_path, notes) -> None:
    """A file that is no database is kept in quarantine, and a new one takes records."""
    (tmp_path / "fallback.db").write_bytes(os.urandom(20_000))
    fresh = make(tmp_path, notes)
    fresh.open()
    fresh.store([row(A, 1, 1)], {A: 1})
    assert stored(fresh.path) == [(A, 1, 1)]
    assert [path.stat().st_size for path in (tmp_path / "aside").iterdir()] == [20_000]
    assert "cannot be used" in notes[0]
    fresh.close()


def test_a_directory_in_its_place_is_moved_aside(tmp_path, notes) -> None:
    """What is no file at all does not keep a pipeline from having a store."""
    (tmp_path / "fallback.db").mkdir()
    (tmp_path / "fallback.db" / "in-the-way").touch()
    fresh = make(tmp_path, notes)
    fresh.store([row(A, 1, 1)], {})
    assert stored(fresh.path) == [(A, 1, 1)]
    assert [path.name for path in (tmp_path / "aside").glob("*/*")] == ["in-the-way"]
    fresh.close()


def damage(path: Path, keep_pages: int) -> None:
    """Overwrite the database behind its first pages."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(PAGE * keep_pages)
        file.write(b"\xff" * (size - PAGE * keep_pages))


def test_damage_in_use_keeps_positions_and_marks(store, notes, tmp_path) -> None:
    """A database that is overwritten while it is open is replaced by one that knows the positions."""
    for number in range(1, 30):
        store.store([row(A, number, number, fill=20_000)], {A: number}, [MARK])
    store.close()
    store.open()
    damage(store.path, 1)
    store.store([row(A, 30, 30)], {A: 30})
    store.close()
    store.open()
    assert stored(store.path)[-1] == (A, 30, 30)
    assert store.positions() == {A: 30}
    assert store.cut_marks() == [MARK]
    assert any("damaged" in note or "cannot be used" in note for note in notes)
    assert list((tmp_path / "aside").iterdir())


def root_page(path: Path, table: str) -> int:
    """Return where the first page of a table begins in the file."""
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    (page,) = reader.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    reader.close()
    return (page - 1) * PAGE


def test_rows_that_can_still_be_read_are_taken_over(store, notes) -> None:
    """Of a damaged database the rows on whole pages come over; one with other bytes does not."""
    for number in range(1, 30):
        given = row(A, number, number, fill=20_000)
        other = given._replace(data=given.data.replace(b"x", b"q"))
        store.store([other if number == 7 else given], {A: number}, [MARK])
    store.close()
    positions = root_page(store.path, "positions")
    content = bytearray(store.path.read_bytes())
    place = content.index(b"q" * 1000)
    content[place : place + 10] = b"Y" * 10
    content[positions : positions + PAGE] = b"\xff" * PAGE
    store.path.write_bytes(content)
    again = make(store.path.parent, notes)
    again.open()
    assert [first for _, first, _ in stored(store.path)] == [n for n in range(1, 30) if n != 7]
    assert again.summary().rows == 28
    assert again.cut_marks() == [MARK]
    assert "28 rows were taken over, 1 could not be read" in notes[-1]
    again.close()


def test_nothing_is_made_where_the_quarantine_is_away(tmp_path, notes) -> None:
    """The mount point of a volume that is away stays empty; what is moved aside stays beside the store."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "fallback.db").write_bytes(b"rubbish" * 999)
    away = tmp_path / "mount" / "logs" / ".pipeline" / "quarantine"
    fresh = Fallback(
        tmp_path / "home" / "fallback.db", max_bytes=1 << 30, quarantine_dir=away, note=notes.append
    )
    fresh.open()
    assert not (tmp_path / "mount").exists()
    assert len(list((tmp_path / "home" / "quarantine").iterdir())) == 1
    fresh.close()


def test_a_database_of_another_version_is_kept(tmp_path, notes) -> None:
    """What a newer library wrote is moved aside whole, and reported."""
    newer = make(tmp_path, notes)
    newer.open()
    newer.change(lambda connection: connection.execute("PRAGMA user_version = 99"))
    newer.close()
    again = make(tmp_path, notes)
    again.open()
    again.store([row(A, 1, 1)], {})
    assert "schema version 99" in notes[0]
    again.close()


def test_a_store_without_a_directory_heals_when_there_is_one(tmp_path, notes) -> None:
    """A volume that is not there is a FallbackError; once it is back the same object works."""
    (tmp_path / "volume").write_text("not a directory")
    late = make(tmp_path / "volume", notes)
    with pytest.raises(FallbackError):
        late.store([row(A, 1, 1)], {})
    assert late.summary().rows == 0
    (tmp_path / "volume").unlink()
    late.store([row(A, 1, 1)], {A: 1})
    assert late.summary().rows == 1
    late.close()


def test_a_new_database_is_private_and_says_whose_it_is(tmp_path, notes) -> None:
    """Files are 0600 and the meta table names the log directory."""
    path = tmp_path / "deep" / "fallback.db"
    own = Fallback(
        path, max_bytes=1 << 20, quarantine_dir=tmp_path, about={"log_dir": "/logs"}, note=notes.append
    )
    own.store([row(A, 1, 1)], {})
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    meta = dict(reader.execute("SELECT key, value FROM meta"))
    assert (meta["log_dir"], meta["schema_version"]) == ("/logs", "1")
    reader.close()
    own.close()


def test_json_of_a_stored_slice_is_what_was_given(store) -> None:
    """The bytes of a row are the lines, untouched."""
    given = row(A, 1, 5)
    store.store([given], {})
    reader = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)
    data = reader.execute("SELECT data FROM slices").fetchone()[0]
    reader.close()
    assert data == given.data
    assert [json.loads(line)["action_number"] for line in data.splitlines()] == [1, 2, 3, 4, 5]
