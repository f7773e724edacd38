"""Following: what is written from now on, once and in order, whatever becomes of the files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from support.forms import line_of, record, write_day
from support.rig import Rig

from pipeline import LogQueryEngine


def line(tag: int, **fields: object) -> bytes:
    """Return a line with a tag."""
    return line_of(record(tag, f"2025-11-21T10:00:{tag % 60:02d}.000000Z", "log", tag=tag, **fields))


class Steps:
    """Does one thing at each look of the follower, and ends it behind the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def __call__(self) -> bool:
        """Do the next thing; tell whether it was the last."""
        if self._steps:
            self._steps.pop(0)()
        return not self._steps


def followed(engine: LogQueryEngine, *steps: Callable[[], object]) -> list[int]:
    """Return the tags that are found while the steps are done."""
    return [one.record["tag"] for one in engine.follow(is_over=Steps(*steps), poll_sec=0)]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Give a day with three records."""
    write_day(tmp_path, "2025-11-21", [line(1), line(2), line(3)])
    return tmp_path / "2025-11-21.jsonl"


def adds(path: Path, data: bytes) -> Callable[[], object]:
    """Return what appends to a file, which may be new."""

    def add() -> None:
        with path.open("ab") as file:
            file.write(data)

    return add


def test_later_lines_come_as_they_are_written_behind_the_last_ones(day: Path) -> None:
    """The last n first, then each later one; half a line is waited for."""
    half = line(5)
    steps = [
        adds(day, line(4)),
        adds(day, half[:30]),
        adds(day, half[30:] + line(6)),
        adds(day.with_name("2025-11-21.1.jsonl"), line(7)),
        adds(day.with_name("2025-11-22.jsonl"), line(8)),
        adds(day.with_name("2025-11-22.i1a2b3c4d.jsonl"), line(9)),
    ]
    engine = LogQueryEngine(day.parent)
    assert followed(engine.tail(2), *steps) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_without_a_tail_it_begins_now(day: Path) -> None:
    """What is there already was not asked for."""
    assert followed(LogQueryEngine(day.parent), adds(day, line(4))) == [4]


def test_a_half_line_at_the_beginning_is_no_loss(day: Path) -> None:
    """The line that is being written when somebody begins to follow is found when it is whole."""
    adds(day, line(4)[:20])()
    assert followed(LogQueryEngine(day.parent).tail(1), adds(day, line(4)[20:])) == [3, 4]


def test_filters_hold_for_later_lines(day: Path) -> None:
    """Also names of tools that an earlier line has given."""
    engine = LogQueryEngine(day.parent).filter(tool_name="bash")
    call = line(4, tool_use_id="u", tool_name="bash")
    assert followed(engine, adds(day, call), adds(day, line(5, tool_use_id="u") + line(6))) == [4, 5]


def test_a_day_that_is_packed_or_leaves_meanwhile_is_not_given_twice(day: Path) -> None:
    """The packed file is read from where the plain one was left."""
    packed = day.with_name(f"{day.name}.zst")

    def pack() -> None:
        packed.write_bytes(zstandard.compress(day.read_bytes() + line(5)))
        day.unlink()

    steps = [adds(day, line(4)), pack, lambda: None, packed.unlink, lambda: None]
    assert followed(LogQueryEngine(day.parent).tail(1), *steps) == [3, 4, 5]


def test_a_file_that_is_cut_is_followed_from_its_new_end(day: Path) -> None:
    """Somebody empties it; what comes then is found."""
    steps = [lambda: day.write_bytes(b""), adds(day, line(9))]
    assert followed(LogQueryEngine(day.parent), *steps) == [9]


def test_it_follows_the_real_writer(rig: Rig) -> None:
    """Records that are emitted while somebody follows come once each, in order."""
    emitter = rig.producer()
    rig.start_writer()

    def emit(first: int) -> Callable[[], object]:
        def step() -> None:
            for tag in range(first, first + 5):
                rig.emit(emitter, tag)
            rig.drain()

        return step

    steps = [emit(first) for first in (0, 5, 10)]
    engine = LogQueryEngine(rig.places.log_dir).filter(where="tag >= 0")
    assert followed(engine, *steps, lambda: None) == [*range(15)]
