"""A log volume that fails under the rig's writer, as a test says, and a look into its fallback store."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.accounts import balance
from support.rig import Rig

from pipeline.host import files
from pipeline.storage import day_file
from pipeline.storage.volume import mount_point


class Disk:
    """Refuses what a test says, for the day files and the probe alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses: dict[str, int] = {}
        """errno by operation: "write" (and the probe), "fsync"."""
        self.loses_on_fsync = False
        self.patch = monkeypatch
        self._append, self._fsync = day_file.DayFile.append, os.fsync

        def append(file: day_file.DayFile, chunks: list[bytes]) -> None:
            self._check("write")
            self._append(file, chunks)

        monkeypatch.setattr(day_file.DayFile, "append", append)
        monkeypatch.setattr(day_file.os, "fsync", self._fsyncing)

    def _check(self, operation: str) -> None:
        if operation in self.refuses:
            number = self.refuses[operation]
            raise OSError(number, os.strerror(number))

    def _fsyncing(self, fd: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")).suffix == ".jsonl":
            self._check("fsync")
        elif ".probe-" in os.readlink(f"/proc/self/fd/{fd}"):
            self._check("write")
        self._fsync(fd)


def begun(rig: Rig, count: int = 10) -> Any:
    """Return a producer whose first records are in the files and durable."""
    emitter = rig.producer()
    rig.start_writer()
    for tag in range(count):
        rig.emit(emitter, tag)
    rig.drain()
    return emitter


def run(
    rig: Rig, seconds: float, each: Callable[[], object] = lambda: None, *, is_file_gone: bool = False
) -> None:
    """Let the writer run for a time of the rig's clock, and find every record, wherever it is then."""
    end = rig.clock.monotonic + seconds
    while rig.clock.monotonic < end:
        each()
        rig.step(2)
        rig.pass_time(0.25)
    if rig.places.log_dir.is_dir() and not is_file_gone:
        balance(rig)


def rows(rig: Rig) -> list[tuple[Any, ...]]:
    """Return what is in the fallback store, as anybody reads it."""
    path = rig.writer.fallback.path
    if not path.exists():
        return []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT producer, first, last, count, reason FROM slices").fetchall()


def held(rig: Rig) -> int:
    """Return how many records are in the fallback store."""
    return sum(row[3] for row in rows(rig))


def all_there(rig: Rig) -> None:
    """After everything works again, each record is in the files once and the store is empty."""
    rig.drain()
    rig.check_positions()
    assert rig.tags() == Counter(rig.tags_emitted)
    assert rows(rig) == []
    balance(rig)


def take_away(rig: Rig) -> Callable[[], object]:
    """Put a plain file in the place of the log directory; returns what puts it back."""
    away = rig.places.log_dir.with_name("away")
    rig.places.log_dir.rename(away)
    rig.places.log_dir.write_text("not a directory")

    def put_back() -> None:
        rig.places.log_dir.unlink()
        away.rename(rig.places.log_dir)

    return put_back


def unmount(rig: Rig) -> None:
    """Take the log directory away from under everybody, and leave an empty one in its place."""
    log_dir = rig.places.log_dir
    log_dir.rename(log_dir.with_name("volume"))
    log_dir.mkdir()
    files.write_json(rig.places.volume_note, {"mount_point": str(log_dir)})
    if rig.writer is not None:
        volume = rig.writer._footing.grip._volume
        volume._point, volume._device = str(log_dir), -1


def mount(rig: Rig) -> None:
    """Bring it back; nothing may have come into the place where it was away."""
    log_dir = rig.places.log_dir
    assert os.listdir(log_dir) == []
    log_dir.rmdir()
    log_dir.with_name("volume").rename(log_dir)
    point = mount_point(log_dir)
    files.write_json(rig.places.volume_note, {"mount_point": point})
    if rig.writer is not None:
        rig.writer._footing.grip._volume._point = point
