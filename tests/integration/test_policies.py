"""
A full queue: what each policy refuses, what critical records still get, and how the stream tells of it.

The producers and the writer are the real ones, in this process and under the test's clock
(tests/support/rig.py).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.rig import Rig
from support.witness import tags_in_files

from pipeline.emitter import Emitter
from pipeline.queue import usage

QUOTA_MB = 0.125
_SIZE = 200
_MANY = 5000

RigOf = Callable[..., Rig]


@pytest.fixture
def rig_of() -> Iterator[RigOf]:
    """Give a function that makes a rig with a small quota."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(**{"queue_max_mb": QUOTA_MB, "queue_full_strategy": "drop_newest"} | settings))
        return made[-1]

    yield make
    for rig in reversed(made):
        rig.close()


def fill(rig: Rig, emitter: Emitter, first: int = 0, **fields: Any) -> int:
    """Emit until a record is refused; the tag of that one."""
    for tag in range(first, first + _MANY):
        if not rig.emit(emitter, tag, _SIZE, **fields):
            return tag
    raise AssertionError("never refused")


def used(rig: Rig) -> int:
    """Return the bytes that all segments take."""
    return usage.used_bytes(rig.places.lanes_dir) + usage.used_bytes(rig.places.disk_lanes_dir)


def told_drops(rig: Rig) -> Counter[str]:
    """Return what the stream says was refused, by reason."""
    told: Counter[str] = Counter()
    for record in rig.records():
        if record["action_type"] == "records_dropped":
            assert set(record) >= {"subject", "reason", "count"}
            told[record["reason"]] += record["count"]
    return told


def check(rig: Rig, refused: dict[str, int]) -> None:
    """After a drain: what was accepted is there once, without a gap, and what was refused is told."""
    rig.drain()
    rig.pass_time(2.0)
    rig.drain()
    assert tags_in_files(rig) == Counter(rig.tags_emitted)
    numbers: dict[str, list[int]] = {}
    for record in rig.records():
        numbers.setdefault(record["producer"], []).append(record["action_number"])
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))
    assert told_drops(rig) == Counter(refused)


def rest(rig: Rig) -> None:
    """Let pass the moment for which a refusal stands without a new look at the room."""
    rig.pass_time(0.1)


@pytest.mark.smoke
def test_drop_newest_refuses_what_is_new_and_counts_it(rig_of: RigOf) -> None:
    """What was accepted stays; each refused record is counted, and none of them has used a number."""
    rig = rig_of(queue_full_strategy="drop_newest")
    emitter = rig.producer()
    tag = fill(rig, emitter)
    for _ in range(9):
        rest(rig)
        assert not rig.emit(emitter, tag, _SIZE)
    assert emitter.refused() == {"queue_full": 10}
    assert used(rig) <= QUOTA_MB * (1 << 20)
    check(rig, {"queue_full": 10})
    rest(rig)
    assert rig.emit(emitter, tag + 1) == tag + 1, "numbers go on where the last accepted one was"
    check(rig, {"queue_full": 10})


def test_drops_are_told_once_by_writers_that_follow_each_other(rig_of: RigOf) -> None:
    """The counters outlive the producer and the writer; no successor tells them again."""
    rig = rig_of()
    emitter = rig.producer()
    fill(rig, emitter)
    rig.start_writer()
    rig.drain()
    for point in ("writer.sync.published", "writer.lane.before_announce", "writer.append.after"):
        rest(rig)
        fill(rig, emitter, 10_000 + len(rig.tags_emitted))
        rig.run_until_killed(point)
    rig.abandon(emitter)
    check(rig, {"queue_full": 4})


def test_drop_low_refuses_the_unimportant_before_the_queue_is_full(rig_of: RigOf) -> None:
    """From 80 % of the quota on only WARNING and above are accepted; at the quota these are refused too."""
    rig = rig_of(queue_full_strategy="drop_low")
    emitter = rig.producer()
    tag = fill(rig, emitter, level="INFO")
    share = used(rig) / (QUOTA_MB * (1 << 20))
    assert 0.7 < share < 0.95, share
    assert rig.emit(emitter, tag + 1, _SIZE, level="WARNING")
    assert not rig.emit(emitter, tag + 2, _SIZE)
    assert not rig.emit(emitter, tag + 2, _SIZE, level="DEBUG")
    assert emitter.refused() == {"low_level": 3}
    fill(rig, emitter, tag + 3, level="WARNING")
    check(rig, {"low_level": 3, "queue_full": 1})
    rig.pass_time(2.0)
    assert rig.emit(emitter, 90_000, _SIZE, level="INFO"), "still pressed after the queue was emptied"


CRITICAL = [
    {"level": "ERROR"}, {"level": "critical"}, {"status": "error"}, {"level": "FATAL"},
]  # fmt: skip


@pytest.mark.parametrize("fields", CRITICAL, ids=str)
def test_critical_records_have_a_reserve_that_no_other_record_takes(
    rig_of: RigOf, fields: dict[str, str]
) -> None:
    """Behind the refusal of ordinary records the reserve takes critical ones, and only those."""
    rig = rig_of()
    emitter = rig.producer()
    tag = fill(rig, emitter)
    refused = 1
    accepted = 0
    for turn in range(12):
        rest(rig)
        accepted += bool(rig.emit(emitter, tag + 2 * turn + 1, 50, **fields))
        refused += not rig.emit(emitter, tag + 2 * turn + 2, 50)
    assert accepted == 12
    assert refused == 13, "ordinary records were let into the reserve"
    assert used(rig) <= QUOTA_MB * (1 << 20)
    check(rig, {"queue_full": 13})


@pytest.mark.parametrize("action_type", ["tool_error", "payment"])
def test_action_types_can_be_critical(rig_of: RigOf, action_type: str) -> None:
    """Those that end in _error are, and those that the settings name."""
    rig = rig_of(critical_action_types=("payment",))
    emitter = rig.producer()
    fill(rig, emitter)
    rest(rig)
    assert emitter.emit(action_type, amount=3) > 0
    assert emitter.emit("something", amount=3) == 0


@pytest.mark.parametrize("quota_mb", [0.125, 0.2, 1.0, 1.5])
def test_the_reserve_is_reachable_whatever_sizes_segments_have(rig_of: RigOf, quota_mb: float) -> None:
    """Near the quota a segment of the usual size does not fit into what is left; a smaller one does."""
    rig = rig_of(queue_max_mb=quota_mb)
    emitter = rig.producer()
    tag = 0
    for _ in range(_MANY):
        tag += 1
        rest(rig)
        if not rig.emit(emitter, tag, 3000 if tag % 3 else 200):
            break
    critical = 0
    while rig.emit(emitter, tag + 1 + critical, 1000, level="ERROR"):
        rest(rig)
        critical += 1
    quota = quota_mb * (1 << 20)
    assert used(rig) <= quota
    assert critical * 1000 > 0.5 * 0.05 * quota, (
        f"{critical} critical records in a reserve of {0.05 * quota:.0f} bytes"
    )


def test_a_critical_record_waits_for_room_then_goes_to_stderr(
    rig_of: RigOf, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    With the reserve full too it waits for critical_timeout_sec and is then told as lost.

    On stderr and in the stream.
    """
    rig = rig_of(critical_timeout_sec=3.0)
    emitter = rig.producer()
    tag = fill(rig, emitter)
    while rig.emit(emitter, tag + 1, _SIZE, level="ERROR"):
        tag += 1
    rest(rig)
    capfd.readouterr()
    begun = rig.clock.monotonic
    assert rig.emit(emitter, tag + 2, 10, level="ERROR") == 0
    assert 3.0 <= rig.clock.monotonic - begun < 4.0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    lost = json.loads(lines[0])
    assert lost["lost_record"] is True
    assert lost["tag"] == tag + 2
    check(rig, {"queue_full": 1, "critical_timeout": 2})


def test_a_critical_record_that_waits_is_accepted_when_there_is_room(rig_of: RigOf) -> None:
    """The writer makes room while it waits."""
    rig = rig_of(critical_timeout_sec=60.0)
    emitter = rig.producer()
    tag = fill(rig, emitter)
    rig.start_writer()
    rig.faults.room = 0
    rig.step(3)
    while rig.emit(emitter, tag + 1, _SIZE, level="ERROR") and used(rig) < QUOTA_MB * (1 << 20) * 0.999:
        tag += 1
        if tag > _MANY:
            break
    rig.faults.room = None
    rig.while_sleeping = lambda: rig.step(3)
    assert rig.emit(emitter, 70_000, 3000, level="ERROR")
    rig.while_sleeping = None
    rig.drain()
    assert tags_in_files(rig) == Counter(rig.tags_emitted)


def test_block_waits_and_then_refuses(rig_of: RigOf) -> None:
    """Not longer than block_timeout_sec, and counted under a reason of its own."""
    rig = rig_of(queue_full_strategy="block", block_timeout_sec=2.0)
    emitter = rig.producer()
    begun = rig.clock.monotonic
    fill(rig, emitter)
    assert 2.0 <= rig.clock.monotonic - begun < 4.0
    assert emitter.refused() == {"block_timeout": 1}
    check(rig, {"block_timeout": 1})


def test_block_loses_nothing_while_the_writer_keeps_up(rig_of: RigOf) -> None:
    """Ten times the quota through a queue that is always full."""
    rig = rig_of(queue_full_strategy="block", block_timeout_sec=30.0)
    emitter = rig.producer()
    rig.start_writer()

    def work() -> None:
        rig.step()
        rig.pass_time(0.3)

    rig.while_sleeping = work
    for tag in range(5000):
        assert rig.emit(emitter, tag, _SIZE)
    rig.while_sleeping = None
    check(rig, {})


def test_the_quota_is_that_of_all_producers(rig_of: RigOf) -> None:
    """One has filled it; another one gets nothing but its first segment's worth, and is told so."""
    rig = rig_of()
    greedy, late = rig.producer(), rig.producer()
    fill(rig, greedy)
    fill(rig, late, 10_000)
    assert used(rig) <= QUOTA_MB * (1 << 20) + 4096
    check(rig, {"queue_full": 2})


def test_a_producer_with_room_in_its_segment_is_not_refused(rig_of: RigOf) -> None:
    """
    Another producer has filled the quota.

    And this one's large segment is due to be followed by a small one.
    """
    rig = rig_of()
    calm, greedy = rig.producer(), rig.producer()
    for tag in range(30):
        rig.emit(calm, tag, _SIZE)
    fill(rig, greedy, 1000)
    rig.pass_time(100.0)
    assert rig.emit(calm, 500, 10), "it has room of its own"


@pytest.mark.parametrize("lanes", ["memory", "disk"])
def test_segments_go_to_the_other_place_and_back(rig_of: RigOf, lanes: str) -> None:
    """The memory share is used up, then the disk takes over; with memory free again it is memory again."""
    rig = rig_of(lanes=lanes, queue_max_mb=4.0)
    emitter = rig.producer()
    lane = emitter._first_appender().lane
    tag = 0
    for share in (1 << 40, 3000, 0, 1 << 40, 0):
        rig.memory_share = share
        for _ in range(60):
            assert rig.emit(emitter, tag, _SIZE)
            tag += 1
        memory = {path.name for path in lane.memory_dir.glob("*.seg")}
        disk = {path.name for path in lane.disk_dir.glob("*.seg")} if lane.disk_dir else set()
        assert not memory & disk, "one segment in two places"
    assert memory or lanes == "disk"
    assert disk
    check(rig, {})
    order = [record["tag"] for record in rig.records() if "tag" in record]
    assert order == sorted(order)


def test_a_record_larger_than_any_segment_gets_one_of_its_own(rig_of: RigOf) -> None:
    """Between small ones, in order; and one that is larger than the quota is refused, not a fault."""
    rig = rig_of(queue_max_mb=1.0)
    emitter = rig.producer()
    for tag in range(30):
        assert rig.emit(emitter, tag, 100_000 if tag % 10 == 5 else 10)
    assert not rig.emit(emitter, 30, 2 << 20)
    assert rig.emit(emitter, 31)
    assert emitter.last_error == ""
    check(rig, {"queue_full": 1})


def test_a_producer_refused_and_then_killed_has_its_drops_told(rig_of: RigOf) -> None:
    """The counters lie in its `alive` file, and outlive it."""
    rig = rig_of()
    emitter = rig.producer()
    tag = fill(rig, emitter)
    for _ in range(5):
        rest(rig)
        assert not rig.emit(emitter, tag, _SIZE)
    rig.abandon(emitter)
    check(rig, {"queue_full": 6})
