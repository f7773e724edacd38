"""
Processes that are played in one process: whose turn it is, what is theirs, and at which call they are killed.

A kill is an exception that nothing catches. Handlers that it passes on its way out are no longer played: each
further call of a dead actor that would change something raises again. What the kernel does for a process that
ends is done by `bury`: descriptors are closed, locks are free, transactions are rolled back.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.rig import Killed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

_REAL_CLOSE = os.close


@dataclass(eq=False)
class Actor:
    """One process. Armed, it is interrupted at a call of its own: others act, then it goes on or dies."""

    name: str
    is_dead: bool = False
    connections: list[sqlite3.Connection] = field(default_factory=list)
    aim: int | str = 0
    """At which of its next calls it is interrupted: its number, or a part of its name; 0 for none."""
    how: str = ""
    """ "" goes on, "killed" before the call, "half" in the middle of it, "late" behind it."""
    meanwhile: Callable[[], object] = lambda: None
    things: list[Any] = field(default_factory=list)
    """What it was made of, once others act in its place."""

    def arm(self, aim: int | str, how: str, meanwhile: Callable[[], object]) -> None:
        """Interrupt it at one of its next calls."""
        self.aim, self.how, self.meanwhile = aim, how, meanwhile

    def is_due(self, call: str) -> bool:
        """Whether it is interrupted at this call; only once."""
        if isinstance(self.aim, str):
            is_due = self.aim in call
        else:
            self.aim -= 1 if self.aim else 0
            is_due = self.aim == 0
        self.aim = 0 if is_due else self.aim
        return is_due


class Actors:
    """Who there is. `current` is whose turn it is."""

    def __init__(self) -> None:
        self.nobody = Actor("nobody")
        self.locks: dict[tuple[int, int, int | None], Actor] = {}
        """Who has a record lock, by device, inode and byte."""
        self.trace: list[str] | None = None
        """What was called, by whom, if somebody wants to know."""
        self._turns = [self.nobody]
        self._owners: dict[int, Actor] = {}

    @property
    def current(self) -> Actor:
        """Whose turn it is."""
        return self._turns[-1]

    @contextmanager
    def turn_of(self, actor: Actor) -> Iterator[None]:
        """Have all that is done count as this actor's."""
        self._turns.append(actor)
        try:
            yield
        finally:
            self._turns.pop()

    def call(self, name: str, place: str = "") -> str:
        """Tell of a call that is about to be made; returns how the caller dies of it, "" mostly."""
        actor = self.current
        if actor.is_dead:
            raise Killed(name)
        if self.trace is not None:
            self.trace.append(f"{actor.name}: {name} {place}")
        if actor.aim == 0 or not actor.is_due(f"{name} {place}"):
            return ""
        how = actor.how
        actor.meanwhile()
        if how == "killed" or actor.is_dead:
            self.die(name)
        return how

    def die(self, name: str) -> None:
        """End the current actor."""
        if self.trace is not None:
            self.trace.append(f"{self.current.name}: dies at {name}")
        self.current.is_dead = True
        raise Killed(name)

    def opened(self, fd: int) -> None:
        """Note whose a descriptor is."""
        self._owners[fd] = self.current

    def closed(self, fd: int) -> None:
        """Forget a descriptor."""
        self._owners.pop(fd, None)

    def has_open(self, is_meant: Callable[[str], bool]) -> bool:
        """Whether anybody has a file open that is meant."""
        return any(is_meant(path_of(fd)) for fd in os.listdir("/proc/self/fd"))

    def bury(self, actor: Actor, is_meant: Callable[[str], bool]) -> None:
        """Give back what a dead actor held: locks, connections, and the files that are meant."""
        self.free(actor)
        for connection in actor.connections:
            with suppress(Exception):
                connection.close()
        for fd in [fd for fd, owner in self._owners.items() if owner is actor]:
            del self._owners[fd]
            if is_meant(path_of(fd)):
                _REAL_CLOSE(fd)

    def free(self, actor: Actor) -> None:
        """Have an actor be dead, and its locks free; the rest when nothing of it is played any more."""
        actor.is_dead = True
        self.locks = {key: owner for key, owner in self.locks.items() if owner is not actor}

    # Record locks, which the kernel would not keep apart in one process

    def lock(self, identity: tuple[int, int], byte: int | None) -> bool:
        """Take a lock for the current actor."""
        key = (*identity, byte)
        holder = self.locks.setdefault(key, self.current)
        return holder is self.current

    def unlock(self, identity: tuple[int, int], byte: int | None) -> None:
        """Give one lock back."""
        if self.locks.get((*identity, byte)) is self.current:
            del self.locks[(*identity, byte)]

    def unlock_all(self, identity: tuple[int, int]) -> None:
        """Give all locks on a file back, as closing any descriptor of it does."""
        for key in [key for key in self.locks if key[:2] == identity and self.locks[key] is self.current]:
            del self.locks[key]


def path_of(fd: Any) -> str:
    """Return where a descriptor leads to, "" for none."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
    except OSError:
        return ""
