"""Bytes that are cut from a file, or cannot stand in one: kept where somebody can look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.host import clock, files

if TYPE_CHECKING:
    from pathlib import Path


def keep(directory: Path, name: str, data: bytes) -> Path:
    """Keep bytes that are going to be cut off, durably; return where. OSError when they cannot be kept."""
    files.make_private(directory)
    path = directory / f"{name}.{clock.wall_ns()}"
    files.replace(path, data, durable=True)
    return path
