"""A fallback store whose volume refuses: an error, no damage, and it works as soon as the volume does."""

import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.slices import A, make, row

from pipeline.errors import FallbackError

ROW = 200_000


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`: writes there are short first, then refused (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(store, first: int) -> int:
    """Store a record at a time until the volume refuses; the number of the refused one."""
    for number in range(first, first + 200):
        try:
            store.store([row(A, number, number, fill=ROW)], {A: number})
        except FallbackError:
            return number
    raise AssertionError("the volume never refused")


def check(directory: Path, last: int) -> None:
    """See that the database is sound and holds the records up to `last`."""
    reader = sqlite3.connect(f"file:{directory / 'fallback.db'}?mode=ro", uri=True)
    assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    numbers = [number for (number,) in reader.execute("SELECT first FROM slices ORDER BY id")]
    assert numbers == list(range(1, last + 1))
    assert reader.execute("SELECT position FROM positions").fetchone() == (last,)
    reader.close()


def test_a_volume_that_refuses_writes_damages_nothing(tmp_path: Path) -> None:
    """Refused in the middle of a transaction, twice; then the same object stores again."""
    notes: list[str] = []
    store = make(tmp_path, notes)
    store.open()
    with file_size_limit(2 << 20):
        refused = fill(store, 1)
        assert fill(store, refused) == refused
        check(tmp_path, refused - 1)
    store.store([row(A, refused, refused)], {A: refused})
    check(tmp_path, refused)
    store.close()
    assert notes == []


@pytest.mark.faults
def test_a_full_disk_damages_nothing_and_heals(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """The same on a tmpfs without room (ENOSPC), and for a successor that opens what is there."""
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = [need_tool("mount"), "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(volume)]
    subprocess.run(mount, check=True)
    try:
        notes: list[str] = []
        store = make(volume, notes)
        store.open()
        ballast = volume / "ballast"
        ballast.write_bytes(bytes(1 << 20))
        refused = fill(store, 1)
        check(volume, refused - 1)
        again = make(volume, notes)
        again.open()
        assert fill(again, refused) == refused
        ballast.unlink()
        again.store([row(A, refused, refused)], {A: refused})
        check(volume, refused)
        assert notes == []
        again.close()
        store.close()
    finally:
        subprocess.run([need_tool("umount"), "-l", str(volume)], check=True)
