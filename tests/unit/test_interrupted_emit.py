"""
emit() and a signal handler of the user's that raises inside it, at each place where CPython runs one.

Nothing may be left half done: the record is there with its number, or the number is free; the next emit()
works, in the same lane; and flush() gets to its end.
"""

import random
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest
from support.interrupts import interrupted_at, places_in
from support.rig import Rig

from pipeline.emitter import Emitter

DAY_NS = 86_400 * 1_000_000_000
_PLACES_TRIED = 40

Scene = Callable[[Rig], tuple[Emitter, Callable[[], int]]]
"""Puts a rig in a state; returns the producer and the emit() that is interrupted."""
INTERRUPTED = 1000
"""The tag of the record whose emit() is interrupted."""


def begun(rig: Rig) -> Emitter:
    """Return a producer with three records in its first segment."""
    emitter = rig.producer()
    for tag in range(3):
        assert rig.emit(emitter, tag)
    return emitter


def fast(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt a record that fits the segment."""
    emitter = begun(rig)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


def new_second(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the first record of a second."""
    emitter = begun(rig)
    rig.pass_time(1.0)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


def first_of_all(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the first record of a process, which makes its lane."""
    emitter = rig.producer()
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


def roll(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt a record that does not fit any more, while a smaller one would."""
    emitter = begun(rig)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED, 700)


def roll_to_a_smaller_one(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the way from the segment of an oversized record to a small one."""
    emitter = begun(rig)
    rig.emit(emitter, 3, 20_000)
    rig.emit(emitter, 4, 20)
    rig.pass_time(70.0)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED, 600)


def midnight(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the first record of a day."""
    emitter = begun(rig)
    rig.clock.wall_ns += DAY_NS
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


def takeover(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the way to disk, since memory has no room any more."""
    emitter = begun(rig)
    rig.memory_share = 0
    return emitter, lambda: rig.emit(emitter, INTERRUPTED, 900)


def back_to_memory(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt the way from a disk segment back to memory."""
    rig.memory_share = 0
    emitter = begun(rig)
    rig.memory_share = 1 << 40
    return emitter, lambda: rig.emit(emitter, INTERRUPTED, 900)


def on_disk(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt an append to a disk segment."""
    rig.memory_share = 0
    emitter = begun(rig)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


def removed(rig: Rig) -> tuple[Emitter, Callable[[], int]]:
    """Interrupt a producer that notices that the runtime directory was removed."""
    emitter = begun(rig)
    rig.start_writer()
    rig.drain()
    shutil.rmtree(rig.places.runtime_dir)
    rig.pass_time(1.0)
    return emitter, lambda: rig.emit(emitter, INTERRUPTED)


SCENES = [
    fast,
    new_second,
    first_of_all,
    roll,
    roll_to_a_smaller_one,
    midnight,
    takeover,
    back_to_memory,
    on_disk,
    removed,
]


@pytest.fixture
def rigs() -> Iterator[Callable[[], Rig]]:
    """Give a function that makes a rig and takes the last one away."""
    made: list[Rig] = []

    def make() -> Rig:
        while made:
            made.pop().close()
        made.append(Rig())
        return made[0]

    yield make
    while made:
        made.pop().close()


def afterwards(rig: Rig, emitter: Emitter, *, turn: int) -> set[int]:
    """Emit a few more: small ones that may fit the old segment, larger ones, with a writer in between."""
    more = {2000: 0, 2001: 300, 2002: 0, 2003: 1500, 2004: 0}
    if turn % 2:
        if rig.writer is None:
            rig.start_writer()
        rig.step()
    if turn % 3 == 1:
        rig.memory_share = 0 if rig.memory_share else 1 << 40
    for tag, size in more.items():
        assert rig.emit(emitter, tag, size), emitter.last_error
        rig.pass_time(0.4)
    return set(more)


def check_place(rig: Rig, scene: Scene, place: int) -> None:
    """Interrupt a scene at one place, emit some more, drain, and compare."""
    emitter, emit = scene(rig)
    accepted = set(rig.tags_emitted)
    if not interrupted_at(place, emit):
        accepted.add(INTERRUPTED)
    accepted |= afterwards(rig, emitter, turn=place)
    rig.drain()
    tags = rig.tags()
    where = f"{scene.__name__}, place {place}"
    assert accepted <= set(tags) <= accepted | {INTERRUPTED}, where
    assert max(tags.values()) == 1, where
    numbers = sorted(record["action_number"] for record in rig.records() if "tag" in record)
    assert numbers == list(range(1, len(numbers) + 1)), where
    assert len(emitter.appenders()) == 1, f"the lane stayed busy: {where}"
    assert emitter.flush(timeout=0.0, durable=True), f"flush() would never end: {where}"


def places_of(rig: Rig, scene: Scene) -> int:
    """Return how many places a scene has."""
    _, emit = scene(rig)
    return places_in(emit)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_an_exception_of_a_signal_handler_leaves_nothing_half_done(
    rigs: Callable[[], Rig], scene: Scene, seed: int
) -> None:
    """
    At some places of each scene.

    No gap, no repeat, no lane that stays busy, no flush() that never ends.
    """
    count = places_of(rigs(), scene)
    chosen = random.Random(seed).sample(range(count), min(count, _PLACES_TRIED))
    for place in sorted(chosen):
        check_place(rigs(), scene, place)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_an_exception_of_a_signal_handler_leaves_nothing_half_done_at_any_place(
    rigs: Callable[[], Rig], scene: Scene
) -> None:
    """At every place of each scene."""
    for place in range(places_of(rigs(), scene) + 1):
        check_place(rigs(), scene, place)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lanes", ["memory", "disk"])
def test_a_storm_of_signals_leaves_nothing_half_done(rigs: Callable[[], Rig], lanes: str, seed: int) -> None:
    """Real signals, whose handler emits and now and then raises: each accepted record is there once."""
    rig = rigs()
    rig.settings = rig.settings.__class__(lanes=lanes, queue_max_mb=256.0)
    emitter = rig.producer()
    accepted: set[int] = set()
    tags = iter(range(1, 1 << 30))

    class Raised(Exception):
        pass

    def handler(_number: int, _frame: object) -> None:
        tag = next(tags)
        if emitter.emit("work", tag=tag):
            accepted.add(tag)
        if tag % 3 == seed % 3:
            raise Raised

    chance = random.Random(seed)
    before = signal.signal(signal.SIGALRM, handler)
    interrupts = 0
    try:
        for _ in range(3000):
            tag = next(tags)
            try:
                # One shot at a time: a handler that takes longer than the interval would nest without end.
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 1e-4))
                if emitter.emit("work", tag=tag, fill="x" * (tag % 200)):
                    accepted.add(tag)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Raised:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    rig.drain()
    found = rig.tags()
    assert interrupts
    assert accepted <= set(found), "lost"
    assert max(found.values()) == 1
    numbers: dict[str, list[int]] = {}
    for record in rig.records():
        numbers.setdefault(record["producer"], []).append(record["action_number"])
    for found_numbers in numbers.values():
        assert found_numbers == list(range(1, len(found_numbers) + 1))
