"""A pipeline that is gone left rows and cut marks in its store: whoever adopts its lanes honours both."""

import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.outage_rig import Disk, begun, run
from support.rig import Rig

from pipeline.storage import fallback_places
from pipeline.verification import verify
from pipeline.verification.accounts import account

GONE = "i0123abcd"


def uncuttable(rig: Rig, path: Path) -> Callable[[], None]:
    """Have a file refuse to be shortened; returns what ends that."""
    truncate = os.ftruncate

    def refusing(fd: int, length: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")) == path:
            raise OSError(errno.EIO, "injected")
        truncate(fd, length)

    rig.patch.setattr(os, "ftruncate", refusing)
    return lambda: rig.patch.setattr(os, "ftruncate", truncate)


def fails_with_marks(rig: Rig, disk: Disk, *, with_rows: bool) -> tuple[Any, Path, Callable[[], None]]:
    """Have an fsync fail whose data is in the file all the same, and cannot be cut off."""
    emitter = begun(rig)
    for tag in range(10, 20):
        rig.emit(emitter, tag)
    rig.step(2)
    [path] = rig.day_files()
    mend = uncuttable(rig, path)
    disk.refuses = {"fsync": errno.EIO, "write": errno.EIO}
    rig.pass_time(1.1)
    if with_rows:
        run(rig, 8)
    else:
        rig.run_until_killed("writer.retreat.settled", turns=12)
    return emitter, path, mend


def now_of_another_instance(rig: Rig) -> Path:
    """Make what the killed writer left that of another instance, in another pid namespace; its store."""
    places = rig.places
    here = rig.home / "fallback" / fallback_places.key_of(places.log_dir)
    for path in list(here.iterdir()):
        path.rename(here / path.name.replace("fallback.db", f"fallback.{GONE}.db"))
    other = places.runtime_dir.with_name(f"{places.runtime_dir.name[:-6]}000001")
    places.runtime_dir.rename(other)
    (other / "supervisor.lock").touch()
    (other / "writer.lock").touch()
    return here / f"fallback.{GONE}.db"


def marks(store: Path) -> list[Any]:
    """Return the cut marks of a store."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT file, size FROM cut_marks").fetchall()


@pytest.mark.parametrize("with_rows", [True, False])
def test_cut_marks_of_a_gone_pipeline_are_worked_off_before_its_lanes_go_on(
    rig: Rig, disk: Disk, *, with_rows: bool
) -> None:
    """What stands behind a mark is in its rows or still in its lanes: there twice, or in doubt."""
    emitter, path, mend = fails_with_marks(rig, disk, with_rows=with_rows)
    if rig.writer is not None:
        rig.kill_writer()
    rig.abandon(emitter)
    disk.refuses.clear()
    mend()
    before = path.stat().st_size
    store = now_of_another_instance(rig)
    [(_, size)] = marks(store)
    assert size < before
    assert rig.run_until_killed("writer.leftover.cut")
    assert path.stat().st_size == size
    rig.start_writer()
    run(rig, 130)
    rig.drain()
    assert marks(store) == []
    assert rig.tags() == Counter(rig.tags_emitted)
    assert verify(rig.places.log_dir).ok


def test_a_mark_of_a_file_that_somebody_went_on_with_comes_too_late(rig: Rig, disk: Disk) -> None:
    """
    The store was on a volume that came back later: what has been proven since is not cut.

    Its rows are replayed, and so their records are there twice, which account says.
    """
    emitter, path, mend = fails_with_marks(rig, disk, with_rows=True)
    rig.kill_writer()
    rig.abandon(emitter)
    disk.refuses.clear()
    mend()
    store = now_of_another_instance(rig)
    away = store.parent.rename(store.parent.with_name("away"))
    rig.start_writer()
    run(rig, 15)
    size = path.stat().st_size
    assert rig.writer.days.manifests.head
    away.rename(store.parent)
    run(rig, 70, is_file_gone=True)
    assert path.stat().st_size >= size
    assert [one.repeated for one in account(rig.places.log_dir).faulty] == [((11, 20),)]
    assert marks(store) == []
    assert set(rig.tags()) == set(rig.tags_emitted)


def test_a_file_whose_lock_another_process_holds_is_left_to_it(
    rig: Rig, disk: Disk, held: Callable[..., Callable[[], object]]
) -> None:
    """Its pipeline lives after all, and cuts it itself."""
    emitter, path, mend = fails_with_marks(rig, disk, with_rows=True)
    rig.kill_writer()
    rig.abandon(emitter)
    disk.refuses.clear()
    mend()
    store = now_of_another_instance(rig)
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE cut_marks SET file = replace(file, '.jsonl', ?)", (f".{GONE}.jsonl",))
    path = path.rename(path.with_name(path.name.replace(".jsonl", f".{GONE}.jsonl")))
    let_go = held(rig.places.belongings_dir / f"append.{GONE}.lock")
    rig.start_writer()
    run(rig, 5)
    [(_, size)] = marks(store)
    assert path.stat().st_size > size
    let_go()
    run(rig, 130)
    assert marks(store) == []
    assert path.stat().st_size == size
    assert rig.tags() == Counter(rig.tags_emitted)
