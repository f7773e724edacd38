"""Replay: what is in the fallback store comes into parts of its own, each record once, in order."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from support.replays import PIECE, ReplaySite
from support.slices import DAY, NEXT_DAY, A, B, are_once_and_ascending, lines, numbers_by_part, row

from pipeline.delivery import replay_part
from pipeline.host import files
from pipeline.paths import create_runtime
from pipeline.settings import Settings
from pipeline.storage import fallback_rows
from pipeline.storage.fallback import FallbackRow


@pytest.fixture
def site(tmp_path: Path, monkeypatch):
    """Give a place for one replay."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    made = ReplaySite(tmp_path)
    yield made
    made.store.close()


def records(producer: str, first: int, last: int) -> set[tuple[str, int]]:
    """Return the (producer, action_number) of a range."""
    return {(producer, number) for number in range(first, last + 1)}


def test_an_empty_file_of_live_records_is_no_part_of_a_replay(site) -> None:
    """It was made, and its first batch refused; its writer would cut there what a replay put into it."""
    live = site.log_dir / f"{DAY}.jsonl"
    live.touch()
    site.store.store([row(A, 1, 2)], {})
    assert site.run().records == 2
    assert live.read_bytes() == b""
    assert (site.log_dir / f"{DAY}.r1.jsonl").stat().st_size > 0


def test_rows_come_into_parts_of_their_own_days(site) -> None:
    """Each day gets a part of replay's, in the order of the store; live files are not touched."""
    (site.log_dir / f"{DAY}.jsonl").write_bytes(lines(A, 1, 2))
    site.store.store([row(A, 3, 4), row(B, 1, 2), row(A, 5, 6, period=NEXT_DAY), row(B, 3, 3)], {})
    assert site.run().records == 7
    assert numbers_by_part(site.log_dir) == {
        f"{DAY}.jsonl": [(A, 1), (A, 2)],
        f"{DAY}.r1.jsonl": [(A, 3), (A, 4), (B, 1), (B, 2)],
        f"{NEXT_DAY}.r1.jsonl": [(A, 5), (A, 6)],
        f"{DAY}.r2.jsonl": [(B, 3)],
    }
    assert site.store.summary().rows == 0


def test_an_instance_has_parts_of_its_own(site) -> None:
    """The rows of another instance go to files of its name."""
    site.store.store([row(A, 1, 1)], {})
    site.run(instance="i1a2b3c4d")
    assert list(numbers_by_part(site.log_dir)) == [f"{DAY}.i1a2b3c4d.r1.jsonl"]


def test_small_pieces_continue_one_part(site) -> None:
    """A piece is at most as long as asked for, and the next one goes on behind it."""
    for number in range(1, 50):
        site.store.store([row(A, number, number)], {})
    run = site.replay()
    counts = []
    while count := run.step(1000):
        counts.append(count)
    assert set(counts) <= {1, 2, 3, 4, 5}
    assert sum(counts) == 49
    assert list(numbers_by_part(site.log_dir)) == [f"{DAY}.r1.jsonl"]
    assert are_once_and_ascending(site.log_dir, records(A, 1, 49))


def test_what_would_go_back_begins_another_part(site) -> None:
    """Within a part each producer's numbers ascend, whatever the order of the rows."""
    site.store.store([row(A, 3, 4), row(A, 1, 2), row(A, 5, 5), row(B, 1, 1)], {})
    site.run()
    assert are_once_and_ascending(site.log_dir, records(A, 1, 5) | {(B, 1)})
    assert len(numbers_by_part(site.log_dir)) == 2


@pytest.mark.parametrize("bytes_max", [1, 700, PIECE])
def test_a_part_is_as_long_as_files_may_be_or_one_row(site, bytes_max) -> None:
    """Whatever a piece is; a row that is longer than that has a part of its own."""
    limit = 5 * len(row(A, 100, 100).data)
    for number in range(100, 150):
        site.store.store([row(A, number, number)], {})
    site.store.store([row(A, 150, 159), row(A, 160, 160)], {})
    site.settings = Settings(rotate_max_mb=limit / (1 << 20))
    site.run(bytes_max)
    sizes = [path.stat().st_size for path in site.log_dir.glob("*.jsonl")]
    assert sorted(sizes) == [limit // 5, *[limit] * 10, 2 * limit]
    assert are_once_and_ascending(site.log_dir, records(A, 100, 160))


@pytest.mark.parametrize("name", ["replay.claimed", "replay.appended", "replay.synced", "replay.removed"])
def test_a_kill_between_two_parts_of_a_size_repeats_nothing(site, monkeypatch, name) -> None:
    """What was interrupted is settled in its part, and what follows is in others."""
    for number in range(100, 120):
        site.store.store([row(A, number, number)], {})
    site.settings = Settings(rotate_max_mb=3 * len(row(A, 100, 100).data) / (1 << 20))
    for _ in range(5):
        interrupted(site, monkeypatch, name)
    site.run()
    assert max(map(len, numbers_by_part(site.log_dir).values())) <= 3
    assert are_once_and_ascending(site.log_dir, records(A, 100, 119))


def test_what_is_left_out_by_time_comes_later(site) -> None:
    """--since leaves older rows where they are; another run brings them, in a part of its own."""
    for number in range(1, 4):
        site.store.store([row(A, number, number)], {})
    site.store.change(
        lambda conn: conn.execute("UPDATE slices SET stored_at = '2025-01-01T00:00:00.000000Z' WHERE id = 1")
    )
    site.run(since="2025-06-01T00:00:00Z")
    assert numbers_by_part(site.log_dir) == {f"{DAY}.r1.jsonl": [(A, 2), (A, 3)]}
    site.run()
    assert numbers_by_part(site.log_dir)[f"{DAY}.r2.jsonl"] == [(A, 1)]


def test_a_limit_ends_the_run(site) -> None:
    """No row is begun once so many records are done."""
    for number in range(1, 40, 4):
        site.store.store([row(A, number, number + 3)], {})
    assert site.run(limit=10).records == 12
    assert site.store.summary().records == 28


def test_a_damaged_row_goes_to_quarantine_and_the_rest_goes_on(site) -> None:
    """A row whose checksum fails is in no day file; it is kept, counted and told."""
    for number in range(1, 6):
        site.store.store([row(A, number, number)], {})
    site.damage(3)
    run = site.run()
    assert (run.records, run.quarantined) == (4, 1)
    assert are_once_and_ascending(site.log_dir, records(A, 1, 5) - {(A, 3)})
    (kept,) = (site.log_dir / ".pipeline" / "quarantine").iterdir()
    assert kept.read_bytes()[120:121] == b"Y"
    assert site.told[0] == (
        "quarantined",
        {
            "level": "WARNING",
            "subject": A,
            "first_action_number": 3,
            "last_action_number": 3,
            "count": 1,
            "file": kept.name,
        },
    )


def test_the_end_is_told_once_and_the_store_shrinks(site) -> None:
    """One `fallback_replayed` with the sums, and nearly nothing left of the database and its log."""
    for number in range(1, 9):
        site.store.store([row(A, number, number, fill=1_000_000)], {})
    site.run()
    site.run()
    size = sum(len(lines(A, number, number, 1_000_000)) for number in range(1, 9))
    told = {"rows": 8, "records": 8, "bytes": size, "quarantined": 0}
    assert site.told == [("fallback_replayed", {"level": "WARNING", **told})]
    assert sum(path.stat().st_size for path in site.store.path.parent.glob("fallback.db*")) < 1 << 20


def test_what_nobody_accepts_is_told_later(site) -> None:
    """An announcement stays in the store until its record has a number."""
    site.store.store([row(A, 1, 1)], {})
    while site.replay().step(PIECE):
        pass
    fallback_rows.tell(site.store, lambda *_, **__: 0)
    fallback_rows.tell(site.store, site.emit)
    assert [kind for kind, _ in site.told] == ["fallback_replayed"]


class Faulty:
    """Lets the nth call of a function of `os` on a replay part fail."""

    def __init__(self, monkeypatch, name: str, error: OSError, nth: int = 1) -> None:
        self.calls = 0
        real = getattr(os, name)

        def fail(fd, *arguments):
            if ".r" in os.path.basename(os.readlink(f"/proc/self/fd/{fd}")):
                self.calls += 1
                if self.calls == nth:
                    raise error
            return real(fd, *arguments)

        monkeypatch.setattr(os, name, fail)


def test_a_full_disk_stops_it_without_a_trace(site, monkeypatch) -> None:
    """ENOSPC leaves rows and file as they were, and the next step does it."""
    site.store.store([row(A, 1, 3)], {})
    run = site.replay()
    Faulty(monkeypatch, "write", OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        run.step(PIECE)
    assert site.store.summary().records == 3
    assert [path.stat().st_size for path in site.log_dir.glob("*.jsonl")] == [0]
    while run.step(PIECE):
        pass
    assert are_once_and_ascending(site.log_dir, records(A, 1, 3))


def test_after_a_failed_fsync_the_piece_goes_to_another_part(site, monkeypatch) -> None:
    """What a failed fsync left in doubt is cut off and comes again elsewhere; earlier pieces stay."""
    site.store.store([row(A, 1, 1), row(A, 2, 2)], {})
    run = site.replay()
    assert run.step(10) == 1
    Faulty(monkeypatch, "fsync", OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        run.step(10)
    while run.step(10):
        pass
    assert numbers_by_part(site.log_dir) == {f"{DAY}.r1.jsonl": [(A, 1)], f"{DAY}.r2.jsonl": [(A, 2)]}
    assert site.store.cut_marks() == []


def test_a_part_that_cannot_be_cut_keeps_its_mark(site, monkeypatch) -> None:
    """When the volume refuses the cut too, the mark stands in the store with the rows still there."""
    site.store.store([row(A, 1, 1), row(A, 2, 2)], {})
    run = site.replay()
    run.step(10)
    Faulty(monkeypatch, "fsync", OSError(5, "Input/output error"))
    Faulty(monkeypatch, "ftruncate", OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        run.step(10)
    (mark,) = site.store.cut_marks()
    assert (mark.file, mark.size) == (f"{DAY}.r1.jsonl", len(lines(A, 1, 1)))
    assert site.store.summary().rows == 1
    while run.step(10):
        pass
    assert numbers_by_part(site.log_dir)[f"{DAY}.r2.jsonl"] == [(A, 2)]


def interrupted(site, monkeypatch, name: str) -> None:
    """Let a run end at a fail point as a kill ends it."""
    import pipeline.delivery.replay as module

    class Killed(BaseException):
        pass

    def reach(reached: str) -> None:
        if reached == name:
            raise Killed

    monkeypatch.setattr(module.failpoint, "reach", reach)
    with pytest.raises(Killed):
        site.run()
    monkeypatch.undo()


@pytest.mark.parametrize("kept", [0, 1, 50, 400])
def test_an_interrupted_append_goes_on_at_the_next_byte(site, monkeypatch, kept) -> None:
    """What stands at the claim's place is compared with the rows and completed, not written twice."""
    site.store.store([row(A, 1, 3), row(B, 1, 1)], {})
    interrupted(site, monkeypatch, "replay.appended")
    (part,) = site.log_dir.glob("*.jsonl")
    os.truncate(part, kept)
    site.run()
    assert list(numbers_by_part(site.log_dir)) == [part.name]
    assert are_once_and_ascending(site.log_dir, records(A, 1, 3) | {(B, 1)})


def test_foreign_lines_in_the_middle_of_an_append_are_no_reason_to_repeat(site, monkeypatch) -> None:
    """Whole lines of ours count as there wherever they stand; only the others are written, elsewhere."""
    site.store.store([row(A, 1, 3), row(B, 1, 2)], {})
    interrupted(site, monkeypatch, "replay.appended")
    (part,) = site.log_dir.glob("*.jsonl")
    content = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([content[0], b'{"foreign":1}\n', content[1], content[3]]))
    site.run()
    found = [line for path in site.log_dir.glob("*.jsonl") for line in path.read_bytes().splitlines(True)]
    assert sorted(found) == sorted([*content, b'{"foreign":1}\n'])


def test_a_part_that_was_renamed_is_found_again(site, monkeypatch) -> None:
    """An interrupted part is known by its inode, not by its name."""
    site.store.store([row(A, 1, 3)], {})
    interrupted(site, monkeypatch, "replay.appended")
    (part,) = site.log_dir.glob("*.jsonl")
    part.rename(site.log_dir / "moved.jsonl")
    site.run()
    assert numbers_by_part(site.log_dir) == {"moved.jsonl": [(A, 1), (A, 2), (A, 3)]}


@pytest.mark.parametrize("harm", ["unlink", "truncate"])
def test_a_part_that_is_gone_is_written_again(site, monkeypatch, harm) -> None:
    """What was not yet known to be durable in a deleted or shortened part is in another one."""
    site.store.store([row(A, 1, 1), row(A, 2, 2)], {})
    run = site.replay()
    run.step(10)
    interrupted(site, monkeypatch, "replay.appended")
    for part in site.log_dir.glob("*.jsonl"):
        if harm == "unlink":
            part.unlink()
        else:
            os.truncate(part, 0)
    site.run()
    assert (A, 2) in [record for part in numbers_by_part(site.log_dir).values() for record in part]
    assert site.store.summary().rows == 0


def test_an_empty_part_of_a_killed_run_is_used(site, monkeypatch) -> None:
    """A kill right after the creation leaves no empty file for ever."""
    site.store.store([row(A, 1, 1)], {})
    monkeypatch.setattr(replay_part.failpoint, "reach", lambda _: None)
    interrupted(site, monkeypatch, "replay.created")
    assert [path.stat().st_size for path in site.log_dir.glob("*.jsonl")] == [0]
    site.run()
    assert list(numbers_by_part(site.log_dir)) == [f"{DAY}.r1.jsonl"]


def test_a_row_that_is_damaged_while_it_is_claimed_is_not_written(site, monkeypatch) -> None:
    """The checksum counts also when an interrupted append is settled."""
    site.store.store([row(A, 1, 1), row(A, 2, 2), row(A, 3, 3)], {})
    interrupted(site, monkeypatch, "replay.claimed")
    site.damage(2)
    run = site.run()
    assert run.quarantined == 1
    assert are_once_and_ascending(site.log_dir, {(A, 1), (A, 3)})


def test_a_database_that_is_damaged_meanwhile_costs_what_is_damaged(site) -> None:
    """A store that goes to quarantine in the middle of a run goes on with what could be read of it."""
    for number in range(1, 30):
        site.store.store([row(A, number, number, fill=20_000)], {A: number})
    run = site.replay()
    assert run.step(50_000) == 2
    site.store.close()
    reader = sqlite3.connect(site.store.path)
    page = reader.execute("SELECT rootpage FROM sqlite_master WHERE name = 'totals'").fetchone()[0]
    reader.close()
    content = bytearray(site.store.path.read_bytes())
    content[(page - 1) * 65536 : page * 65536] = b"\xff" * 65536
    site.store.path.write_bytes(content)
    while run.step(PIECE):
        pass
    assert are_once_and_ascending(site.log_dir, records(A, 1, 29))
    assert any("damaged" in note or "cannot be used" in note for note in site.notes)


def test_a_row_with_gaps_keeps_its_lines(site) -> None:
    """A slice whose numbers have holes comes out byte for byte."""
    data = lines(A, 1, 1) + lines(A, 7, 7)
    site.store.store([FallbackRow(A, DAY, 1, 7, 2, data, "EIO")], {})
    site.run()
    assert (site.log_dir / f"{DAY}.r1.jsonl").read_bytes() == data
    assert json.loads(data.splitlines()[1])["action_number"] == 7


@pytest.mark.parametrize("name", ["replay.created", "replay.claimed", "replay.appended", "replay.synced"])
def test_nothing_is_replayed_while_the_volume_is_away(site, monkeypatch, name) -> None:
    """An empty directory is in the place of the files: a claim that is open is not taken for gone."""
    site.store.store([row(A, 1, 5), row(B, 1, 5)], {})
    interrupted(site, monkeypatch, name)
    away = site.log_dir.with_name("volume")
    site.log_dir.rename(away)
    site.log_dir.mkdir()
    create_runtime(site.places)
    files.write_json(site.places.volume_note, {"mount_point": str(site.log_dir)})
    with pytest.raises(OSError, match="not mounted"):
        site.run()
    assert not list(site.log_dir.iterdir())
    site.log_dir.rmdir()
    away.rename(site.log_dir)
    site.places.volume_note.unlink()
    site.run()
    assert are_once_and_ascending(site.log_dir, records(A, 1, 5) | records(B, 1, 5))
