"""Random histories of a queue that drops: every record is stored or named, every critical one is stored."""

import random
from collections.abc import Iterator

from support.dropped import settle
from support.rig import Killed, Rig

from pipeline.emitter import Emitter


def test_random_histories_store_or_name_every_record(seed: int) -> None:
    """Producers, kills of anybody anywhere, full disks, memory that comes and goes, files that are asked."""
    for turn in range(8):
        rig = Rig(queue_max_mb=0.125, batch_max_bytes=8192, critical_timeout_sec=0.1)
        try:
            _history(rig, random.Random(f"{seed}/{turn}"))
        finally:
            rig.close()


_POINTS = (
    *("writer.take.before", "writer.take.after", "writer.drop.told", "writer.drop.passed"),
    *("writer.append.partial", "writer.append.after", "writer.commit.after", "writer.position.stored"),
    *(
        "writer.intent.after",
        "writer.sync.published",
        "writer.release.before_unlink",
        "writer.recover.looked",
    ),
    *("writer.release.after_unlink", "writer.recover.trust", "writer.lane.before_remove"),
)
_EMIT_POINTS = ("emit.drop.drafted", "emit.drop.replaced", "emit.segment.created", "emit.segment.succeeded")


def _history(rig: Rig, dice: random.Random) -> None:
    tags = iter(range(1 << 20))
    critical: set[int] = set()
    for _ in range(dice.randrange(5, 30)):
        match dice.randrange(10):
            case 0 | 1 | 2 | 3:
                _emit_some(rig, dice, tags, critical)
            case 4:
                rig.faults.room = None
                rig.run_until_killed(dice.choice(_POINTS), dice.randrange(4))
            case 5:
                rig.faults.room = None
                if rig.writer is None:
                    rig.start_writer()
                rig.faults.room = dice.choice([None, 0, 500, 5000])
                for _ in range(dice.randrange(6)):
                    rig.step()
                    rig.pass_time(0.6)
            case 6:
                if rig.writer is not None:
                    rig.kill_writer()
                    if dice.random() < 0.3:
                        rig.page.write_bytes(b"")
            case 7:
                rig.memory_share = dice.choice([0, 30_000, 1 << 40])
            case 8:
                _kill_in_emit(rig, dice, tags, critical)
            case 9:
                rig.clock.wall_ns += dice.choice([0, 86_400]) * 1_000_000_000
    rig.faults.room = None
    stored, _ = settle(rig, may_repeat=True)
    assert stored >= critical, f"critical and gone: {sorted(critical - stored)[:20]}"


def _emitter(rig: Rig, dice: random.Random) -> Emitter:
    if not rig.emitters or (len(rig.emitters) < 3 and dice.random() < 0.2):
        rig.producer()
    return dice.choice(rig.emitters)


def _emit_some(rig: Rig, dice: random.Random, tags: Iterator[int], critical: set[int]) -> None:
    emitter = _emitter(rig, dice)
    for _ in range(dice.choice([5, 50, 400])):
        tag, is_critical = next(tags), dice.random() < 0.05
        if rig.emit(emitter, tag, dice.choice([10, 200, 900]), **({"level": "ERROR"} if is_critical else {})):
            critical.update({tag} if is_critical else ())


def _kill_in_emit(rig: Rig, dice: random.Random, tags: Iterator[int], critical: set[int]) -> None:
    emitter = _emitter(rig, dice)
    rig.aim = (dice.choice(_EMIT_POINTS), dice.randrange(3))
    try:
        for _ in range(200):
            rig.emit(emitter, next(tags), 200)
    except Killed:
        rig.abandon(emitter)
    rig.aim = ("", 0)
