"""Secrets that tests hide in records, and where bytes of them are found."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from support.secret_corpus import made

if TYPE_CHECKING:
    from pathlib import Path

SECRET = made("ghp_{alnum:36}", random.Random(8)).text
"""Known by its form."""
PASSWORD = "hunter22hunter22"
"""Known by the name beside it."""


def files_with(needle: bytes, *roots: Path) -> list[Path]:
    """Return the files below some directories that hold these bytes, lanes and stores included."""
    return [path for root in roots for path in root.rglob("*") if path.is_file() and needle in _content(path)]


def leaks(*roots: Path) -> list[Path]:
    """Return the files below some directories in which a telling piece of either secret can be read."""
    return [path for needle in (SECRET[8:20], PASSWORD) for path in files_with(needle.encode(), *roots)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a segment that was released meanwhile
        return b""
