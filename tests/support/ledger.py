"""
What producers were told, in an anonymous shared mapping that outlives their `kill -9`.

Each source (one thread of one process) has a row. It notes there that it is about to emit its nth record,
and then which number `emit()` returned, with one store each. A row is written by one thread and read by the
test.
"""

from __future__ import annotations

import mmap
import os
from typing import Self

SOURCES_MAX = 24
RECORDS_MAX = 1 << 17
_STOP, _SOURCES, _RECORDS, _FIRST_ROW = 0, 1, 2, 8
_PID, _BEGUN, _IS_DONE, _LONGEST, _ANSWERS = 0, 1, 2, 3, 8
_REFUSED = 1
_DURABLE = 1 << 62


class Row:
    """What one source was told. An answer is number + 1, marked if durable; 0 is none, 1 a refusal."""

    def __init__(self, words: memoryview, source: int) -> None:
        self.source = source
        self._words = words
        self._base = _FIRST_ROW + source * (words[_RECORDS] + _ANSWERS)

    def claim(self) -> None:
        """Say which process this source runs in."""
        self._words[self._base + _PID] = os.getpid()

    def begin(self) -> int:
        """Return the sequence number of the next record, from 1 on."""
        sequence = self.begun + 1
        self._words[self._base + _BEGUN] = sequence
        return sequence

    def acknowledge(self, sequence: int, number: int, *, is_durable: bool = False) -> None:
        """Note what emit() returned, and whether that says that the record is on the disk."""
        self._words[self._base + _ANSWERS + sequence - 1] = number + 1 | (_DURABLE if is_durable else 0)

    def note_duration(self, ns: int) -> None:
        """Note how long an emit() took that was not asked to wait, if none took longer."""
        place = self._base + _LONGEST
        self._words[place] = max(self._words[place], ns)

    def finish(self) -> None:
        """Say that this source ended by itself: none of its records is without an answer."""
        self._words[self._base + _IS_DONE] = 1

    @property
    def pid(self) -> int:
        """The process, 0 before it came to emit."""
        return self._words[self._base + _PID]

    @property
    def begun(self) -> int:
        """How many records were begun."""
        return self._words[self._base + _BEGUN]

    @property
    def has_room(self) -> bool:
        """Whether another record fits."""
        return self.begun < self._words[_RECORDS]

    @property
    def longest_ns(self) -> int:
        """The longest emit() that was not asked to wait."""
        return self._words[self._base + _LONGEST]

    @property
    def is_done(self) -> bool:
        """Whether the source ended by itself."""
        return bool(self._words[self._base + _IS_DONE])

    def accepted(self) -> dict[int, int]:
        """Return the action_number of each accepted record by its sequence number."""
        told = {index + 1: answer & ~_DURABLE for index, answer in enumerate(self._answers())}
        return {sequence: answer - 1 for sequence, answer in told.items() if answer > _REFUSED}

    def last_durable(self) -> int:
        """Return the sequence number of the last record that was told to be on the disk, 0 for none."""
        answers = self._answers()
        return max((index + 1 for index, answer in enumerate(answers) if answer & _DURABLE), default=0)

    def refused(self) -> set[int]:
        """Return the sequence numbers of the records that were not accepted."""
        return {index + 1 for index, answer in enumerate(self._answers()) if answer == _REFUSED}

    def _answers(self) -> list[int]:
        start = self._base + _ANSWERS
        return self._words[start : start + self.begun].tolist()


class Ledger:
    """All rows. Made by the test with `create`; opened by producers through the path it gives them."""

    def __init__(self, fd: int, owner: str = "/proc/self") -> None:
        self._fd = fd
        self._owner = owner
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, sources: int = SOURCES_MAX, records: int = RECORDS_MAX) -> Self:
        """Make an empty ledger that belongs to no file system, and costs what is written of it."""
        fd = os.memfd_create("ledger")
        os.ftruncate(fd, 8 * (_FIRST_ROW + sources * (records + _ANSWERS)))
        made = cls(fd)
        made._words[_SOURCES], made._words[_RECORDS] = sources, records
        return made

    @classmethod
    def open(cls, path: str) -> Self:
        """Map the ledger of another process."""
        return cls(os.open(path, os.O_RDWR | os.O_CLOEXEC), owner=os.path.dirname(os.path.dirname(path)))

    @property
    def path(self) -> str:
        """Where other processes find it while this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def row(self, source: int) -> Row:
        """Return the row of a source."""
        return Row(self._words, source)

    def rows(self) -> list[Row]:
        """Return the rows of the sources that have begun a record."""
        return [row for row in map(self.row, range(self._words[_SOURCES])) if row.begun]

    def stop(self) -> None:
        """Ask all sources to end."""
        self._words[_STOP] = 1

    def resume(self) -> None:
        """Let sources that are started from now on emit again."""
        self._words[_STOP] = 0

    @property
    def is_stopped(self) -> bool:
        """Whether the sources are to end: told so, or the test that made the ledger is gone."""
        return bool(self._words[_STOP]) or not os.path.exists(self._owner)

    def close(self) -> None:
        """Unmap."""
        self._words.release()
        self._map.close()
        os.close(self._fd)
