"""A file that is replaced at once: what a reader sees, and what a disk that refuses leaves."""

import os
from pathlib import Path

import pytest

from pipeline.host import files


def test_replacement_that_the_disk_refuses_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half of the new one beside it, either: it would take room on a full disk, and stay."""
    path = tmp_path / "checkpoint.json"
    files.replace(path, b"old", durable=True, is_only_writer=True)

    def refuse(_fd: int) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no room"):
        files.replace(path, b"new", durable=True, is_only_writer=True)
    assert os.listdir(tmp_path) == ["checkpoint.json"]
    assert path.read_bytes() == b"old"
