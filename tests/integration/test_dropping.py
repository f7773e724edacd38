"""
A full queue under `drop_oldest`: the oldest gives way, every record that went is named, critical ones stay.

The producers and the writer are the real ones, in this process and under the test's clock
(tests/support/rig.py). The judge is the same everywhere: of each producer, what is stored and what
`records_dropped` records name are together 1 … n, and nothing is in both.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.dropped import settle, stubs, used
from support.rig import Killed, Rig

from pipeline.emitter import Emitter
from pipeline.queue import depth
from pipeline.verification import verify

QUOTA_MB = 0.125
_SIZE = 200

RigOf = Callable[..., Rig]


@pytest.fixture
def rig_of() -> Iterator[RigOf]:
    """Give a function that makes a rig with a small quota, under the default policy."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(**{"queue_max_mb": QUOTA_MB} | settings))
        return made[-1]

    yield make
    for rig in reversed(made):
        rig.close()


@pytest.mark.smoke
@pytest.mark.parametrize("lanes", ["memory", "disk"])
def test_the_newest_stay_and_the_others_are_named(rig_of: RigOf, lanes: str) -> None:
    """Eight times the quota while nobody writes: all are accepted, the tail is stored, the rest is named."""
    rig = rig_of(lanes=lanes)
    emitter = rig.producer()
    for tag in range(1500):
        assert rig.emit(emitter, tag, _SIZE)
    assert used(rig) <= QUOTA_MB * (1 << 20)
    assert emitter.refused() == {}
    tags, dropped = settle(rig)
    assert len(tags) + dropped == 1500
    assert tags == set(range(dropped, 1500)), "of what must go, the newest stays"
    assert len(tags) > 200, "more was dropped than had to"


@pytest.mark.parametrize("lanes", ["memory", "disk"])
def test_no_critical_record_is_dropped_to_make_room(rig_of: RigOf, lanes: str) -> None:
    """One in twenty is an error: all of them are in the files, in their order, between the drops."""
    rig = rig_of(lanes=lanes, critical_action_types=("payment",))
    emitter = rig.producer()
    kinds = [{"level": "ERROR"}, {"level": "critical"}, {"status": "error"}, {"level": "Fatal"}]
    for tag in range(1500):
        assert rig.emit(emitter, tag, _SIZE, **(kinds[tag // 20 % 4] if tag % 20 == 7 else {}))
    assert emitter.emit("payment", tag=5000, fill="x" * 900)
    assert emitter.emit("tool_error", tag=5001)
    for tag in range(6000, 6300):
        assert rig.emit(emitter, tag, _SIZE)
    tags, dropped = settle(rig)
    assert tags >= {tag for tag in range(1500) if tag % 20 == 7} | {5000, 5001}
    assert dropped > 900


def test_a_queue_of_critical_records_drops_nothing(rig_of: RigOf) -> None:
    """There is nothing to make room with: ordinary ones are refused, critical ones time out, all is told."""
    rig = rig_of(critical_timeout_sec=0.5)
    emitter = rig.producer()
    tag = 0
    while rig.emit(emitter, tag, _SIZE, level="ERROR"):
        tag += 1
    rig.pass_time(0.1)
    assert not rig.emit(emitter, tag + 1, _SIZE)
    assert emitter.refused() == {"critical_timeout": 1, "queue_full": 1}
    assert settle(rig) == (set(range(tag)), 0)


def test_the_oldest_goes_whoever_it_belongs_to(rig_of: RigOf) -> None:
    """A quiet producer's old segments make room for a busy one; the one it appends to stays."""
    rig = rig_of()
    quiet, busy = rig.producer(), rig.producer()
    for tag in range(60):
        assert rig.emit(quiet, tag, _SIZE)
    rig.pass_time(70.0)
    for tag in range(60, 63):
        assert rig.emit(quiet, tag, 10)
    for tag in range(1000, 2000):
        assert rig.emit(busy, tag, _SIZE)
    assert rig.emit(quiet, 63, 10)
    tags, _ = settle(rig)
    assert not tags & set(range(50)), "the oldest are still there"
    assert tags >= set(range(60, 64)) | set(range(1900, 2000))


def test_a_writer_that_cannot_write_keeps_only_what_it_has_begun_to_read(rig_of: RigOf) -> None:
    """It holds descriptors on all segments, which does not make them its own: the oldest go all the same."""
    rig = rig_of()
    emitter = rig.producer()
    rig.start_writer()
    rig.drain()
    rig.faults.room = 100
    for tag in range(1500):
        assert rig.emit(emitter, tag, _SIZE)
        if tag % 50 == 0:
            rig.step()
            rig.pass_time(1.1)
    for _ in range(3):
        rig.step()
        rig.pass_time(0.6)
    held = [path for path in map(_path_of, os.listdir("/proc/self/fd")) if str(rig.home) in path]
    assert not [path for path in held if path.endswith(".seg (deleted)")], "dropped, and still taking space"
    tags, dropped = settle(rig)
    assert len(tags) + dropped == 1500
    assert 0 in tags, "what it had begun to write was dropped"
    assert tags >= set(range(1400, 1500))


def _path_of(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


@pytest.mark.parametrize(
    "point",
    [
        "writer.take.after",
        "writer.append.partial",
        "writer.release.after_unlink",
    ],
)
def test_what_a_killed_writer_had_begun_is_not_dropped(rig_of: RigOf, point: str) -> None:
    """Killed on its way through the queue, which is then overrun: nothing is both stored and dropped."""
    rig = rig_of()
    emitter = rig.producer()
    tags = iter(range(1 << 20))
    for turn in range(4):
        for _ in range(150):
            assert rig.emit(emitter, next(tags), _SIZE)
        assert rig.run_until_killed(point, skip=turn) or turn
        for _ in range(500):
            assert rig.emit(emitter, next(tags), _SIZE)
    settle(rig, may_repeat=True)


@pytest.mark.parametrize("point", ["writer.drop.told", "writer.drop.passed", "writer.append.after"])
def test_a_successor_tells_a_drop_again_rather_than_not(rig_of: RigOf, point: str) -> None:
    """Killed between telling and going on: the gap is named, the same numbers if twice."""
    rig = rig_of()
    emitter = rig.producer()
    for tag in range(1500):
        assert rig.emit(emitter, tag, _SIZE, **({"level": "ERROR"} if tag % 9 == 0 else {}))
    assert sum(rig.run_until_killed(point, turns=40) for _ in range(5)) > 0
    tags, dropped = settle(rig, may_repeat=True)
    assert tags >= set(range(0, 1500, 9))
    assert dropped > 500


@pytest.mark.parametrize("lanes", ["memory", "disk"])
@pytest.mark.parametrize("point", ["emit.drop.drafted", "emit.drop.replaced"])
def test_a_dropper_killed_at_any_step_loses_nothing_it_does_not_name(
    rig_of: RigOf, point: str, lanes: str
) -> None:
    """Its own segments or another's: dropped whole, or not at all; the next one goes on."""
    rig = rig_of(lanes=lanes)
    survivor = rig.producer()
    tags = iter(range(50_000))
    for tag in range(60_000, 60_200):
        assert rig.emit(survivor, tag, _SIZE, level="ERROR" if tag % 20 == 0 else "INFO")
    for skip in range(4):
        victim = rig.producer()
        rig.aim = (point, skip)
        with pytest.raises(Killed):
            _emit_until_killed(rig, victim, tags)
        rig.aim = ("", 0)
        rig.abandon(victim)
        for tag in range(50_000 + 1000 * skip, 50_100 + 1000 * skip):
            assert rig.emit(survivor, tag, _SIZE)
    stored, dropped = settle(rig)
    assert stored >= set(range(60_000, 60_200, 20))
    assert dropped > 0


def _emit_until_killed(rig: Rig, emitter: Emitter, tags: Iterator[int]) -> None:
    for tag in tags:
        assert rig.emit(emitter, tag, _SIZE)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 9, 30])
def test_a_dropper_that_comes_late_is_not_heard(
    rig_of: RigOf, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """
    Between its look at a segment and the rename the writer takes that.

    And maybe delivers and releases it; or the stub before it, which the dropper means to take over.
    """
    for is_begun in (False, True):
        _come_late(rig_of(batch_max_bytes=1000), monkeypatch, steps, is_begun=is_begun)


def _come_late(rig: Rig, monkeypatch: pytest.MonkeyPatch, steps: int, *, is_begun: bool) -> None:
    emitter = rig.producer()
    tags = iter(range(1 << 20))
    for _ in range(700 if is_begun else 300):
        tag = next(tags)
        assert rig.emit(emitter, tag, _SIZE, level="ERROR" if tag % 30 == 0 else "INFO")
    rig.start_writer()
    rig.faults.room = 0
    done = []

    def reach(name: str) -> None:
        if name == "emit.drop.drafted" and not done:
            done.append(name)
            rig.faults.room = None
            for _ in range(steps):
                rig.step()
                rig.pass_time(0.2)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.host.failpoint.reach", reach)
        while not done:
            assert rig.emit(emitter, next(tags), _SIZE)
    stored, dropped = settle(rig)
    assert stored >= set(range(0, 300, 30))
    assert len(stored) + dropped == next(tags)
    assert not stubs(rig), "a stub for nothing was left behind"


@pytest.mark.parametrize("more", [0, 150, 1200])
def test_a_writer_that_is_overtaken_reads_nothing_that_was_dropped(
    rig_of: RigOf, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """As it is about to take what it has found: that gives way to a stub, and this to one of another name."""
    rig = rig_of(batch_max_bytes=400)
    emitter = rig.producer()
    tags = iter(range(1 << 20))
    rig.start_writer()
    for count in (40, 100):
        rig.drain()  # from here on its successor goes by the page
        for _ in range(count):
            assert rig.emit(emitter, next(tags), _SIZE)
    done = []

    def reach(name: str) -> None:
        if name == "writer.take.before" and not done:
            done.append(name)
            while not stubs(rig):
                assert rig.emit(emitter, next(tags), _SIZE)
            for _ in range(more):
                assert rig.emit(emitter, next(tags), _SIZE)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.host.failpoint.reach", reach)
        while not done:
            rig.step()
    rig.kill_writer()
    stored, dropped = settle(rig)
    assert len(stored) + dropped == next(tags)
    assert dropped > 0


def test_a_gap_is_never_stored_before_its_reason(rig_of: RigOf) -> None:
    """Whenever the writer is killed, the files alone explain what is missing in them."""
    rig = rig_of(batch_max_bytes=1500)
    emitters = [rig.producer(), rig.producer()]
    for tag in range(1600):
        assert rig.emit(emitters[tag // 40 % 2], tag, _SIZE, level="ERROR" if tag % 30 == 0 else "INFO")
    kills = 0
    while rig.run_until_killed("writer.append.after", skip=kills % 3, turns=30) and kills < 25:
        kills += 1
        report = verify(rig.places.log_dir)
        assert report.ok, [finding.sentence for finding in report.findings]
    assert kills == 25
    settle(rig, may_repeat=True)


def test_two_droppers_at_one_segment_drop_it_once(rig_of: RigOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one reads it, is overtaken by the first, and puts the same stub in its place."""
    rig = rig_of()
    slow, quick = rig.producer(), rig.producer()
    tags = iter(range(1 << 20))
    overtaken = []

    def reach(name: str) -> None:
        if name == "emit.drop.drafted" and len(overtaken) < 12 and next(tags) % 3 == 0:
            overtaken.append(name)
            for _ in range(20):
                rig.emit(quick, next(tags), _SIZE)

    monkeypatch.setattr("pipeline.host.failpoint.reach", reach)
    critical = set()
    for _ in range(1000):
        tag = next(tags)
        level = "ERROR" if tag % 40 == 0 else "INFO"
        if rig.emit(slow, tag, _SIZE, level=level) and level == "ERROR":
            critical.add(tag)
    stored, dropped = settle(rig)
    assert len(overtaken) == 12
    assert stored >= critical
    assert dropped > 500


def test_a_dropped_record_is_not_reported_durable(rig_of: RigOf) -> None:
    """Its place was passed, but by a drop: who waits for it is not told that it is safe."""
    rig = rig_of()
    emitter = rig.producer()
    assert rig.emit(emitter, 0, _SIZE)
    receipts = emitter.receipts()
    for tag in range(1, 2000):
        assert rig.emit(emitter, tag, _SIZE)
    later = emitter.receipts()
    settle(rig)
    assert not emitter.arrived(receipts, durable=True)
    assert emitter.arrived(later, durable=True)
    assert emitter.flush(timeout=0.0, durable=True)


def test_a_record_larger_than_the_quota_drops_nothing(rig_of: RigOf) -> None:
    """Nor does one that finds no place for another reason than want of room."""
    rig = rig_of(queue_max_mb=1.0)
    emitter = rig.producer()
    for tag in range(100):
        assert rig.emit(emitter, tag, 5000)
    assert not rig.emit(emitter, 100, 2 << 20)
    rig.memory_share = 0
    rig.places.disk_lanes_dir.parent.mkdir(parents=True, exist_ok=True)
    rig.places.disk_lanes_dir.write_text("no directory")
    for tag in range(200, 300):
        rig.pass_time(0.1)
        rig.emit(emitter, tag, 5000)
    rig.places.disk_lanes_dir.unlink()
    tags, dropped = settle(rig)
    assert dropped == 0
    assert set(range(100)) <= tags


def test_memory_makes_room_for_itself_where_the_disk_refuses(rig_of: RigOf) -> None:
    """Far below the quota, but the memory share is used up and the disk is full: the oldest in memory go."""
    rig = rig_of(queue_max_mb=64.0)
    rig.memory_share = 64 * 1024
    rig.places.disk_lanes_dir.parent.mkdir(parents=True, exist_ok=True)
    rig.places.disk_lanes_dir.write_text("no directory")
    emitter = rig.producer()
    for tag in range(2000):
        assert rig.emit(emitter, tag, _SIZE)
    rig.places.disk_lanes_dir.unlink()
    tags, dropped = settle(rig)
    assert tags == set(range(dropped, 2000))
    assert dropped > 1000


def test_drops_show_in_the_depth_until_they_are_told(rig_of: RigOf) -> None:
    """Health knows of them while the outage lasts, and counts each once when it is over."""
    rig = rig_of()
    emitter = rig.producer()
    for tag in range(2000):
        assert rig.emit(emitter, tag, _SIZE, **({"level": "ERROR"} if tag % 50 == 0 else {}))
    waiting = depth.measure(rig.places.lanes_dir)
    tags, dropped = settle(rig)
    assert waiting.dropped == dropped
    assert waiting.records == len(tags)
    assert rig.writer.announcer.dropped == {"drop_oldest": dropped}
    assert depth.measure(rig.places.lanes_dir).dropped == 0
