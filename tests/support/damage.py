"""Damage to a file, as a person, a power cut or a failing disk does it."""

import os
import random
import struct
from pathlib import Path


def zeros(page: Path) -> None:
    """Fill the page with zeros."""
    page.write_bytes(bytes(page.stat().st_size))


def noise(page: Path) -> None:
    """Fill the page with anything."""
    page.write_bytes(random.Random(7).randbytes(page.stat().st_size))


def both_slots(page: Path) -> None:
    """Leave the head as it is, and fill both intents with anything."""
    data = page.read_bytes()
    page.write_bytes(data[:4096] + random.Random(7).randbytes(len(data) - 4096))


def half(page: Path) -> None:
    """Cut it in the middle of an intent."""
    os.truncate(page, 4096 + 20)


def emptied(page: Path) -> None:
    """Leave no byte of it."""
    os.truncate(page, 0)


def other_version(page: Path) -> None:
    """Make it one of another version."""
    with page.open("r+b") as file:
        file.seek(8)
        file.write(struct.pack("=Q", 99))


DAMAGES = [Path.unlink, zeros, noise, both_slots, half, emptied, other_version]
