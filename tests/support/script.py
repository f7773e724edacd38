"""
Scripts for worlds (tests/support/world.py): made of a seed, played, and made shorter while they still fail.

A step is a name with numbers. One that lets a process act may say that it is interrupted at its `at`th call,
or its first one with this in its name, what is played meanwhile, and how it goes on (`support.actors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Sequence


class Step(NamedTuple):
    """One thing that happens in a world."""

    name: str
    numbers: tuple[int, ...] = ()
    at: int | str = 0
    how: str = ""
    inner: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        """Return what can be pasted into a test."""
        shown = [repr(self.name), repr(self.numbers)]
        if self.at:
            shown += [repr(self.at), repr(self.how), repr(self.inner)]
        return f"Step({', '.join(shown)})"


_HOWS = ("killed", "killed", "half", "late", "", "")
_INNER_MAX = 3
_JUMPS_SEC = (-90_000, -3600, -70, -5, -1, 2, 70, 150, 3700, 90_000, 2_600_000)


def make(dice: random.Random, length: int, without: Collection[str] = ()) -> list[Step]:
    """
    Return a script; it begins with a producer whose first records are in the files.

    `without` are names of steps that are not played inside another step.
    """
    return [
        Step("emit", (0, 3, 100)),
        Step("work", (3, 6)),
        *(_step(dice, 0, without) for _ in range(length)),
    ]


def _step(dice: random.Random, depth: int, without: Collection[str]) -> Step:
    weights = [0 if depth and name in without else weight for name, (weight, _) in _MAKERS.items()]
    name = dice.choices(list(_MAKERS), weights)[0]
    numbers = _MAKERS[name][1](dice)
    if name not in _INTERRUPTED or depth > 1 or dice.random() < 0.4:
        return Step(name, numbers)
    at = int(dice.expovariate(1 / 25)) + 1
    count = dice.randrange(_INNER_MAX + 1)
    inner = tuple(_step(dice, depth + 1, without) for _ in range(count))
    return Step(name, numbers, at, dice.choice(_HOWS), inner)


_INTERRUPTED = ("work", "stop", "command", "keep")
_MAKERS: dict[str, tuple[int, Callable[[random.Random], tuple[int, ...]]]] = {
    "emit": (
        24,
        lambda dice: (dice.randrange(9), dice.randrange(1, 9), dice.choice([0, 30, 300, 900, 5000])),
    ),
    "work": (30, lambda dice: (dice.randrange(1, 7), dice.choice([1, 3, 6, 11, 11, 50, 400]))),
    "command": (6, lambda _: ()),
    "kill": (4, lambda _: ()),
    "stop": (1, lambda _: ()),
    "producer": (2, lambda _: ()),
    "end_producer": (2, lambda dice: (dice.randrange(9), dice.randrange(2))),
    "keep": (9, lambda dice: (dice.randrange(6),)),
    "days": (2, lambda dice: (dice.choice([1, 1, 2, -1]),)),
    "jump": (4, lambda dice: (dice.choice(_JUMPS_SEC),)),
    "full": (5, lambda dice: (dice.choice([0, 0, 100, 700, 2000, 6000]),)),
    "free": (2, lambda _: ()),
    "unmount": (4, lambda _: ()),
    "mount": (4, lambda dice: (int(dice.random() < 0.2),)),
    "read_only": (3, lambda dice: (dice.randrange(2),)),
    "forbid": (3, lambda dice: (dice.randrange(2),)),
    "write_errors": (2, lambda dice: (dice.choice([1, 2, 5, 20]),)),
    "sync_errors": (3, lambda dice: (dice.choice([1, 2, 5]), dice.randrange(2))),
    "fallback": (4, lambda dice: (dice.choice([0, 0, 1, 2, 3]),)),
    "heal": (5, lambda _: ()),
}


def shortest(script: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Return a script that fails like this one, without whatever can be left out of it."""
    found = list(script)
    size = max(1, len(found) // 2)
    while size:
        place = 0
        while place < len(found):
            shorter = found[:place] + found[place + size :]
            if fails(shorter):
                found = shorter
            else:
                place += size
        size //= 2
    changed = True
    while changed:
        changed = False
        for place, step in enumerate(found):
            for simpler in _simpler(step):
                candidate = [*found[:place], simpler, *found[place + 1 :]]
                if fails(candidate):
                    found, changed = candidate, True
                    break
    return found


def _simpler(step: Step) -> list[Step]:
    """Return variants of a step with less in it."""
    found = []
    if step.at:
        found.append(Step(step.name, step.numbers))
        for place, one in enumerate(step.inner):
            before, after = step.inner[:place], step.inner[place + 1 :]
            found.append(step._replace(inner=(*before, *after)))
            found += [step._replace(inner=(*before, other, *after)) for other in _simpler(one)]
    for place, number in enumerate(step.numbers):
        for smaller in {0, 1, number // 2, number - 1}:
            if 0 <= smaller < number and (step.name != "work" or smaller):
                numbers = (*step.numbers[:place], smaller, *step.numbers[place + 1 :])
                found.append(step._replace(numbers=numbers))
    return found
