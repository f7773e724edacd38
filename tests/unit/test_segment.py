"""
Segments: what a full disk, a short write, an interrupted one and a slow one leave.

And what a header says.
"""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pipeline.errors import LaneError
from pipeline.queue import layout, segment as segments
from pipeline.queue.layout import HEAD_WORD, HEADER_BYTES, OFFSET_BITS, OFFSET_MASK, Header
from pipeline.queue.segment import DiskSegment, MemorySegment

Kind = type[MemorySegment | DiskSegment]
KINDS = [MemorySegment, DiskSegment]


@pytest.fixture
def lane_dir(tmp_path: Path) -> Path:
    """Give a directory for segments."""
    return tmp_path


def made(kind: Kind, directory: Path, serial: int = 1, size: int = 4096) -> MemorySegment | DiskSegment:
    """Make a segment."""
    return kind(directory, serial, "0123456789ab", "2025-11-21", 5, size)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def segment(request: pytest.FixtureRequest, lane_dir: Path) -> Iterator[MemorySegment | DiskSegment]:
    """Give a segment of each kind."""
    one = made(request.param, lane_dir)
    yield one
    one.close()


def records_of(one: MemorySegment | DiskSegment) -> int:
    """Return how many records the head counts."""
    return one.words[HEAD_WORD] >> OFFSET_BITS


def end_of(one: MemorySegment | DiskSegment) -> int:
    """Return where the head says that the records end."""
    return one.words[HEAD_WORD] & OFFSET_MASK


def test_a_new_segment_is_empty_and_says_whose_it_is(segment: MemorySegment | DiskSegment) -> None:
    """Before the first record the whole header stands."""
    header = layout.unpack_header(segment.path.read_bytes(), "")
    assert (header.producer, header.period, header.first_number) == ("0123456789ab", "2025-11-21", 5)
    assert (header.state, header.end, header.records) == (layout.OPEN, HEADER_BYTES, 0)
    assert segment.committed() == b""


def test_each_append_moves_the_head_by_one_record_and_its_bytes(segment: MemorySegment | DiskSegment) -> None:
    """Number and place of the next record both follow from it."""
    lines = [b"a\n", b"bb\n", b"", b"ccc\n"]
    for line in filter(None, lines):
        segment.append(line)
    assert segment.committed() == b"".join(lines)
    assert records_of(segment) == 3
    assert end_of(segment) == HEADER_BYTES + 9
    assert segment.path.read_bytes()[HEADER_BYTES : HEADER_BYTES + 9] == b"a\nbb\nccc\n"


def test_a_segment_that_was_succeeded_says_so(segment: MemorySegment | DiskSegment) -> None:
    """And nothing else of it has changed."""
    segment.append(b"a\n")
    before = segment.path.read_bytes()
    segment.mark_succeeded()
    after = segment.path.read_bytes()
    assert layout.unpack_header(after, "").state == layout.SUCCEEDED
    assert after[HEADER_BYTES:] == before[HEADER_BYTES:]


def test_a_removed_segment_knows_it_and_still_has_its_records(segment: MemorySegment | DiskSegment) -> None:
    """Its bytes are there until it is closed, and it can still be marked."""
    segment.append(b"a\n")
    assert not segment.is_unlinked()
    segment.path.unlink()
    assert segment.is_unlinked()
    segment.append(b"b\n")
    assert segment.committed() == b"a\nb\n"
    segment.mark_succeeded()


def test_a_draft_of_a_dead_attempt_is_no_obstacle(lane_dir: Path) -> None:
    """A producer died, or was interrupted, while it made this very segment."""
    for serial, kind in enumerate(KINDS, 1):
        (lane_dir / f".{serial:08d}.new").write_bytes(b"half")
        one = made(kind, lane_dir, serial)
        one.append(b"a\n")
        assert one.committed() == b"a\n"
        one.close()
    assert not list(lane_dir.glob(".*"))


def test_memory_is_allocated_before_it_is_mapped(lane_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full /dev/shm is an OSError at the making, which leaves nothing, and no SIGBUS at a later store."""

    def full(_fd: int, _offset: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(segments.os, "posix_fallocate", full)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no space"):
        made(MemorySegment, lane_dir)
    assert os.listdir(lane_dir) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_segment_in_memory_has_all_its_blocks(lane_dir: Path) -> None:
    """A sparse file would be a promise that a full file system breaks with SIGBUS."""
    one = made(MemorySegment, lane_dir, size=1 << 20)
    assert one.path.stat().st_blocks * 512 >= 1 << 20
    one.close()


def test_a_disk_segment_is_never_mapped(lane_dir: Path) -> None:
    """A stalled or failing disk then stops a thread, and not Python, and not the application."""
    one = made(DiskSegment, lane_dir)
    one.append(b"a\n")
    with open("/proc/self/maps") as maps:
        assert str(one.path) not in maps.read()
    one.close()


SHORT_WRITE = """
import resource, signal, sys
from pathlib import Path
from pipeline.queue.segment import DiskSegment

one = DiskSegment(Path(sys.argv[1]), 1, "0123456789ab", "2025-11-21", 1, 1 << 20)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
refused = accepted = 0
for index in range(20):
    try:
        one.append(b"%019d\\n" % index)
        accepted += 1
    except OSError:
        refused += 1
data = one.path.read_bytes()[128:]
assert refused and accepted == 8, (refused, accepted)
assert data == b"".join(b"%019d\\n" % index for index in range(8)), data
assert one.words[2] >> 32 == 8 and one.words[2] & 0xFFFFFFFF == len(data) + 128
one.mark_succeeded()
"""


def test_a_short_write_is_cut_back_to_the_last_whole_line(lane_dir: Path) -> None:
    """At a real limit the kernel first writes a part and then refuses; nothing of the record stays."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", SHORT_WRITE, str(lane_dir)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.returncode != -signal.SIGXFSZ


class Interrupted(BaseException):
    """What a signal handler raised."""


@pytest.mark.parametrize("part", [0, 1, 5, 10, 11])
def test_an_interrupted_write_is_mended_before_the_next(
    lane_dir: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """
    A signal handler raised behind a part of the write, or behind all of it.

    Whole lines count, a half one goes.
    """
    one = made(DiskSegment, lane_dir)
    one.append(b"first\n")
    line = b"0123456789\n"
    real = segments.files.write_all

    def interrupted(fd: int, data: bytes) -> None:
        real(fd, data[:part])
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(segments.files, "write_all", interrupted)
        with pytest.raises(Interrupted):
            one.append(line)
    one.mend_if_torn()
    whole = part == len(line)
    assert records_of(one) == 1 + whole
    one.append(b"last\n")
    assert one.committed() == b"first\n" + line * whole + b"last\n" == one.path.read_bytes()[HEADER_BYTES:]
    one.close()


def test_a_descriptor_that_is_somebody_elses_now_is_never_written(lane_dir: Path, tmp_path: Path) -> None:
    """The application closed all descriptors and opened its own; the number of ours is theirs."""
    one = made(DiskSegment, lane_dir)
    fd = one._fd
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"precious")
    other = os.open(theirs, os.O_RDWR | os.O_APPEND)
    os.dup2(other, fd)
    with pytest.raises(OSError, match="closed"):
        one.append(b"a\n")
    one.close()
    assert os.fstat(fd).st_ino == theirs.stat().st_ino, "it was closed although it is not ours"
    assert theirs.read_bytes() == b"precious"
    os.close(fd)
    os.close(other)


@given(
    head=st.integers(0, (1 << 64) - 1),
    first=st.integers(0, (1 << 64) - 1),
    state=st.integers(0, 1),
    place=st.integers(0, 1),
)
def test_a_header_comes_back_as_it_was_packed(head: int, first: int, state: int, place: int) -> None:
    """Every field, at the offsets of the diagram."""
    header = Header(layout.VERSION, place, head, first, state, "2025-11-21", "0123456789ab")
    packed = layout.pack_header(header)
    assert len(packed) == HEADER_BYTES
    assert layout.unpack_header(packed, "") == header
    assert memoryview(packed).cast("Q")[HEAD_WORD] == head
    assert memoryview(packed).cast("Q")[layout.STATE_WORD] == state


@pytest.mark.parametrize("data", [b"", b"PIPELANE", bytes(128), b"X" * 128, b"PIPELANE" + b"\xff" * 120])
def test_what_is_no_segment_is_a_lane_error(data: bytes) -> None:
    """It names the file, and is no error of Python."""
    with pytest.raises(LaneError) as caught:
        layout.unpack_header(data, "the/file")
    assert caught.value.where == "the/file"


@pytest.mark.parametrize(
    ("name", "serial"),
    [("00000001.seg", 1), ("123456789.seg", 123_456_789), ("x.seg", None), (".00000001.new", None),
     ("1.seg.gz", None), ("alive", None), ("", None), ("-1.seg", None)],
)  # fmt: skip
def test_only_segments_have_a_serial(name: str, serial: int | None) -> None:
    """Whatever else lies in a lane's directory is passed over."""
    assert layout.serial_of(name) == serial


@given(data=st.binary(max_size=300))
def test_a_damaged_alive_file_says_what_can_be_read(data: bytes) -> None:
    """No bytes in it raise an error in the writer."""
    about = layout.unpack_alive(data)
    assert isinstance(about.process, dict)
    assert len(about.dropped) == 7
