"""Names of day files: what is a part of what."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.storage import naming
from pipeline.storage.naming import DayName

NAMES = {
    "2025-11-21.jsonl": DayName("2025-11-21", "", 0),
    "2025-11-21.3.jsonl": DayName("2025-11-21", "", 3),
    "2025-11-21.r2.jsonl": DayName("2025-11-21", "", 2, is_replay=True),
    "2025-11-21.i1a2b3c4d.jsonl": DayName("2025-11-21", "i1a2b3c4d", 0),
    "2025-11-21T14.jsonl": DayName("2025-11-21T14", "", 0),
    "2025-11-21T14-05.2.jsonl": DayName("2025-11-21T14-05", "", 2),
    "2025-11-21T14-05-09.i1a2b3c4d.jsonl": DayName("2025-11-21T14-05-09", "i1a2b3c4d", 0),
    "2025-11-21.i1a2b3c4d.r12.jsonl": DayName("2025-11-21", "i1a2b3c4d", 12, is_replay=True),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_and_written_alike(name: str) -> None:
    """Each name says what it is, and is made of that again."""
    assert naming.parse(name) == NAMES[name]
    assert str(NAMES[name]) == name


@pytest.mark.parametrize(
    "name",
    ["2025-11-21.r.jsonl", "2025-11-21.jsonl.zst", "x.jsonl", "2025-11-21.rr1.jsonl", "2025-11-21T1.jsonl"],
)
def test_other_names_are_no_day_files(name: str) -> None:
    """What is not of this form is nobody's."""
    assert naming.parse(name) is None


def test_live_records_never_go_to_a_replayed_part(tmp_path) -> None:
    """The parts of a day are without those that replay wrote; one that is packed counts, once."""
    for name in (*NAMES, "2025-11-21.jsonl.zst", "2025-11-21.4.jsonl.gz"):
        (tmp_path / name).touch()
    assert naming.day_files(tmp_path, "") == {
        "2025-11-21": [DayName("2025-11-21", "", part) for part in (0, 3, 4)],
        "2025-11-21T14": [DayName("2025-11-21T14", "", 0)],
        "2025-11-21T14-05": [DayName("2025-11-21T14-05", "", 2)],
    }


def test_a_packed_file_is_never_found_by_the_identity_of_a_plain_one(tmp_path: Path) -> None:
    """A file that is packed gives its inode back, and the next packed file may get it."""
    path = tmp_path / "2025-11-21.jsonl.zst"
    path.touch()
    about = path.stat()
    found = naming.path_of(tmp_path, "2025-11-20.jsonl", lambda one: os.path.samestat(one, about))
    assert found is None


def test_a_replayed_part_gets_a_number_that_no_file_has_had(tmp_path) -> None:
    """Packed parts and gaps count; other days and instances do not."""
    for name in (
        "2025-11-21.r2.jsonl",
        "2025-11-21.r4.jsonl.zst",
        "2025-11-22.r9.jsonl",
        "2025-11-21.7.jsonl",
    ):
        (tmp_path / name).touch()
    assert str(naming.next_replay_part(tmp_path, "", "2025-11-21")) == "2025-11-21.r5.jsonl"
    assert (
        str(naming.next_replay_part(tmp_path, "i1a2b3c4d", "2025-11-21")) == "2025-11-21.i1a2b3c4d.r1.jsonl"
    )


def test_a_file_is_found_by_its_identity_under_whatever_name(tmp_path: Path) -> None:
    """Renamed by a person, beside links that lead nowhere; gone when no name leads to it."""
    path = tmp_path / "2025-11-21.jsonl"
    path.touch()
    about = path.stat()

    def is_it(found: os.stat_result) -> bool:
        return os.path.samestat(found, about)

    (tmp_path / "lost").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    assert naming.path_of(tmp_path, path.name, is_it) == path
    moved = path.rename(tmp_path / "2025-11-21.jsonl.1")
    assert naming.path_of(tmp_path, path.name, is_it) == moved
    path.symlink_to(moved)
    assert naming.path_of(tmp_path, path.name, is_it) == path
    path.unlink()
    moved.rename(tmp_path.parent / "elsewhere")
    assert naming.path_of(tmp_path, path.name, is_it) is None


def test_what_cannot_be_looked_at_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is away, or a file whose disk fails: whoever asked has to wait."""
    with pytest.raises(FileNotFoundError):
        naming.path_of(tmp_path / "away", "2025-11-21.jsonl", lambda _: True)

    def failing(self: Path, **_: object) -> None:
        raise OSError(errno.EIO, "injected", str(self))

    monkeypatch.setattr(Path, "lstat", failing)
    with pytest.raises(OSError, match="injected"):
        naming.path_of(tmp_path, "2025-11-21.jsonl", lambda _: True)
