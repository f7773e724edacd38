"""Bytes that are cut from a file, or cannot stand in one: kept where somebody can look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import clock, files
from pipeline.storage.directories import PRIVATE, make_directory

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.storage.directories import Access


def make(directory: Path, access: Access) -> None:
    """Make the directory, and for this user alone what is missing above it. OSError when it cannot be."""
    files.make_private(directory.parent)
    make_directory(directory, access)


def keep(directory: Path, name: str, data: bytes, access: Access = PRIVATE) -> Path:
    """Keep bytes that are going to be cut off, durably; return where. OSError when they cannot be kept."""
    make(directory, access)
    path = directory / f"{name}.{clock.wall_ns()}"
    files.replace(path, data, durable=True, give=access.give_file)
    return path
