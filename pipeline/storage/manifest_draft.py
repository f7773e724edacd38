"""
The draft of a manifest, in memory: what was appended since the last entries, batch by batch.

Before a batch is appended, the draft gets a line that says which digest the open block has once the batch is
in it. So whoever takes over from a killed writer can tell the bytes that we appended from bytes that somebody
changed meanwhile: the first are *explained*. The draft ends with the power, as the control page does; what is
left of the file then is taken in as it is, and its entry says `rebuilt`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

import orjson

from pipeline.host import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pipeline.storage.manifest_block import Block


class State(NamedTuple):
    """What a block of a file was, at one moment."""

    file: str
    inode: int
    offset: int
    length: int
    digest: str


def state_of(file: str, inode: int, block: Block) -> State:
    """Return what a block is now."""
    return State(file, inode, block.offset, block.length, block.digest)


class Draft:
    """The draft file of a writer. It only ever explains: when it cannot be written, less is explained."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._states: dict[tuple[str, int], list[State]] = {}
        for state in _read(path):
            self._states.setdefault((state.file, state.inode), []).append(state)

    def files(self) -> list[str]:
        """Return the files that it knows something of."""
        return sorted({file for file, _ in self._states})

    def note(self, states: Sequence[State]) -> None:
        """Add what blocks are going to be."""
        for state in states:
            self._states.setdefault((state.file, state.inode), []).append(state)
        with contextlib.suppress(OSError):
            fd = os.open(self.path, files.APPEND | os.O_NOFOLLOW, 0o600)
            try:
                files.write_all(fd, _lines(states))
            finally:
                os.close(fd)

    def keep(self, states: Iterable[State], files_kept: Iterable[str] = ()) -> None:
        """Forget everything but these states, and what is known of these files."""
        others = {key: known for key, known in self._states.items() if key[0] in set(files_kept)}
        self._states = others
        for state in states:
            self._states.setdefault((state.file, state.inode), []).append(state)
        with contextlib.suppress(OSError):
            data = _lines([state for known in self._states.values() for state in known])
            files.replace(self.path, data, is_only_writer=True)

    def explained(self, file: str, inode: int, offset: int, data: bytes) -> int:
        """Return how many of these bytes, which stand at `offset`, one block of ours is known to have had."""
        known = [state for state in self._states.get((file, inode), []) if state.offset == offset]
        best, done, running = 0, 0, hashlib.sha256()
        view = memoryview(data)
        for state in sorted(known, key=lambda state: state.length):
            if state.length > len(data):
                break
            running.update(view[done : state.length])
            done = state.length
            if running.hexdigest() == state.digest:
                best = done
        return best

    def longest(self, file: str, inode: int, offset: int) -> int:
        """Return how long the block at `offset` may have become."""
        known = self._states.get((file, inode), [])
        return max((state.length for state in known if state.offset == offset), default=0)


def _lines(states: Sequence[State]) -> bytes:
    return b"".join(orjson.dumps(list(state)) + b"\n" for state in states)


def _read(path: Path) -> list[State]:
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            found.append(State(*orjson.loads(line)))
    return found
