"""`dir_mode`, `file_mode` and `group` for everything that readers need, and nothing else for others."""

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.outage_rig import begun, run
from support.rig import Rig

MAY_GIVE = [one.gr_name for one in grp.getgrall() if os.geteuid() == 0 or one.gr_gid in os.getgroups()]
GROUP = MAY_GIVE[-1]
OURS_ALONE = {"append.lock", "primary.json", "checkpoint.json", "fallback.json", "workers.log", "lanes"}
"""In `.pipeline`: locks, what only we read, and the queue."""


@pytest.fixture
def shared() -> Iterator[Rig]:
    """Give a rig whose files are for a group."""
    before = os.umask(0o077)
    made = Rig(dir_mode=0o770, file_mode=0o640, group=GROUP)
    yield made
    made.close()
    os.umask(before)


def access(path: Path) -> tuple[int, str]:
    """Return mode and group of a path."""
    found = path.stat()
    return stat.S_IMODE(found.st_mode), grp.getgrgid(found.st_gid).gr_name


def with_everything(rig: Rig) -> None:
    """Have the rig make each kind of file: day, manifest, catalog, store, replayed part, quarantine."""
    emitter = begun(rig)
    rig.writer.delivery.leave("somebody says so")
    for tag in (10, 11):
        rig.emit(emitter, tag)
        rig.step()
    rig.writer.fallback.change(
        lambda conn: conn.execute("UPDATE slices SET data = CAST(data || X'59' AS BLOB) WHERE id = 1")
    )
    run(rig, 30)
    assert list(rig.places.log_dir.glob("*.r1.jsonl"))
    assert list(rig.places.quarantine_dir.iterdir())
    assert list((rig.places.belongings_dir / "manifests").iterdir())
    assert (rig.places.log_dir / "metadata.json").exists()


def test_what_readers_need_has_the_mode_and_group_of_the_settings(shared: Rig) -> None:
    """Whatever the umask: files, manifests, catalog, quarantine; the queue and the locks are ours."""
    with_everything(shared)
    logs = shared.places.log_dir
    found = [logs, *logs.rglob("*")]
    below = [path for path in found if not OURS_ALONE & set(path.relative_to(logs).parts)]
    assert {str(path): access(path) for path in below} == {
        str(path): (0o770 if path.is_dir() else 0o640, GROUP) for path in below
    }
    private = {str(path): access(path)[0] for path in found if path not in below}
    assert {path for path, mode in private.items() if mode & 0o077} == set()


def test_others_never_get_to_write_beside_the_fallback_store(shared: Rig) -> None:
    """Its directory gives the group what `dir_mode` says, but for writing: rows could be replaced then."""
    with_everything(shared)
    database = shared.writer.fallback.path
    assert access(database.parent) == (0o2750, GROUP)
    shown = {path.name: access(path) for path in database.parent.glob(f"{database.name}*")}
    assert shown.pop("fallback.db.replay", (0o600, ""))[0] == 0o600
    assert shown == dict.fromkeys(shown, (0o640, GROUP))
    assert "fallback.db-wal" in shown


def test_all_of_it_is_private_by_default(rig: Rig) -> None:
    """Nobody said anything: directories 0700, files 0600."""
    with_everything(rig)
    store = rig.writer.fallback.path.parent
    found = [rig.places.log_dir, *rig.places.log_dir.rglob("*"), store, *store.rglob("*")]
    assert {str(path) for path in found if access(path)[0] & 0o077} == set()


def test_a_group_that_nobody_knows_keeps_no_record_back() -> None:
    """The files are there, and have our own group."""
    rig = Rig(group="nobody-knows-this-group")
    begun(rig)
    assert access(rig.day_files()[0])[0] == 0o600
    rig.close()
