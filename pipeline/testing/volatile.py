"""
What is on a disk, and what is not yet: files and directories with the operations that no fsync has covered.

A power cut keeps, drops or tears each of them by itself, which is what POSIX allows and more than any one
file system does:

    a write         whole, not at all, or a piece of it; what lacks before one that arrived is zeros
    a truncation    done or not
    a name          new, gone or moved, or as it was; a rename is never seen by halves

An fsync of a file keeps its content and not its name, one of a directory the names in it and not their
contents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FATES: Final = ("nothing", "everything", "anything", "names")
"""What a power cut leaves of all that was not synced; "names" is all of them, and any of the content."""


@dataclass(eq=False)
class File:
    """Content that is on the disk, and what was done to it since: (offset, bytes), or (size, None) to cut."""

    mode: int = 0o600
    synced: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def content(self) -> bytes:
        """Return what a reader sees while the power is on."""
        found = self.synced
        for offset, data in self.pending:
            found = _changed(found, offset, data)
        return found

    def sync(self) -> None:
        """Have it all on the disk."""
        self.synced = self.content()
        self.pending.clear()

    def survivor(self, fate: str, dice: random.Random) -> bytes:
        """Return what a power cut may leave."""
        found = self.synced
        for offset, data in self.pending:
            kind = _kind_of(fate, dice, ("kept", "dropped", "torn"))
            if kind == "torn" and data is not None:
                start, end = sorted(dice.randrange(len(data) + 1) for _ in range(2))
                start = dice.choice([0, 0, start])
                found = _changed(found, offset + start, data[start:end])
            elif kind == "kept":
                found = _changed(found, offset, data)
        return found


@dataclass(eq=False)
class Move:
    """One change of names: (directory, name, what it names from then on); a rename has two."""

    entries: list[tuple[Directory, str, Node | None]]


@dataclass(eq=False)
class Directory:
    """Names that are on the disk, and the changes since, which other directories may share."""

    mode: int = 0o700
    synced: dict[str, Node] = field(default_factory=dict)
    pending: list[Move] = field(default_factory=list)

    def names(self, is_kept: Callable[[Move], bool] = lambda _: True) -> dict[str, Node]:
        """Return what it holds if these changes are kept."""
        found = dict(self.synced)
        for move in filter(is_kept, self.pending):
            for directory, name, node in move.entries:
                if directory is self and node is not None:
                    found[name] = node
                elif directory is self:
                    found.pop(name, None)
        return found

    def sync(self) -> None:
        """Have all names on the disk; a rename out of another directory with its other end."""
        for move in list(self.pending):
            for directory in {id(one): one for one, _, _ in move.entries}.values():
                directory.synced = directory.names(lambda other, move=move: other is move)  # type: ignore[misc]
                directory.pending.remove(move)


Node = File | Directory


def apply(move: Move) -> None:
    """Note a change of names in all directories that it concerns."""
    for directory in {id(one): one for one, _, _ in move.entries}.values():
        directory.pending.append(move)


def settle(directory: Directory, fate: str, dice: random.Random) -> None:
    """Decide what a power cut leaves, from this directory down: all of it is on the disk afterwards."""
    kept: dict[int, bool] = {}

    def is_kept(move: Move) -> bool:
        if id(move) not in kept:
            of_names = "everything" if fate == "names" else fate
            kept[id(move)] = _kind_of(of_names, dice, ("kept", "dropped")) == "kept"
        return kept[id(move)]

    _settle(directory, is_kept, fate, dice)


def _settle(directory: Directory, is_kept: Callable[[Move], bool], fate: str, dice: random.Random) -> None:
    directory.synced, directory.pending = directory.names(is_kept), []
    for node in directory.synced.values():
        if isinstance(node, Directory):
            _settle(node, is_kept, fate, dice)
        else:
            node.synced, node.pending = node.survivor(fate, dice), []


def _kind_of(fate: str, dice: random.Random, kinds: tuple[str, ...]) -> str:
    if fate in ("anything", "names"):
        return dice.choice(kinds)
    return "kept" if fate == "everything" else "dropped"


def _changed(content: bytes, offset: int, data: bytes | None) -> bytes:
    if data is None:
        return content[:offset].ljust(offset, b"\0")
    return content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :] if data else content
