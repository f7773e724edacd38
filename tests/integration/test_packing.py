"""
One day file is packed: a copy that is proven, synced and named before the plain one goes, or nothing at all.

The days are written by the real writer (tests/support/rig.py); kills are in crash/test_keeper_killed.py.
"""

import errno
import os
import shutil
import stat
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from support.archive import DAYS
from support.packing import SUFFIXES, day_files, drafts, pack, small_pieces, when_reached
from support.rig import Rig
from support.unpacking import content

from pipeline.cli.mask_search import Search
from pipeline.errors import PackingRefused
from pipeline.keeping import packing
from pipeline.keeping.packing import Packing
from pipeline.privacy import Masker
from pipeline.query import LogQueryEngine
from pipeline.storage import manifest
from pipeline.storage.holding import hold
from pipeline.verification import account, verify

DAY = DAYS[0]


@pytest.mark.parametrize("compression", SUFFIXES)
def test_a_packed_day_is_the_same_day(rig: Rig, logs: Path, compression: str) -> None:
    """Its bytes, times and mode; its records for verify and account; it says what was saved."""
    plain, data = logs / DAY, (logs / DAY).read_bytes()
    os.chmod(plain, 0o640)
    os.utime(plain, ns=(1, 1_700_000_000_123_456_789))
    reports = verify(logs), account(logs)
    run = pack(rig, DAY, compression)
    packed = logs / f"{DAY}.{SUFFIXES[compression]}"
    assert content(packed) == data
    assert not plain.exists()
    assert not drafts(logs)
    found = packed.stat()
    assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (1_700_000_000_123_456_789, 0o640)
    assert (run.before, run.after) == (len(data), found.st_size)
    again = verify(logs), account(logs)
    assert not again[0].findings
    assert again[0].records == reports[0].records
    assert again[1].as_dict() == reports[1].as_dict()


def test_pieces_of_a_packed_day_are_read_by_themselves(rig: Rig, logs: Path) -> None:
    """The table at the end says where each begins; no line is in two of them."""
    data = (logs / DAY).read_bytes()
    pack(rig, DAY)
    packed = (logs / f"{DAY}.zst").read_bytes()
    count, flags, magic = struct.unpack("<IBI", packed[-9:])
    assert (flags, magic) == (0, 0x8F92EAB1)
    assert count > 3
    table = packed[-9 - 8 * count : -9]
    assert struct.unpack("<II", packed[-17 - 8 * count : -9 - 8 * count]) == (0x184D2A5E, len(table) + 9)
    place, pieces = 0, []
    for size, length in struct.iter_unpack("<II", table):
        pieces.append(zstandard.ZstdDecompressor().decompress(packed[place : place + size]))
        assert len(pieces[-1]) == length
        assert pieces[-1].endswith(b"\n")
        assert pieces[-1].startswith(b'{"timest')
        place += size
    assert b"".join(pieces) == data


def test_a_line_longer_than_a_piece_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound; one that is longer is cut anywhere."""
    small_pieces(monkeypatch, 100)
    monkeypatch.setattr(packing, "PIECE_BYTES_MAX", 1000)
    lines = [b"a" * 50, b"b" * 600, b"c" * 30, b"d" * 2500, b"e"]
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines))
    with path.open("rb") as file:
        pieces = list(packing.pieces(file.fileno()))
    assert b"".join(pieces) == path.read_bytes()
    assert pieces[1].startswith(lines[1] + b"\n")
    assert max(map(len, pieces)) <= 1000


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("a stranger was here\n")


def _touch_a_byte(path: Path) -> None:
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(about.st_size // 2)
        file.write(b"#")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _put_another_in_place(path: Path) -> None:
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


CHANGES = [_append, _touch_a_byte, _put_another_in_place, lambda path: os.truncate(path, 1000)]


@pytest.mark.parametrize("change", CHANGES, ids=["append", "byte", "replace", "truncate"])
@pytest.mark.parametrize("point", ["keeper.pack.partial", "keeper.pack.synced", "keeper.pack.named"])
def test_a_file_that_somebody_changes_while_it_is_packed_stays(
    rig: Rig, logs: Path, change: Callable[[Path], object], point: str
) -> None:
    """Whatever was changed, and when: the plain file is there as they left it, and no packed one."""
    path = logs / DAY
    when_reached(rig.patch, point, lambda: change(path))
    with pytest.raises(PackingRefused):
        pack(rig, DAY)
    left = path.read_bytes()
    assert day_files(logs) == DAYS
    assert not drafts(logs)
    with pytest.raises(PackingRefused) if change is not _put_another_in_place else _nothing():
        pack(rig, DAY)  # what its manifest does not have is evidence; the same bytes again are no change
    assert path.read_bytes() == left if path.exists() else content(logs / f"{DAY}.zst") == left


class _nothing:  # noqa: N801 - stands where a context manager does
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _no_manifest(logs: Path) -> None:
    (logs / ".pipeline" / "manifests" / f"{DAY}.manifest").unlink()


def _entry_gone(logs: Path) -> None:
    path = logs / ".pipeline" / "manifests" / f"{DAY}.manifest"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))


REFUSED = {
    "no entry in a manifest": _no_manifest,
    "do not fit together": _entry_gone,
    "not what its manifest says": lambda logs: _touch_a_byte(logs / DAY),
    "have no entry": lambda logs: _append(logs / DAY),
    "shorter than its manifest": lambda logs: os.truncate(logs / DAY, 1000),
    "a packed copy of it is there": lambda logs: (logs / f"{DAY}.gz").write_bytes(b"of somebody"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_the_manifest_does_not_prove_stays_as_it_is(rig: Rig, logs: Path, why: str) -> None:
    """Damaged, foreign or unknown bytes are evidence: verify finds in them what it found before."""
    REFUSED[why](logs)
    before, names = (logs / DAY).read_bytes(), day_files(logs)
    with pytest.raises(PackingRefused, match=why):
        pack(rig, DAY)
    assert (logs / DAY).read_bytes() == before
    assert day_files(logs) == names
    assert not drafts(logs)


def test_what_was_rebuilt_is_packed_as_it_is(rig: Rig, logs: Path) -> None:
    """Nobody can say that it is what was appended; packed, verify still says so."""
    manifest_of_day = logs / ".pipeline" / "manifests" / f"{DAY}.manifest"
    manifest_of_day.unlink()
    chain = manifest.Chain(logs / ".pipeline", "")
    size = (logs / DAY).stat().st_size
    from pipeline.storage import manifest_repair

    manifest_repair.rebuild(chain, logs, DAY, [(0, size)], lambda _count: None)
    data = (logs / DAY).read_bytes()
    pack(rig, DAY)
    assert content(logs / f"{DAY}.zst") == data


def test_a_file_that_is_open_to_append_is_not_packed(rig: Rig) -> None:
    """The writer has today's file; once it is sealed, it may be packed."""
    emitter = rig.producer()
    rig.start_writer()
    rig.emit(emitter, 1)
    rig.drain()
    assert hold(rig.places.log_dir / DAY) is None
    with pytest.raises(PackingRefused, match="being written"):
        pack(rig, DAY)
    rig.pass_time(2 * 86_400.0)
    rig.emit(emitter, 2)
    rig.drain()
    pack(rig, DAY)
    assert day_files(rig.places.log_dir) == ["2025-11-21.jsonl.zst", "2025-11-23.jsonl"]


FAULTS = {
    "write": errno.ENOSPC,
    "fsync": errno.EIO,
    "pread": errno.EIO,
    "replace": errno.ENOSPC,
    "unlink": errno.EROFS,
}


@pytest.mark.parametrize("call", FAULTS)
def test_a_disk_that_refuses_leaves_the_plain_file(rig: Rig, logs: Path, call: str) -> None:
    """No room for the copy, or an error while it is written, read or named: tried again, it is packed."""
    data = (logs / DAY).read_bytes()
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_args: object, **_more: object) -> None:
            raise OSError(FAULTS[call], os.strerror(FAULTS[call]))

        where = Path if call in ("replace", "unlink") else os
        when_reached(patch, "keeper.pack.partial", lambda: patch.setattr(where, call, refuse))
        with pytest.raises(OSError, match=os.strerror(FAULTS[call])):
            pack(rig, DAY)
    assert (logs / DAY).read_bytes() == data
    assert not verify(logs).findings
    for name in packing.remove_drafts(rig.places):
        assert name == f"{DAY}.zst"
    run = (
        packing.mend(rig.places, DAY)
        if (logs / f"{DAY}.zst").exists()
        else Packing(rig.places, DAY, "zstd").steps()
    )
    assert sum(run) > 0
    assert not (logs / DAY).exists()
    assert content(logs / f"{DAY}.zst") == data


def test_a_packing_that_is_given_up_leaves_no_trace(rig: Rig, logs: Path) -> None:
    """After any number of steps."""
    before = (logs / DAY).stat()[:7]
    count = sum(1 for _ in Packing(rig.places, DAYS[1], "zstd").steps())
    for number in range(0, count - 1, 3):
        steps = Packing(rig.places, DAY, "zstd").steps()
        for _ in range(number):
            next(steps)
        steps.close()
        assert (logs / DAY).stat()[:7] == before
        assert not drafts(logs)


def test_a_copy_that_is_not_what_was_packed_is_thrown_away(rig: Rig, logs: Path) -> None:
    """A bit that the disk turned between writing and reading: the plain file stays."""
    draft = logs / ".pipeline" / packing.DIRECTORY / f"{DAY}.zst"

    def damage() -> None:
        data = bytearray(draft.read_bytes())
        data[len(data) // 2] ^= 1
        draft.write_bytes(data)

    when_reached(rig.patch, "keeper.pack.synced", damage)
    with pytest.raises(PackingRefused, match="its packed copy"):
        pack(rig, DAY)
    assert day_files(logs) == DAYS
    assert not drafts(logs)


def test_a_packed_copy_that_differs_from_its_plain_file_stays_beside_it(rig: Rig, logs: Path) -> None:
    """Somebody unpacked it and wrote into it: a person has to say what is what; plain is what is read."""
    data = (logs / DAY).read_bytes()
    pack(rig, DAY)
    (logs / DAY).write_bytes(data.replace(b'"tag":3', b'"tag":4', 1))
    with pytest.raises(PackingRefused):
        list(packing.mend(rig.places, DAY))
    assert day_files(logs)[:2] == [DAY, f"{DAY}.zst"]
    (logs / DAY).write_bytes(data)
    list(packing.mend(rig.places, DAY))
    assert day_files(logs)[:2] == [f"{DAY}.zst", DAYS[1]]


def test_a_damaged_packed_copy_never_takes_the_place_of_its_plain_file(rig: Rig, logs: Path) -> None:
    """Half of one that somebody is making, or one that is damaged: the plain file stays."""
    data = (logs / DAY).read_bytes()
    pack(rig, DAY)
    packed = logs / f"{DAY}.zst"
    (logs / DAY).write_bytes(data)
    os.truncate(packed, packed.stat().st_size // 2)
    with pytest.raises(PackingRefused, match="its packed copy"):
        list(packing.mend(rig.places, DAY))
    assert (logs / DAY).read_bytes() == data


def test_a_copy_is_on_the_disk_under_its_name_before_the_plain_file_goes(rig: Rig, logs: Path) -> None:
    """The order of what a power cut could undo: the copy's bytes, its name, the end of the plain file."""
    told: list[str] = []
    real = os.fsync, Path.replace, Path.unlink

    def fsync(fd: int) -> None:
        told.append(f"sync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")
        real[0](fd)

    def replace(path: Path, target: Path) -> None:
        told.append(f"name {target.name}")
        real[1](path, target)

    def unlink(path: Path) -> None:
        if path.name == DAY:
            told.append(f"unlink {path.name}")
        real[2](path)

    rig.patch.setattr(os, "fsync", fsync)
    rig.patch.setattr(Path, "replace", replace)
    rig.patch.setattr(Path, "unlink", unlink)
    pack(rig, DAY)
    packed = f"{DAY}.zst"
    assert told == [f"sync {packed}", f"name {packed}", "sync logs", f"unlink {DAY}", "sync logs"]


POINTS = ["keeper.pack.partial", "keeper.pack.synced", "keeper.pack.renamed", "keeper.pack.unlinked"]


@pytest.mark.parametrize("point", POINTS)
def test_readers_find_the_same_at_every_moment_of_packing(rig: Rig, logs: Path, point: str) -> None:
    """Verify, account, the search for secrets and the query engine: before, in the middle, and afterwards."""

    def look() -> tuple[object, ...]:
        report, search = verify(logs), Search(Masker(), 10)
        search.look_into(logs, None)
        found = Counter(record["producer"] for record in LogQueryEngine(logs).iter())
        return (
            report.records,
            dict(report.counts),
            account(logs).as_dict(),
            search.records,
            search.unread,
            found,
        )

    before, seen = look(), []
    when_reached(rig.patch, point, lambda: seen.append(look()))
    pack(rig, DAY)
    assert [*seen, look()] == [before, before]
