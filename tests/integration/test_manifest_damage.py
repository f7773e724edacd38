"""
Which damage `pipeline verify` finds by which check, on copies of days that the real writer has written.

The table in docs/internals/manifest.md is this table.
"""

import gzip
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from support import forgery
from support.archive import DAY_SEC, DAYS, at_rest, copy_of, write_days
from support.rig import Rig

from pipeline.storage.manifest import Chain
from pipeline.verification import Report, current_head, parse_heads, verify, workforce

FIRST, MIDDLE, LAST = DAYS


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give three days and their manifests; never to be changed."""
    return at_rest(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def logs(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the archive."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    return Path(shutil.copytree(archive, tmp_path / "logs"))


def found(report: Report) -> set[tuple[str, str, str]]:
    """Return (kind, check, file) of each finding."""
    return {(finding.kind.value, finding.check, finding.file or "") for finding in report.findings}


def manifest(day: str) -> str:
    """Return what findings call the manifest of a day."""
    return f".pipeline/manifests/{day}.manifest"


DAMAGES = [
    (forgery.flip_bit, MIDDLE, {("changed", "digests", MIDDLE)}),
    (forgery.delete_line, MIDDLE, {("changed", "digests", MIDDLE), ("missing", "numbers", MIDDLE)}),
    (forgery.delete_tail, MIDDLE, {("cut", "digests", MIDDLE), ("missing", "numbers", LAST)}),
    (forgery.delete_tail, LAST, {("cut", "digests", LAST)}),
    (forgery.duplicate_line, MIDDLE, {("changed", "digests", MIDDLE), ("repeated", "numbers", MIDDLE)}),
    (forgery.swap_pair, MIDDLE, {("changed", "digests", MIDDLE), ("out_of_order", "numbers", MIDDLE)}),
    (forgery.remove_file, MIDDLE, {("removed", "chain", MIDDLE), ("missing", "numbers", LAST)}),
    (forgery.remove_day, MIDDLE, {("broken_chain", "chain", manifest(LAST)), ("missing", "numbers", LAST)}),
    (forgery.remove_day, LAST, {("broken_chain", "catalog", "metadata.json")}),
    (forgery.forge_entry, MIDDLE, {("broken_chain", "chain", manifest(MIDDLE))}),
    (forgery.delete_entry, MIDDLE, {("broken_chain", "chain", manifest(MIDDLE))}),
    (forgery.delete_tail_with_entries, LAST, {("broken_chain", "catalog", "metadata.json")}),
]


@pytest.mark.parametrize("is_full", [False, True], ids=["digests", "full"])
@pytest.mark.parametrize(
    ("damage", "day", "expected"),
    DAMAGES,
    ids=[f"{damage.__name__}-{day[:10]}" for damage, day, _ in DAMAGES],
)
def test_each_damage_is_found_by_the_check_that_is_there_for_it(
    logs: Path,
    damage: Callable[[Path], None],
    day: str,
    expected: set[tuple[str, str, str]],
    is_full: bool,
) -> None:
    """One damage, and the report names file and check."""
    damage(logs / day)
    report = verify(logs, is_full=is_full)
    assert expected <= found(report), report.findings
    assert report.exit_code == 1


@pytest.mark.parametrize("is_full", [False, True], ids=["digests", "full"])
def test_untouched_archive_is_proven_to_the_last_byte(logs: Path, is_full: bool) -> None:
    """Nothing is found, and no byte is left that no digest proves."""
    report = verify(logs, is_full=is_full)
    assert (report.findings, report.unproven) == ((), ())
    assert report.proven_bytes == sum((logs / day).stat().st_size for day in DAYS)
    assert report.records == sum((logs / day).read_bytes().count(b"\n") for day in DAYS)
    assert not report.open


def test_digests_and_lines_tell_the_same_of_producers(logs: Path) -> None:
    """What a proven block says by its entry is what its lines say."""
    by_digests = verify(logs).as_dict()
    shutil.rmtree(logs / ".pipeline")
    (logs / "metadata.json").unlink()
    by_lines = verify(logs).as_dict()
    assert by_lines["proven_bytes"] == 0
    assert {part["why"] for part in by_lines["unproven"]} == {"it has no manifest"}
    for field in ("ok", "records", "bytes", "producers", "open", "counts"):
        assert by_lines[field] == by_digests[field]


def test_forgery_of_everything_is_found_by_a_head_that_was_kept_and_by_nothing_else(logs: Path) -> None:
    """Bytes, digest, chain and catalog agree; only who kept a head can tell."""
    kept = parse_heads(current_head(logs))
    assert verify(logs, kept_heads=kept).ok
    forgery.forge_everything(logs / MIDDLE)
    assert verify(logs, is_full=True).ok
    assert found(verify(logs, kept_heads=kept)) == {("broken_chain", "head", "")}


def test_entry_that_lies_about_its_numbers_is_found_when_lines_are_read(logs: Path) -> None:
    """A record is taken out and the entry claims it all the same; digests, chain and catalog fit."""
    path = logs / MIDDLE
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(n for n in range(20, len(lines)) if b'"fill"' in lines[n])
    lines[at] = lines[at].replace(b'"producer":"', b'"producer":"zzzzzzzzzzzz","was":"', 1)
    lines[at] = lines[at].replace(b"xxxxxxxxxxxxxxxxxxxxxx", b"", 1)
    path.write_bytes(b"".join(lines).ljust(len(path.read_bytes()), b"\n")[: path.stat().st_size])
    forgery.rewrite_digests(path)
    forgery.chain_anew(logs)
    report = verify(logs, is_full=True)
    assert ("broken_chain", "lines", MIDDLE) in found(report)


def test_removed_manifests_are_found_by_the_catalog(logs: Path) -> None:
    """Without manifests the lines are still read, and the catalog says that there were some."""
    shutil.rmtree(logs / ".pipeline" / "manifests")
    report = verify(logs)
    assert found(report) == {("broken_chain", "catalog", "metadata.json")}
    assert report.proven_bytes == 0


def test_day_that_retention_deleted_is_no_finding_and_is_told(logs: Path) -> None:
    """Its manifest stays: the chain holds, its numbers count as stored, and the report tells of it."""
    head = json.loads((logs / "metadata.json").read_bytes())["head"]
    size = (logs / FIRST).stat().st_size
    records = (logs / FIRST).read_bytes().count(b"\n")
    chain = Chain(logs / ".pipeline", "", head)
    chain.extend(FIRST, [{"kind": "expired", "offset": 0, "length": size, "cause": "age"}])
    (logs / FIRST).unlink()
    report = verify(logs)
    assert report.findings == ()
    assert dict(report.expired) == {FIRST: records}


def test_producer_whose_every_record_has_left_with_retention_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the day after its last record: the word of its end outlives all that it wrote."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    rig = Rig()
    write_days(rig, days=1)
    gone = rig.producer()
    rig.start_writer()
    rig.emit(gone, 1)
    rig.drain()
    rig.pass_time(DAY_SEC)
    rig.close_producer(gone)
    rig.drain()
    logs = copy_of(rig, tmp_path)
    rig.close()
    size = (logs / FIRST).stat().st_size
    chain = Chain(logs / ".pipeline", "", json.loads((logs / "metadata.json").read_bytes())["head"])
    chain.extend(FIRST, [{"kind": "expired", "offset": 0, "length": size, "cause": "age"}])
    (logs / FIRST).unlink()
    assert b'"producer_closed"' in (logs / MIDDLE).read_bytes()
    assert verify(logs).findings == ()


@pytest.mark.parametrize(("suffix", "pack"), [("zst", zstandard.compress), ("gz", gzip.compress)])
def test_packed_day_is_proven_by_the_digests_of_its_plain_bytes(
    logs: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """Packing changes nothing; a bit that was flipped before it is found behind it."""
    data = (logs / MIDDLE).read_bytes()
    forgery.flip_bit(logs / MIDDLE)
    flipped = (logs / MIDDLE).read_bytes()
    (logs / MIDDLE).unlink()
    packed = logs / f"{MIDDLE}.{suffix}"
    packed.write_bytes(pack(data))
    report = verify(logs)
    assert (report.findings, report.unproven) == ((), ())
    packed.write_bytes(pack(flipped))
    assert found(verify(logs)) == {("changed", "digests", packed.name)}
    packed.write_bytes(pack(data[: len(data) // 2].rpartition(b"\n")[0] + b"\n"))
    assert ("cut", "digests", packed.name) in found(verify(logs))


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"serial":"1","kind":"block","file":"2025-11-22.jsonl","previous":"0"}',
        b'{"serial":1,"kind":"block","file":"2025-11-21.jsonl","previous":"0"}',
        b'{"serial":99999,"kind":"block","file":"2025-11-22.jsonl","previous":"0","offset":-1,"length":"x"}',
        (
            b'{"serial":99999,"kind":"block","file":"2025-11-22.jsonl","previous":"0","offset":0,"length":9,'
            b'"lines":1,"digest":"x","producers":{"a":[[2,1]]}}'
        ),
    ],
)
def test_line_that_is_no_entry_is_found_and_harms_nothing_else(logs: Path, line: bytes) -> None:
    """Whatever somebody writes into a manifest, the verification comes to its end and names the line."""
    path = forgery.manifest_of(logs / MIDDLE)
    path.write_bytes(path.read_bytes() + line + b"\n")
    report = verify(logs)
    assert {(kind, check) for kind, check, _ in found(report)} == {("broken_chain", "chain")}
    assert report.proven_bytes == sum((logs / day).stat().st_size for day in DAYS)


def test_half_an_entry_at_the_end_is_no_finding(logs: Path) -> None:
    """Nobody was told of it: the writer died while it wrote the line."""
    path = forgery.manifest_of(logs / LAST)
    path.write_bytes(path.read_bytes() + b'{"serial":9')
    assert verify(logs).findings == ()


def test_single_day_is_checked_against_its_manifest_alone(logs: Path) -> None:
    """With a date the damage of other days is not looked for, but the chain is whole or not."""
    forgery.flip_bit(logs / FIRST)
    assert verify(logs, dates=[MIDDLE[:10]]).ok
    assert found(verify(logs, dates=[FIRST[:10]])) == {("changed", "digests", FIRST)}
    (logs / MIDDLE).unlink()
    assert verify(logs, dates=[LAST[:10]]).ok


def store(logs: Path, rows: list[bytes], cut_marks: list[tuple[str, str, str, int]] = []) -> Path:  # noqa: B006
    """Put lines, a row each, into a fallback store, by its documented tables."""
    directory = logs.parent / "fallback"
    directory.mkdir()
    (logs / ".pipeline" / "fallback.json").write_text(json.dumps({"directory": str(directory)}))
    with closing(sqlite3.connect(directory / "fallback.db")) as database, database:
        database.execute(
            "CREATE TABLE slices (id INTEGER PRIMARY KEY, producer, first, last, count, sha256, data)"
        )
        database.execute("CREATE TABLE cut_marks (file, device, inode, size)")
        for line in rows:
            record = json.loads(line)
            number = record["action_number"]
            row = (record["producer"], number, number, 1, hashlib.sha256(line).hexdigest(), line)
            database.execute(
                "INSERT INTO slices (producer, first, last, count, sha256, data) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        database.executemany("INSERT INTO cut_marks VALUES (?, ?, ?, ?)", cut_marks)
    return directory / "fallback.db"


def test_records_in_the_fallback_are_not_missing(logs: Path) -> None:
    """Not yet replayed, or just being replayed; a row that was changed is a finding."""
    lines = (logs / MIDDLE).read_bytes().splitlines(keepends=True)
    taken = [lines[20], lines[21]]
    forgery.edit_lines(logs / MIDDLE, lambda lines: lines.__delitem__(slice(20, 22)))
    assert ("missing", "numbers", MIDDLE) in found(verify(logs))
    database = store(logs, [*taken, lines[30]])
    report = verify(logs)
    assert found(report) == {("changed", "digests", MIDDLE), ("cut", "digests", MIDDLE)}
    assert report.fallback_records == 3
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE slices SET data = replace(data, 'x', 'y') WHERE id = 1")
    assert ("changed", "fallback", str(database)) in found(verify(logs))


def test_file_is_read_up_to_its_cut_mark(logs: Path) -> None:
    """What stands behind the mark was delivered again elsewhere: it counts for nothing."""
    path = logs / LAST
    size, last = path.stat().st_size, path.read_bytes().splitlines(keepends=True)[-30]
    with path.open("ab") as file:
        file.write(last)
    assert ("repeated", "numbers", LAST) in found(verify(logs))
    about = path.stat()
    store(logs, [], [(LAST, str(about.st_dev), str(about.st_ino), size)])
    assert verify(logs).findings == ()


@pytest.mark.parametrize("damage", [None, forgery.delete_line], ids=["clean", "a line is gone"])
def test_several_processes_find_what_one_finds(
    logs: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None] | None
) -> None:
    """The report does not depend on who reads which piece, nor on a process that dies over it."""
    if damage is not None:
        damage(logs / MIDDLE)
    expected = verify(logs, is_full=True).as_dict()
    monkeypatch.setattr(workforce, "WORTH_BYTES", 0)
    monkeypatch.setattr(workforce.os, "sched_getaffinity", lambda _: {0, 1})
    assert verify(logs, is_full=True).as_dict() == expected
    monkeypatch.setattr(workforce, "_CODE", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert verify(logs, is_full=True).as_dict() == expected
