"""A directory that forgets: what an fsync covers stays, and everything else may be there or not."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.testing import FragileDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CUTS = 60
"""Enough for each outcome of a few operations."""


def outcomes(place: Path, act: Callable[[Path], None], look: Callable[[Path], object]) -> set[object]:
    """Return what a directory looks like after power cuts that follow what is done in it."""
    seen = set()
    for seed in range(CUTS):
        path = place / str(seed)
        path.mkdir()
        with FragileDirectory(path) as disk:
            act(path)
            disk.cut_power(random.Random(seed))
            seen.add(look(path))
    return seen


def content(path: Path) -> bytes | None:
    """Return what is in the file `file`, None when there is none."""
    file = path / "file"
    return file.read_bytes() if file.exists() else None


def write(path: Path, data: bytes, *, is_synced: bool = True) -> None:
    """Append to a file."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, data)
    if is_synced:
        os.fsync(fd)
    os.close(fd)


def sync(directory: Path) -> None:
    """Sync the names in a directory."""
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_what_is_synced_with_its_name_stays(tmp_path: Path) -> None:
    """Content and name: whatever the cut is."""

    def act(path: Path) -> None:
        write(path / "file", b"synced")
        sync(path)

    assert outcomes(tmp_path, act, content) == {b"synced"}


def test_a_name_that_is_not_synced_may_be_gone(tmp_path: Path) -> None:
    """With all of the content, which was synced, or not there at all."""
    assert outcomes(tmp_path, lambda path: write(path / "file", b"synced"), content) == {None, b"synced"}


def test_a_write_that_is_not_synced_is_kept_dropped_or_torn(tmp_path: Path) -> None:
    """And what is missing before a write that arrived is zeros."""

    def act(path: Path) -> None:
        write(path / "file", b"synced ")
        sync(path)
        write(path / "file", b"one ", is_synced=False)
        write(path / "file", b"two", is_synced=False)

    seen = outcomes(tmp_path, act, content)
    assert {b"synced ", b"synced one two", b"synced \0\0\0\0two"} <= seen
    assert seen & {b"synced o", b"synced on", b"synced one"}
    assert all(isinstance(one, bytes) and one.startswith(b"synced ") for one in seen)


def test_a_removed_file_may_be_back_and_a_rename_undone(tmp_path: Path) -> None:
    """The old name or the new one, never both and never none; a removal that is synced is for ever."""

    def act(path: Path) -> None:
        for name in ("file", "gone", "moved"):
            write(path / name, name.encode())
        sync(path)
        (path / "gone").unlink()
        sync(path)
        (path / "file").unlink()
        (path / "moved").rename(path / "new")

    seen = outcomes(tmp_path, act, lambda path: tuple(sorted(os.listdir(path))))
    assert seen == {("file", "moved"), ("file", "new"), ("moved",), ("new",)}


def test_a_draft_that_replaces_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    """Synced before the rename, it is never half of it."""

    def act(path: Path) -> None:
        write(path / "file", b"old")
        sync(path)
        write(path / "draft", b"new content")
        (path / "draft").replace(path / "file")

    assert outcomes(tmp_path, act, content) == {b"old", b"new content"}


def test_what_is_in_a_directory_without_a_name_is_gone(tmp_path: Path) -> None:
    """However well it was synced."""

    def act(path: Path) -> None:
        (path / "new").mkdir()
        write(path / "new" / "file", b"synced")
        sync(path / "new")

    assert outcomes(tmp_path, act, lambda path: content(path / "new")) == {None, b"synced"}


def test_a_second_cut_begins_with_what_the_first_one_left(tmp_path: Path) -> None:
    """What survived a cut is on the disk; inodes stay, links of one file too."""
    dice = random.Random(1)
    with FragileDirectory(tmp_path) as disk:
        write(tmp_path / "file", b"synced")
        os.link(tmp_path / "file", tmp_path / "other")
        sync(tmp_path)
        inode = (tmp_path / "file").stat().st_ino
        for _ in range(5):
            disk.cut_power(dice)
            assert content(tmp_path) == b"synced"
            assert (tmp_path / "file").stat().st_ino == (tmp_path / "other").stat().st_ino == inode
        assert disk.cuts == 5


def test_a_file_written_by_other_means_is_noticed(tmp_path: Path) -> None:
    """`open(...).write` goes past the functions of os: it may be lost like anything else."""
    seen = outcomes(tmp_path, lambda path: (path / "file").write_text("text") and None, content)
    assert {None, b"text"} <= seen


def test_the_functions_of_os_are_put_back(tmp_path: Path) -> None:
    """Also when the block ends in an error."""
    before = os.fsync
    with suppress(FileNotFoundError), FragileDirectory(tmp_path):
        assert os.fsync is not before
        os.unlink(tmp_path / "nothing")
    assert os.fsync is before
