"""
Packed days among the living: records that come late, or come back, and who else has a word in a file.

The rig is that of tests/support/rig.py.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
from support.packing import day_files, pack, when_reached
from support.rig import Rig
from support.slices import A, make, row
from support.unpacking import content

from pipeline.delivery.replay import Replay
from pipeline.errors import PackingRefused
from pipeline.host import clock
from pipeline.settings import Settings
from pipeline.storage.holding import hold
from pipeline.verification import verify

DAY = "2025-11-21.jsonl"
DAY_SEC = 86_400.0


@pytest.fixture
def disk_rig() -> Iterator[Rig]:
    """Give a rig with lanes on disk."""
    rig = Rig(lanes="disk")
    yield rig
    rig.close()


def tags(rig: Rig) -> Counter[int]:
    """Return how often each tag is in the day files, packed ones included."""
    logs = rig.places.log_dir
    lines = (line for name in day_files(logs) for line in content(logs / name).splitlines())
    return Counter(record["tag"] for record in map(json.loads, lines) if "tag" in record)


def written_day(rig: Rig, count: int = 20) -> None:
    """Let a producer emit on a day, and end; the writer goes on, and has sealed the day."""
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(count):
        rig.emit(emitter, tag)
    rig.close_producer(emitter)
    rig.drain()
    rig.pass_time(2 * DAY_SEC)
    rig.drain()


def emit_late(rig: Rig, tag: int) -> None:
    """Let a producer emit with a clock that is two days behind."""
    rig.clock.wall_ns -= int(2 * DAY_SEC * clock.NANO)
    late = rig.producer()
    rig.emit(late, tag)
    rig.close_producer(late)
    rig.clock.wall_ns += int(2 * DAY_SEC * clock.NANO)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_a_late_record_for_a_packed_day_opens_a_part(rig: Rig, compression: str) -> None:
    """Beside the packed file, under a number above any that exists; the packed file stays as it is."""
    written_day(rig)
    pack(rig, DAY, compression)
    [packed] = [name for name in day_files(rig.places.log_dir) if name.startswith(DAY)]
    before = (rig.places.log_dir / packed).read_bytes()
    for tag in (20, 21):
        emit_late(rig, tag)
        rig.drain()
    assert "2025-11-21.1.jsonl" in day_files(rig.places.log_dir)
    assert tags(rig) == Counter(range(22))
    assert (rig.places.log_dir / packed).read_bytes() == before
    rig.drain()
    assert not verify(rig.places.log_dir).findings


@pytest.mark.parametrize("point", ["keeper.pack.partial", "keeper.pack.compared", "keeper.pack.named"])
def test_a_late_record_never_goes_to_a_file_that_is_just_being_packed(rig: Rig, point: str) -> None:
    """Although its writer would go on with the file, were it not for the lock: it goes to the next part."""
    written_day(rig)
    about = (rig.places.log_dir / DAY).stat()
    rig.writer.days.sealed.clear()
    rig.writer.days.known[DAY] = {"device": about.st_dev, "inode": about.st_ino, "size": about.st_size}

    def late() -> None:
        emit_late(rig, 20)
        rig.drain()

    when_reached(rig.patch, point, late)
    pack(rig, DAY)
    assert tags(rig) == Counter(range(21))
    assert day_files(rig.places.log_dir)[:2] == ["2025-11-21.1.jsonl", f"{DAY}.zst"]


def test_a_segment_that_comes_back_after_a_power_loss_is_not_stored_again(disk_rig: Rig) -> None:
    """Its day was packed meanwhile: the packed file says which records it has."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    kept = rig.emit_keeping_segments(emitter)
    rig.drain()
    rig.pass_time(2 * DAY_SEC)
    rig.drain()
    pack(rig, DAY)
    rig.kill_writer()
    rig.abandon(emitter)
    shutil.rmtree(rig.places.runtime_dir)
    for path, data in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for position in rig.places.disk_lanes_dir.glob("*/position"):
        position.write_bytes(b"")
    rig.start_writer()
    assert rig.writer.recovered_by == "files"
    for _ in range(30):
        rig.step()
        rig.pass_time(0.6)
    assert tags(rig) == Counter(range(60))


def test_a_writer_that_lost_its_page_while_a_day_is_packed_knows_its_records(rig: Rig) -> None:
    """The plain name is gone between the listing and the look: the packed one is looked into."""
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(20):
        rig.emit(emitter, tag)
    rig.drain()
    rig.pass_time(2 * DAY_SEC)
    rig.drain()
    rig.kill_writer()
    rig.page.write_bytes(bytes(rig.page.stat().st_size))
    for position in rig.places.lanes_dir.glob("*/position"):
        position.write_bytes(b"")
    when_reached(rig.patch, "writer.recover.distrusted", lambda: pack(rig, DAY))
    rig.start_writer()
    assert rig.writer.recovered_by == "files"
    rig.emit(emitter, 20)
    rig.drain()
    assert tags(rig) == Counter(range(21))


def test_a_replayed_part_that_is_packed_under_a_claim_is_not_written_again(rig: Rig) -> None:
    """Killed between the entry of its manifest and the end of the claim: its rows are there already."""
    rig.start_writer()
    rig.kill_writer()
    store = make(rig.home / "rows", [])
    store.open()
    store.store([row(A, 1, 9), row(A, 10, 19)], {})

    class Stop(BaseException):
        pass

    def stop() -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        run = Replay(store, rig.places, "", Settings())
        real = run._manifests.publish
        patch.setattr(run._manifests, "publish", lambda parts: (real(parts), stop()))
        with pytest.raises(Stop):
            run.step(4 << 20)
    rig.pass_time(2 * DAY_SEC)
    pack(rig, "2025-11-21.r1.jsonl")
    again = Replay(store, rig.places, "", Settings())
    while again.step(4 << 20):
        pass
    store.close()
    lines = content(rig.places.log_dir / "2025-11-21.r1.jsonl.zst").splitlines()
    assert [json.loads(line)["action_number"] for line in lines] == list(range(1, 20))
    assert not list(rig.places.log_dir.glob("*.r2.jsonl"))


def test_who_appends_and_who_packs_keep_each_other_out(rig: Rig) -> None:
    """Many may append; one alone packs, and nobody gets a file that has lost its name."""
    written_day(rig)
    path = rig.places.log_dir / DAY
    with hold(path) as held:
        assert held is not None
        assert hold(path) is None
        with pytest.raises(PackingRefused, match="being written"):
            pack(rig, DAY)
        assert rig.writer.days.find(DAY, path.stat().st_dev, path.stat().st_ino) is None
