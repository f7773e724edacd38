"""Which file system a path is on, told by the table of mounts alone."""

from pathlib import Path

import pytest

from pipeline.host import mounts

TABLE = r"""
21 1 254:0 / / rw - ext4 /dev/vda rw
22 21 254:1 / /data rw,relatime shared:7 master:3 - xfs /dev/vdb rw
23 21 254:0 /old /old rw - ext4 /dev/vda rw
24 22 0:40 / /data/a\040place rw - fuse server rw
25 21 0:41 / /twice rw - tmpfs tmpfs rw
26 21 0:42 / /twice rw - nfs4 host:/ rw
"""


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a table of mounts."""
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr(mounts, "_TABLE", str(path))
    return path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/nowhere/at/all", ("/", "254:0", "ext4")),
        ("/data", ("/data", "254:1", "xfs")),
        ("/database/x", ("/", "254:0", "ext4")),
        ("/data/a place/logs", ("/data/a place", "0:40", "fuse")),
        ("/twice/x", ("/twice", "0:42", "nfs4")),
    ],
)
def test_the_deepest_and_latest_mount_above_a_path_is_its_own(path: str, found: tuple[str, ...]) -> None:
    """Whether or not the path exists: nothing but the table is looked at."""
    assert mounts.of(Path(path)) == found


def test_two_places_of_one_file_system_are_the_same() -> None:
    """A bind mount fails together with what it was made of."""
    assert mounts.is_same(Path("/old/x"), Path("/home"))
    assert not mounts.is_same(Path("/data/x"), Path("/data/a place/x"))


def test_without_a_table_nothing_is_known(table: Path) -> None:
    """No error, and no kind."""
    table.unlink()
    assert mounts.of(Path("/data")) == mounts.Mount()
