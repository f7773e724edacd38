"""Sets of numbers as ranges, and the equation over them, against plain sets."""

import random
from itertools import pairwise

from pipeline.verification.balance import Held, balance
from pipeline.verification.ranges import count, joined, layers, minus, up_to


def numbers(ranges: list[tuple[int, int]]) -> list[int]:
    """Return every number of every range."""
    return [number for first, last in ranges for number in range(first, last + 1)]


def some(dice: random.Random) -> list[tuple[int, int]]:
    """Return ranges in any order that may overlap."""
    firsts = [dice.randint(1, 40) for _ in range(dice.randint(0, 6))]
    return [(first, first + dice.randint(0, 9)) for first in firsts]


def test_ranges_are_sets(seed: int) -> None:
    """Each operation gives the numbers that sets give, in order and apart."""
    dice = random.Random(seed)
    for _ in range(500):
        ours, others = some(dice), some(dice)
        mine, theirs = set(numbers(ours)), set(numbers(others))
        assert numbers(joined(ours)) == sorted(mine)
        assert all(first > last + 1 for (_, last), (first, _) in pairwise(joined(ours)))
        assert numbers(minus(joined(ours), joined(others))) == sorted(mine - theirs)
        assert count(layers(ours)[1]) == len(numbers(ours)) - len(mine)
        assert numbers(up_to(joined(ours), 20)) == sorted(number for number in mine if number <= 20)


def test_the_equation_holds_for_whatever_was_found(seed: int) -> None:
    """Emitted less all places is what is missing less what is there again and what was never emitted."""
    dice = random.Random(seed)
    for _ in range(300):
        held = Held(*(some(dice) for _ in range(4)))
        held.drop("drop_oldest", some(dice))
        emitted = dice.randint(0, 60)
        found = balance("ada", held, emitted, "lane", limit=emitted)
        wrong = count(found.missing) - count(found.repeated) - count(found.extra)
        assert emitted - found.accounted == wrong
        there = {
            number
            for one in (held.stored, held.expired, held.queued, held.fallback)
            for number in numbers(one)
        }
        there |= set(numbers(held.dropped["drop_oldest"]))
        assert numbers(list(found.missing)) == sorted(set(range(1, emitted + 1)) - there)
        assert found.ok == (not found.missing and not found.repeated and not found.extra)


def test_what_came_after_the_first_look_is_left_out() -> None:
    """Stored up to the last look, and no further."""
    held = Held(stored=[(1, 14)], queued=[(9, 10)])
    found = balance("ada", held, 10, "lane", limit=14)
    assert (found.ok, found.stored, found.queued) == (True, 10, 0)
    assert balance("ada", held, 10, "lane", limit=12).extra == ((13, 14),)


def test_a_producer_that_nobody_knows_does_not_balance() -> None:
    """What is stored of it is told all the same."""
    found = balance("ada", Held(stored=[(1, 3)]), None, None)
    assert (found.ok, found.stored, found.missing) == (False, 3, ())
    assert found.sentence.startswith("ada: unknown: 3 records")
