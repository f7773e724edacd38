"""What a pipeline does about records of a day whose file has left: none is stored again, none is lost."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.days import DAY_SEC, DAYS, end, write_days
from support.rig import Rig

from pipeline import LogLifecycleManager
from pipeline.host import clock
from pipeline.keeping.cleaning import Cleaner
from pipeline.keeping.goodbyes import Goodbyes
from pipeline.keeping.plan import Limits
from pipeline.storage import departed
from pipeline.verification import account, verify

NAMES = [f"{day}.jsonl" for day in DAYS]


@pytest.fixture
def disk_rig() -> Iterator[Rig]:
    """Give a rig with lanes on disk."""
    rig = Rig(lanes="disk")
    yield rig
    rig.close()


def clean(rig: Rig, **limits: float) -> list[str]:
    """Clean beside the writer of the rig, which is in this process: a record lock cannot tell it."""
    rig.patch.setattr(Goodbyes, "_say_here", lambda *_: False)
    found = Cleaner(rig.places, rig.settings, limits=Limits(**limits), beat=rig.step)
    return [one.file for one in found.run() if not one.trouble]


def check(rig: Rig) -> None:
    """See that nobody who looks has a complaint."""
    assert not verify(rig.places.log_dir).findings
    assert not account(rig.places.log_dir).faulty


def names(rig: Rig) -> list[str]:
    """Return the day files."""
    return [path.name for path in rig.day_files()]


def test_late_records_of_a_day_that_has_left_open_a_part_that_no_file_had(rig: Rig) -> None:
    """A clock that is set back; the next time the part after that, when that one has left too."""
    write_days(rig, 3)
    for part in (1, 2):
        assert clean(rig, max_files=1)[0] == (NAMES[0] if part == 1 else f"{DAYS[0]}.1.jsonl")
        now, rig.clock.wall_ns = rig.clock.wall_ns, rig.clock.wall_ns - (2 * 86_400 + part) * clock.NANO
        late = rig.producer()
        assert rig.emit(late, 7000 + part)
        rig.drain()
        assert f"{DAYS[0]}.{part}.jsonl" in names(rig)
        rig.close_producer(late)
        rig.drain()
        rig.clock.wall_ns = now
        rig.pass_time(DAY_SEC / 4)
        rig.drain()
        check(rig)
    end(rig)
    check(rig)


def test_the_file_that_is_written_is_never_told_gone(rig: Rig) -> None:
    """Whoever asks, and whatever the name: the writer refuses, and nothing changes."""
    write_days(rig, 2)
    rig.patch.setattr(Goodbyes, "_say_here", lambda *_: False)
    desk = Goodbyes(rig.places, beat=rig.step)
    for name in (NAMES[1], "2025-11-21.i1a2b3c4d.jsonl", "metadata.json"):
        assert desk.say({name: "age"}, "") == set()
    assert desk.say({NAMES[0]: "age"}, "") == {NAMES[0]}
    check(rig)


def test_the_catalog_of_a_running_writer_tells_which_files_have_left(rig: Rig) -> None:
    """At once, with the head that has their entries: a power cut would otherwise take these for unknown."""
    write_days(rig, 3)
    rig.pass_time(60)  # it was written just now
    assert clean(rig, max_files=1) == NAMES[:2]
    catalog = json.loads((rig.places.log_dir / "metadata.json").read_bytes())
    gone = {one["name"]: one["expired"] for one in catalog["files"] if one["expired"]}
    assert gone == dict.fromkeys(NAMES[:2], "max_files")
    check(rig)


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_segment_that_comes_back_after_its_day_has_left_is_not_stored_again(
    disk_rig: Rig, is_plain: bool
) -> None:
    """The power went before the unlink of a released segment was on the disk; the day went before that."""
    rig = disk_rig
    emitter = rig.producer()
    rig.start_writer()
    kept = rig.emit_keeping_segments(emitter)
    rig.drain()
    rig.pass_time(DAY_SEC)
    rig.emit(emitter, 1000)
    rig.drain()
    stored = sum(len(lines) for lines in rig.lines().values())
    if not is_plain:
        clean(rig, pack_after_sec=0.0)
    assert clean(rig, max_files=1) == NAMES[:1]
    gone = [path for path in kept if not path.exists()]
    assert gone, "nothing was released"
    rig.kill_writer()
    rig.abandon(emitter)
    shutil.rmtree(rig.places.runtime_dir)
    for path in gone:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept[path])
    for position in rig.places.disk_lanes_dir.glob("*/position"):
        position.write_bytes(b"")
    rig.tags_emitted = [1000]
    rig.drain()
    assert rig.tags() == {1000: 1}
    assert departed.cause_of(rig.places.belongings_dir / "manifests" / f"{NAMES[0]}.manifest")
    assert stored >= 61
    assert not verify(rig.places.log_dir).findings


def test_a_manager_of_the_day_packs_deletes_and_uploads(rig: Rig) -> None:
    """By gzip; an upload that fails is tried again the next day, one that worked is not."""
    write_days(rig, 3)
    end(rig)
    rig.pass_time(DAY_SEC)
    sent: list[str] = []

    def upload(path: Path) -> None:
        if path.name.startswith(DAYS[1]) and len(sent) < 2:
            sent.append("refused")
            raise ConnectionError("no route")
        sent.append(path.name)

    lifecycle = LogLifecycleManager(rig.places.log_dir, retention_days=2.0, upload=upload)
    first = lifecycle.daily_rotation()
    assert (first["packed"], first["expired"]) == (2, 1)
    assert first["not_uploaded"] == {f"{NAMES[1]}.gz": "no route"}
    assert names(rig) == [f"{name}.gz" for name in NAMES[1:3]]
    second = lifecycle.daily_rotation()
    assert (second["files"], second["uploaded"], second["not_uploaded"]) == ([], [f"{NAMES[1]}.gz"], {})
    assert sent == ["refused", f"{NAMES[2]}.gz", f"{NAMES[1]}.gz"]
    check(rig)


def test_an_end_is_known_when_the_file_that_told_it_has_left(rig: Rig) -> None:
    """And nothing else tells it: a stand-in cannot reach the register, a full disk refuses it."""
    write_days(rig, 1)
    other = rig.producer()
    rig.emit(other, 9000)
    rig.close_producer(other)
    rig.drain()
    (rig.places.state_dir / "ended_producers").unlink()
    rig.pass_time(DAY_SEC)
    write_days(rig, 2)
    assert clean(rig, max_files=1)[0] == NAMES[0]
    check(rig)
    end(rig)
    assert not verify(rig.places.log_dir).open
