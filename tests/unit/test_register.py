"""The register of ended producers: what stands there survives; what cannot be written stops nobody."""

import os
from pathlib import Path

import pytest

from pipeline.delivery.checkpoint import Checkpoint
from pipeline.delivery.register import Register, line_of
from pipeline.verification.register import read_registers

ADA, BOB = "ada000000000", "bob000000000"


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """Give a register in an empty directory."""
    return Register(Checkpoint(tmp_path, ""))


def test_what_is_noted_is_read_and_other_instances_too(register: Register, tmp_path: Path) -> None:
    """Beside the checkpoint, one file for each instance; a producer that emitted nothing has no line."""
    assert register.note({ADA: 7, BOB: 0})
    other = Register(Checkpoint(tmp_path, "i1a2b3c4d"))
    assert other.note({BOB: 1 << 40})
    assert (register.path.name, other.path.name) == ("ended_producers", "ended_producers.i1a2b3c4d")
    assert register.path.read_bytes() == line_of(ADA, 7)
    assert read_registers([tmp_path, tmp_path / "nowhere"]) == {ADA: 7, BOB: 1 << 40}


def test_a_lane_that_cannot_go_yet_is_noted_once_and_its_highest_number_counts(register: Register) -> None:
    """A pass after the other; a successor that does not know says it again."""
    for last in (7, 7, 9):
        assert register.note({ADA: last})
    assert register.path.read_bytes() == line_of(ADA, 7) + line_of(ADA, 9)
    assert Register(register._checkpoint).note({ADA: 9})
    assert register.note({ADA: 8})
    assert read_registers([register.path.parent]) == {ADA: 9}


def test_half_a_line_spoils_no_other(register: Register) -> None:
    """A full disk or a power cut may leave it; zeros, foreign text and a wrong sum say nothing either."""
    whole = line_of(ADA, 7) + b"\0\0\0\n" + line_of(BOB, 3).replace(b" 3 ", b" 4 ") + b"ada 1\n\xff\n"
    register.path.write_bytes(whole + line_of(BOB, 5)[:-4])
    assert register.note({BOB: 6})
    assert read_registers([register.path.parent]) == {ADA: 7, BOB: 6}


def test_what_cannot_be_written_waits_for_the_next_time(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or must not: it does not raise, and it makes no directory where a volume may be missing."""
    real = os.fsync

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert not register.note({ADA: 7})
    assert "No space" in register.error
    monkeypatch.setattr(os, "fsync", real)
    assert register.note({BOB: 3})
    assert register.error == ""
    assert read_registers([register.path.parent]) == {ADA: 7, BOB: 3}
    assert not register.note({ADA: 8}, may_write=False)
    assert read_registers([register.path.parent]) == {ADA: 7, BOB: 3}
    assert register.note({})
    assert read_registers([register.path.parent]) == {ADA: 8, BOB: 3}
    away = register.path.parent / "away"
    assert not Register(Checkpoint(away, "")).note({ADA: 1})
    assert not away.exists()
