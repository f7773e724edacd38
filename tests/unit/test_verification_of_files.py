"""The oracle's choice of files: which are read, how far, and what becomes of those that change meanwhile."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from support.histories import GOOD

from pipeline.verification import files
from pipeline.verification.files import take_snapshot
from pipeline.verification.opener import read_chunks


def test_files_are_recognised_by_their_names(tmp_path: Path) -> None:
    """Days, hours, parts, instances, replay parts and packed files are read; nothing else is."""
    ours = [
        "2025-11-21.jsonl",
        "2025-11-21.1.jsonl",
        "2025-11-21.2.jsonl",
        "2025-11-21.10.jsonl",
        "2025-11-21.r1.jsonl",
        "2025-11-21.i1a2b3c4d.jsonl",
        "2025-11-21.i1a2b3c4d.1.jsonl",
        "2025-11-21T14.jsonl",
        "2025-11-22.jsonl.zst",
        "2025-11-23.jsonl.gz",
    ]
    others = ["metadata.json", "2025-11-21.jsonl.tmp", "notes.jsonl", "2025-11-21.json", ".2025-11-21.jsonl"]
    for name in [*ours, *others]:
        (tmp_path / name).touch()
    assert [file.name for file in take_snapshot(tmp_path).files] == ours


def test_file_that_is_there_plain_and_packed_is_read_once(tmp_path: Path) -> None:
    """While a day is being packed both are there, and neither is a duplicate."""
    for suffix in ("", ".zst", ".gz"):
        (tmp_path / f"2025-11-21.jsonl{suffix}").touch()
    assert [file.name for file in take_snapshot(tmp_path).files] == ["2025-11-21.jsonl"]


@pytest.mark.parametrize(("suffix", "compress"), [("zst", zstandard.compress), ("gz", gzip.compress)])
def test_file_that_is_packed_after_the_look_is_read_all_the_same(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    """A day that was packed between the look and the reading is not lost."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    (file,) = take_snapshot(tmp_path).files
    plain.with_name(f"{plain.name}.{suffix}").write_bytes(compress(GOOD))
    plain.unlink()
    assert b"".join(chunk.data for chunk in read_chunks(file)) == GOOD


def test_file_is_read_up_to_its_size_at_the_look_and_no_further(tmp_path: Path) -> None:
    """What is appended while we read belongs to the next verification."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(b"before")
    (file,) = take_snapshot(tmp_path).files
    with plain.open("ab") as appended:
        appended.write(b"after")
    assert b"".join(chunk.data for chunk in read_chunks(file)) == b"before"


def test_bytes_that_came_between_the_two_looks_are_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read, since older bytes may follow from them, but nothing is demanded because of them."""
    (tmp_path / "2025-11-21.jsonl").write_bytes(b"before")
    look, looks = files._look, []

    def look_while_somebody_writes(log_dir: Path) -> Iterator[files.LogFile]:
        if looks:
            (log_dir / "2025-11-21.jsonl").write_bytes(b"before, and after")
            (log_dir / "2025-11-22.jsonl").write_bytes(b"new")
        looks.append(log_dir)
        return look(log_dir)

    monkeypatch.setattr(files, "_look", look_while_somebody_writes)
    old, new = take_snapshot(tmp_path).files
    assert [(chunk.data, chunk.is_settled) for chunk in read_chunks(old)] == [
        (b"before", True),
        (b", and after", False),
    ]
    assert [(chunk.data, chunk.is_settled) for chunk in read_chunks(new)] == [(b"new", False)]


def pack(plain: Path) -> None:
    """Put a packed file in the place of a plain one."""
    plain.with_name(f"{plain.name}.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    plain.unlink()


def test_file_that_is_packed_between_listing_and_size_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is listed, and gone when its size is asked for."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    pack(plain)
    monkeypatch.setattr("pipeline.verification.files.os.listdir", lambda _: [plain.name])
    (file,) = take_snapshot(tmp_path).files
    assert b"".join(chunk.data for chunk in read_chunks(file)) == GOOD


def test_file_that_is_packed_between_the_two_looks_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packed file is never appended to: all of it may be relied on, new as it is."""
    plain = tmp_path / "2025-11-21.jsonl"
    plain.write_bytes(GOOD)
    look, looks = files._look, []

    def look_while_somebody_packs(log_dir: Path) -> Iterator[files.LogFile]:
        if looks:
            pack(plain)
        looks.append(log_dir)
        return look(log_dir)

    monkeypatch.setattr(files, "_look", look_while_somebody_packs)
    (file,) = take_snapshot(tmp_path).files
    assert (file.name, file.settled) == ("2025-11-21.jsonl.zst", file.size)
