"""
What is packed and what leaves, for any files and any limits.

Goal: the invariants of `keeping/plan`. Method: random inventories and limits; a plan is carried out on the
inventory itself, a step at a time, as the keeper does it, with a random ratio of packing.
"""

from hypothesis import given, settings, strategies as st

from pipeline.keeping.inventory import Kept
from pipeline.keeping.plan import AGE, MAX_FILES, SIZE, Leave, Limits, Pack, foreseen, plan
from pipeline.storage.naming import DayName

HOUR = 3600
NOW = 1_000_000 * HOUR


@st.composite
def a_file(draw: st.DrawFn) -> Kept:
    """Make up a file of the last 60 hours, or of one to come: clocks are set."""
    age = draw(st.integers(-2, 60))
    day = DayName(
        f"2025-11-21T{age + 2:02d}", draw(st.sampled_from(["", "i1a2b3c4d"])), draw(st.integers(0, 2))
    )
    packings = draw(st.sampled_from([("",), ("zst",), ("gz",), ("", "zst")]))
    sizes = tuple((packing, draw(st.integers(0, 1000))) for packing in packings)
    is_sealed = draw(st.booleans())
    told = draw(st.sampled_from(["", "", "", "size"])) if is_sealed else ""
    return Kept(NOW - age * HOUR, day, sizes, is_sealed, told)


inventories = st.lists(a_file(), max_size=25, unique_by=lambda kept: kept.day).map(sorted)
limits = st.builds(
    Limits,
    retention_sec=st.sampled_from([0.0, 1.0 * HOUR, 20.0 * HOUR]),
    max_total_bytes=st.sampled_from([0, 1, 500, 3000, 8000]),
    max_files=st.sampled_from([0, 1, 5, 15]),
    min_free_bytes=st.sampled_from([0, 500, 5000]),
    pack_after_sec=st.sampled_from([None, 0.0, 10.0 * HOUR]),
)
free_bytes = st.one_of(st.none(), st.integers(0, 6000))
ratios = st.sampled_from([0.0, 0.1, 0.9, 1.0, 1.5])


def total(files: list[Kept]) -> int:
    """Return what files take together."""
    return sum(kept.size for kept in files)


def left_after(files: list[Kept], steps: list, ratio: float) -> list[Kept]:
    """Carry steps out on an inventory."""
    for step in steps:
        files = [kept for kept in files if kept.day != step.file.day]
        if isinstance(step, Pack):
            files.append(step.file._replace(sizes=(("zst", int(step.file.size * ratio)),)))
    return sorted(files)


@given(files=inventories, limits=limits, free=free_bytes)
def test_only_sealed_files_are_in_a_plan_and_each_of_them_once(
    files: list[Kept], limits: Limits, free: int | None
) -> None:
    """K1: the file being written stays, whatever the limits are; and packing has something to pack."""
    steps = plan(files, limits, now_sec=NOW, free_bytes=free)
    assert all(step.file.is_sealed and step.file in files for step in steps)
    assert len({step.file.day for step in steps}) == len(steps)
    assert all(step.file.is_plain for step in steps if isinstance(step, Pack))
    packed = [step.file for step in steps if isinstance(step, Pack)]
    assert limits.pack_after_sec is not None or all(len(kept.sizes) > 1 for kept in packed)


@given(files=inventories, limits=limits, free=free_bytes, ratio=ratios)
def test_what_leaves_is_older_than_what_stays(
    files: list[Kept], limits: Limits, free: int | None, ratio: float
) -> None:
    """K2: but for files that have said goodbye already, and K5: those all go."""
    steps = foreseen(files, limits, now_sec=NOW, free_bytes=free, ratio=ratio)
    gone = [step.file for step in steps if isinstance(step, Leave) and not step.file.told]
    names = {step.file.day for step in steps if isinstance(step, Leave)}
    staying = [kept for kept in files if kept.is_sealed and kept.day not in names]
    assert not any(kept.told for kept in staying)
    ages = [(kept.end_sec, kept.day) for kept in gone]
    assert max(ages, default=(0,)) < min(((k.end_sec, k.day) for k in staying), default=(NOW * 2,))


@settings(max_examples=300)
@given(files=inventories, limits=limits, free=free_bytes, ratio=ratios)
def test_limits_are_met_when_they_can_be_and_then_nothing_more_leaves(
    files: list[Kept], limits: Limits, free: int | None, ratio: float
) -> None:
    """K3, K4: what could still leave stays only if it need not, and the last one to leave had to."""
    steps = foreseen(files, limits, now_sec=NOW, free_bytes=free, ratio=ratio)
    staying = left_after(files, steps, ratio)

    def is_met(there: list[Kept]) -> bool:
        has_size = not limits.max_total_bytes or total(there) <= limits.max_total_bytes
        gained = total(files) - total(there)
        return has_size and (free is None or free + gained >= limits.min_free_bytes)

    sealed = [kept for kept in staying if kept.is_sealed]
    assert is_met(staying) or not sealed
    assert not limits.max_files or len(staying) <= limits.max_files or not sealed
    assert not any(limits.retention_sec and NOW - kept.end_sec > limits.retention_sec for kept in sealed)
    pressed = [
        index
        for index, step in enumerate(steps)
        if isinstance(step, Leave) and not step.file.told and step.reason not in (AGE, MAX_FILES)
    ]
    for index in pressed:
        there = left_after(files, steps[:index], ratio)
        assert not is_met(there)
        may_pack = limits.pack_after_sec is not None
        # What leaves in the same plan makes room for the next one only.
        room = free is None or steps[index].file.size <= free
        # In an empty part there is nothing to pack.
        assert not (may_pack and room and steps[index].file.is_plain and steps[index].file.size)


@given(files=inventories, limits=limits, free=free_bytes)
def test_a_file_that_cannot_be_packed_is_not_tried_for_ever(
    files: list[Kept], limits: Limits, free: int | None
) -> None:
    """The names whose packing failed are passed over, and leave in their turn where room is needed."""
    names = {kept.name for kept in files}
    steps = plan(files, limits, now_sec=NOW, free_bytes=free, unpackable=names)
    assert not any(isinstance(step, Pack) for step in steps)
    if limits.max_total_bytes and total(files) > limits.max_total_bytes and any(k.is_sealed for k in files):
        assert steps


@given(files=inventories, limits=limits, free=free_bytes)
def test_one_plan_takes_no_more_than_is_needed(files: list[Kept], limits: Limits, free: int | None) -> None:
    """K3, of the steps of one plan together: the last to leave for a limit was needed to meet it."""
    steps = plan(files, limits, now_sec=NOW, free_bytes=free)
    by_count = [step for step in steps if isinstance(step, Leave) and step.reason == MAX_FILES]
    if by_count and not by_count[-1].file.told:
        other = [step for step in steps if isinstance(step, Leave) and (step.file.told or step.reason == AGE)]
        assert len(files) - len(other) - len(by_count) >= limits.max_files
    last = steps[-1] if steps else None
    if isinstance(last, Leave) and not last.file.told and last.reason not in (AGE, MAX_FILES):
        there = left_after(files, steps[:-1], 1.0)
        room = free is None or free + total(files) - total(there) >= limits.min_free_bytes
        assert not room or (limits.max_total_bytes and total(there) > limits.max_total_bytes)


@given(files=inventories, limits=limits, free=free_bytes)
def test_no_newer_file_leaves_in_the_place_of_one_that_is_told_and_in_somebodys_hands(
    files: list[Kept], limits: Limits, free: int | None
) -> None:
    """What counts as not sealed since it could not be had is as good as gone, if its entry says that."""
    in_hand = Kept(0, DayName("2025-11-20", "", 0), (("", 5000),), is_sealed=False, told="size")
    without = plan(files, limits, now_sec=NOW, free_bytes=free)
    assert plan([in_hand, *files], limits, now_sec=NOW, free_bytes=free) == without


def test_room_that_one_reason_makes_is_not_made_again_for_another() -> None:
    """K3: what leaves by age gives the volume as much, and what leaves for size does."""
    old, young, today = (
        Kept(NOW - age * HOUR, DayName(f"2025-11-2{day}", "", 0), (("zst", 1000),), is_sealed=True)
        for day, age in enumerate((50, 5, 1))
    )
    by_age = Limits(retention_sec=20.0 * HOUR, min_free_bytes=1000)
    assert plan([old, young, today], by_age, now_sec=NOW, free_bytes=0) == [Leave(old, AGE)]
    by_size = Limits(max_total_bytes=2000, min_free_bytes=1000)
    assert plan([old, young, today], by_size, now_sec=NOW, free_bytes=0) == [Leave(old, SIZE)]
