"""
A seat has one process at a time, and a killed one that is not gone is passed over.

Processes and locks are real. Which of them count as condemned is said by the test: what makes a process so
takes a disk that hangs, and is in test_hanging_writers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Self

import pytest
from support.waiting import until

from pipeline.host import processes, seats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from pipeline.host import processes
    from pipeline.host.seats import Seat

    place, said = Path(sys.argv[1]), Path(sys.argv[2])
    processes.is_condemned = lambda pid: str(pid) in said.read_text().split()
    seat = Seat(place)
    for line in sys.stdin:
        print(int(getattr(seat, line.strip())()), flush=True)
""")


class Comer:
    """A process that does with the seat as it is told."""

    def __init__(self, hall: Hall) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _COMER, str(hall.path), str(hall.said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str) -> None:
        """Have it call a method of its seat."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def answer(self) -> bool:
        """Return what that method returned."""
        return self.process.stdout.readline() == "1\n"

    def sits(self) -> bool:
        """Let it try to take the seat; whether it has it."""
        self.ask("try_acquire")
        return self.answer()

    def is_alone(self) -> bool:
        """Whether it sees no condemned process."""
        self.ask("is_alone")
        return self.answer()

    def end(self) -> None:
        """Let it end, as a kill does: all it held is free."""
        self.process.kill()
        self.process.communicate()


class Hall:
    """The seat, all who came to it, and which of them are condemned."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = directory / "seat.lock"
        self.said = directory / "condemned"
        self.said.write_text("")
        self._comers: list[Comer] = []
        monkeypatch.setattr(processes, "is_condemned", lambda pid: str(pid) in self.said.read_text().split())

    def comer(self) -> Comer:
        """Let a process come."""
        comer = Comer(self)
        self._comers.append(comer)
        return comer

    def condemn(self, comer: Comer) -> None:
        """Take it for killed and not gone."""
        self.said.write_text(f"{self.said.read_text()} {comer.process.pid}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for comer in self._comers:
            comer.end()


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    """Give a hall with one seat."""
    with Hall(tmp_path, monkeypatch) as hall:
        yield hall


def test_one_sits_until_it_ends(hall: Hall) -> None:
    """As with any lock."""
    first, second = hall.comer(), hall.comer()
    assert first.sits()
    assert not second.sits()
    assert seats.holder(hall.path) == first.process.pid
    first.end()
    assert second.sits()
    assert second.is_alone()


def test_a_condemned_one_is_passed_over_and_known(hall: Hall) -> None:
    """Its successor sits, knows that it is not alone, and keeps others out."""
    first, second, third = hall.comer(), hall.comer(), hall.comer()
    assert first.sits()
    hall.condemn(first)
    assert second.sits()
    assert not second.is_alone()
    assert not third.sits()
    assert seats.holder(hall.path) == second.process.pid
    assert seats.condemned(hall.path) == [first.process.pid]


def test_a_place_that_becomes_free_leads_nobody_past_who_sits(hall: Hall) -> None:
    """The condemned one is gone, its place is free, and its successor is still the only one that sits."""
    first, second, third = hall.comer(), hall.comer(), hall.comer()
    assert first.sits()
    hall.condemn(first)
    assert second.sits()
    first.end()
    assert second.is_alone()
    assert not third.sits()
    assert second.is_alone()
    second.end()
    assert third.sits()


def test_successors_of_successors_sit_one_at_a_time(hall: Hall) -> None:
    """Three that are condemned, and one that sits; alone only when all three are gone."""
    stuck = [hall.comer() for _ in range(3)]
    for comer in stuck:
        assert comer.sits()
        hall.condemn(comer)
    last = hall.comer()
    assert last.sits()
    assert len(seats.condemned(hall.path)) == len(stuck)
    for comer in stuck:
        assert not last.is_alone()
        comer.end()
    assert last.is_alone()


def test_of_many_that_come_at_once_at_most_one_sits(hall: Hall) -> None:
    """Also while the condemned one before them ends at that moment; who is refused may come again."""
    comers = [hall.comer() for _ in range(4)]
    assert all(comer.is_alone() for comer in comers)
    for _ in range(6):
        condemned = hall.comer()
        assert condemned.sits()
        hall.condemn(condemned)
        for comer in comers:
            comer.ask("try_acquire")
        condemned.end()
        sitting = [comer for comer in comers if comer.answer()]
        assert len(sitting) <= 1
        for comer in sitting:
            comers.remove(comer)
            comer.end()
            comers.append(hall.comer())
            assert comers[-1].is_alone()


def test_a_living_process_and_one_that_is_gone_are_not_condemned() -> None:
    """Whatever it waits for: it was sent nothing that ends it, or it has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not processes.is_condemned(os.getpid())
    assert not processes.is_condemned(child.pid)
    child.kill()
    child.communicate()
    until(lambda: not os.path.exists(f"/proc/{child.pid}"), "its end")
    assert not processes.is_condemned(child.pid)
