"""
What the writer says of its files in the manifests, whatever kills it, and whoever else writes.

The producers and the writer are the real ones, in this process (tests/support/rig.py).
"""

import errno
import itertools
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from support.apps import Site
from support.archive import BLOCK_BYTES, DAYS, small_blocks, write_days
from support.forgery import entries_of, manifest_of
from support.rig import Rig

from pipeline.storage.manifest import Chain
from pipeline.verification import Report, parse_heads, verify

DAY = DAYS[0]
KILLS = [
    "writer.intent.after",
    "writer.append.before",
    "writer.append.partial",
    "writer.append.after",
    "writer.commit.after",
    "writer.sync.before",
    "writer.sync.after",
    "writer.manifest.before",
    "writer.manifest.partial",
    "writer.manifest.after",
    "writer.sync.published",
    "writer.recover.before",
    "writer.recover.resumed",
]


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig with blocks of 4 KiB."""
    rig = Rig()
    small_blocks(rig)
    yield rig
    rig.close()


def day(rig: Rig) -> Path:
    """Return the first day's file."""
    return rig.places.log_dir / DAY


def emit(rig: Rig, count: int, size: int = 100) -> None:
    """Let a producer emit and end."""
    producer = rig.producer()
    for tag in range(count):
        rig.emit(producer, len(rig.tags_emitted) + tag, size)
    rig.close_producer(producer)


def stopped(rig: Rig) -> Report:
    """Drain, stop the pipeline in order, and verify."""
    rig.drain()
    rig.writer.stop_own_lane("stopped")
    return verify(rig.places.log_dir)


def blocks_of(path: Path) -> list[tuple[int, int]]:
    """Return (offset, length) of a file's blocks."""
    return [(e["offset"], e["length"]) for e in entries_of(path) if e["kind"] == "block"]


def test_blocks_follow_each_other_to_the_end_of_each_file(rig: Rig) -> None:
    """No byte without an entry, none with two; a block is full, or the last of a file, or waited 10 s."""
    write_days(rig)
    for name in DAYS:
        path, end = rig.places.log_dir / name, 0
        for offset, length in blocks_of(path):
            assert offset == end
            end = offset + length
        assert end == path.stat().st_size
        assert max(length for _, length in blocks_of(path)) < 2 * BLOCK_BYTES


def test_first_entry_of_a_day_names_the_head_of_the_days_before(rig: Rig) -> None:
    """One chain goes through all manifests: what a day was is anchored in the next."""
    write_days(rig)
    for before, after in itertools.pairwise(DAYS):
        begin = entries_of(rig.places.log_dir / after)[0]
        lines = manifest_of(rig.places.log_dir / before).read_bytes().splitlines()
        heads = {json.loads(line)["serial"]: sha256(line).hexdigest() for line in lines}
        assert begin["previous"] == heads[begin["serial"] - 1]


def test_catalog_and_health_name_the_last_entry(rig: Rig) -> None:
    """The head is where somebody who cuts the end of a manifest has to find it as well."""
    write_days(rig)
    last = entries_of(rig.places.log_dir / DAYS[-1])[-1]
    catalog = json.loads((rig.places.log_dir / "metadata.json").read_bytes())
    assert catalog["head"] == rig.writer.days.manifests.head
    assert catalog["head"].startswith(f"{last['serial']}:")
    sizes = {file["name"]: file["bytes"] for file in catalog["files"]}
    assert sizes == {name: (rig.places.log_dir / name).stat().st_size for name in DAYS}


def test_entry_claims_only_what_was_synced_before(rig: Rig) -> None:
    """At every pass of the writer, what has an entry is within what the last fsync covered."""
    producer = rig.producer()
    rig.start_writer()
    seen = 0
    for turn in range(80):
        for _ in range(4):
            rig.emit(producer, turn, 200)
        rig.step()
        rig.pass_time(0.3)
        chain = Chain(rig.places.belongings_dir, "")
        covered = chain.covered(DAY)
        assert covered <= rig.synced.get(day(rig).stat().st_ino, 0)
        seen = max(seen, covered)
    assert seen > 10 * BLOCK_BYTES


def test_block_that_does_not_fill_gets_its_entry_after_ten_seconds(rig: Rig) -> None:
    """Also when nothing more is written meanwhile."""
    emit(rig, 2)
    rig.drain()
    assert blocks_of(day(rig)) == []
    rig.pass_time(10)
    rig.step(2)
    assert sum(length for _, length in blocks_of(day(rig))) == day(rig).stat().st_size


@pytest.mark.parametrize("killed_at", KILLS)
def test_kill_leaves_no_byte_unexplained(rig: Rig, killed_at: str) -> None:
    """Wherever the writer dies, all bytes are proven in the end, and none is called rebuilt."""
    emit(rig, 40)
    rig.drain()
    rig.kill_writer()
    before = "writer.append.partial" if "recover" in killed_at else ""
    for skip in (0, 2):
        emit(rig, 60)
        if before:
            assert rig.run_until_killed(before)
        rig.run_until_killed(killed_at, skip)
        assert rig.reached[killed_at]
        if rig.writer is not None:
            rig.kill_writer()
    emit(rig, 10)
    report = stopped(rig)
    assert (report.findings, report.unproven) == ((), ())


def test_what_somebody_changes_while_nobody_writes_is_not_attested(rig: Rig) -> None:
    """Bytes without an entry yet, changed between two writers, are taken in as rebuilt and stay unproven."""
    emit(rig, 30)
    rig.drain()
    covered = Chain(rig.places.belongings_dir, "").covered(DAY)
    rig.kill_writer()
    data = bytearray(day(rig).read_bytes())
    assert covered < len(data)
    data[data.index(b"xxxx", covered) + 1] ^= 1
    day(rig).write_bytes(data)
    report = stopped(rig)
    assert report.ok
    assert [(part.file, part.offset) for part in report.unproven] == [(DAY, covered)]


def test_file_that_nobody_goes_on_with_is_brought_up_to_its_end(rig: Rig) -> None:
    """Killed with a tail that has no entry; the next writer comes a day later, and proves it all the same."""
    emit(rig, 30)
    rig.drain()
    rig.kill_writer()
    assert sum(length for _, length in blocks_of(day(rig))) < day(rig).stat().st_size
    rig.pass_time(86_400)
    emit(rig, 3)
    report = stopped(rig)
    assert (report.findings, report.unproven) == ((), ())


def test_without_memory_what_has_no_entry_is_rebuilt(rig: Rig) -> None:
    """After a power loss nothing explains the tail: it gets an entry that says so."""
    emit(rig, 30)
    rig.drain()
    rig.kill_writer()
    rig.places.runtime("blocks").unlink()
    emit(rig, 5)
    report = stopped(rig)
    assert report.ok
    assert {part.why for part in report.unproven} == {"nobody can say that these bytes are what was appended"}
    assert report.proven_bytes > 0


def test_file_from_before_there_were_manifests_is_not_proven_and_no_failure(rig: Rig) -> None:
    """Its manifest begins where the first writer that has one goes on."""
    emit(rig, 30)
    rig.drain()
    rig.kill_writer()
    manifest_of(day(rig)).unlink()
    (rig.places.log_dir / "metadata.json").unlink()
    rig.places.runtime("blocks").unlink()
    size = day(rig).stat().st_size
    emit(rig, 30)
    report = stopped(rig)
    assert report.ok
    assert [part[:3] for part in report.unproven] == [(DAY, 0, size)]


def test_bytes_of_others_get_no_entry(rig: Rig) -> None:
    """Somebody's line in the file: what we wrote before and behind it is proven, the line is not."""
    emit(rig, 30)
    rig.drain()
    with day(rig).open("ab") as file:
        file.write(b"hello\n")
    emit(rig, 30)
    report = stopped(rig)
    assert {finding.kind.value for finding in report.findings} == {"unparsable"}
    assert [part.length for part in report.unproven] == [6]


def test_file_that_somebody_cut_short_is_found_although_writing_went_on(rig: Rig) -> None:
    """The writer notes where it found the file's end below its entries; that is a finding for ever."""
    emit(rig, 60)
    rig.drain()
    rig.pass_time(10)
    rig.step(2)
    lines = day(rig).read_bytes().splitlines(keepends=True)
    os.truncate(day(rig), len(b"".join(lines[:20])))
    emit(rig, 60)
    report = stopped(rig)
    assert ("cut", "chain") in {(finding.kind.value, finding.check) for finding in report.findings}
    assert report.counts["missing"] == 1


def test_manifest_that_cannot_be_written_holds_up_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are delivered; health is told; the entries follow, and nothing stays unproven."""
    rig.start_writer()
    manifests, store = rig.writer.days.manifests, Chain._store

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Chain, "_store", refuse)
    emit(rig, 60)
    rig.drain()
    assert "no space" in manifests.error
    assert sum(rig.tags().values()) == 60
    monkeypatch.setattr(Chain, "_store", store)
    emit(rig, 30)
    report = stopped(rig)
    assert (report.findings, report.unproven, manifests.error) == ((), (), "")


def test_short_write_of_an_entry_is_taken_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes half a line; the next entry stands on a line of its own."""
    emit(rig, 30)
    rig.drain()
    before, fdatasync = blocks_of(day(rig)), os.fdatasync

    def full(_fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fdatasync", full)
    rig.pass_time(10)
    rig.step(2)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    assert blocks_of(day(rig)) == before
    report = stopped(rig)
    assert (report.findings, report.unproven) == ((), ())
    assert len(blocks_of(day(rig))) > len(before)


LIVE = """
    import os, pipeline
    from stage import emit, hear, say
    pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], fsync_interval_sec=0.05)
    emit("first")
    pl.flush(timeout=30)
    say("ready")
    while hear() == "more":
        for index in range(2000):
            emit(f"record {index}", filling="x" * 400)
        say("emitted")
"""


def test_verify_of_a_running_pipeline_finds_nothing(tmp_path: Path) -> None:
    """While blocks are written and get their entries, whatever moment is looked at is without a finding."""
    with Site(tmp_path / "site") as site:
        app = site.app(LIVE)
        app.expect("ready")
        proven = []
        for _ in range(12):
            app.tell("more")
            report = verify(site.log_dir)
            assert report.findings == ()
            proven.append(report.proven_bytes)
            app.expect("emitted")
        kept = parse_heads(site.health()["head"])
        assert proven[-1] > 1_000_000
        app.tell("end")
        assert app.wait() == 0
        site.until_ended(30)
        report = verify(site.log_dir, kept_heads=kept)
        assert (report.findings, report.unproven) == ((), ())
