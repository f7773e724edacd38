"""docs/testing.md is for tests of users: each example on it is run, in a process of its own."""

import errno
import os
import re
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from support.apps import Site

from pipeline.host import clock
from pipeline.testing import FakeClock, FaultyDirectory, LogDirectoryAway

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_example_of_the_page_does_what_it_says(site: Site) -> None:
    """One after the other; the one with a fixture is run by pytest."""
    assert len(EXAMPLES) == 6
    for example in EXAMPLES:
        if "def test_" in example:
            test = site.scripts / "test_cart.py"
            test.write_text(EXAMPLES[0] + example)
            app = site.command([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)])
            assert app.wait() == 0
        else:
            site.run(example)
    site_logs = site.scripts / "logs"
    kept = "".join(path.read_text() for path in site_logs.glob("*.jsonl"))
    assert [kept.count(f'"action_type":"{name}"') for name in ("before", "meanwhile")] == [1, 1]


def test_a_fake_clock_gives_everything_back() -> None:
    """One inside another, and an error inside: afterwards the clocks are the real ones."""
    before = clock.wall_ns, clock.monotonic, clock.monotonic_ns, clock.sleep
    with suppress(ZeroDivisionError), FakeClock() as outer, FakeClock(tick_sec=1.0) as inner:
        assert clock.monotonic() == inner.monotonic == 1001.0
        inner.__exit__(None, None, None)
        assert clock.monotonic() == outer.monotonic
        raise ZeroDivisionError
    assert (clock.wall_ns, clock.monotonic, clock.monotonic_ns, clock.sleep) == before
    with pytest.raises(ValueError, match="zone"):
        FakeClock(datetime(2025, 11, 21))  # noqa: DTZ001 - that is the mistake


def test_a_wait_lets_as_much_time_pass_on_the_fake_clock() -> None:
    """What waits for another process comes to its deadline, and really waits meanwhile."""
    waits: list[float] = []
    with FakeClock(on_sleep=waits.append):
        deadline = clock.Deadline(1.0)
        while not deadline.has_passed:
            clock.sleep(0.25)
    assert waits == [0.25] * 4


def test_a_faulty_directory_refuses_what_is_said_there_and_nowhere_else(tmp_path: Path) -> None:
    """Each operation by its errno, for names that are meant; other names and directories are left alone."""
    inside = tmp_path / "in"
    inside.mkdir()
    with FaultyDirectory(inside, only="*.dat") as disk:
        fd, other = (os.open(inside / name, os.O_RDWR | os.O_CREAT) for name in ("a.dat", "a.txt"))
        disk.refuses = dict.fromkeys(("open", "write", "cut", "sync", "name"), errno.EROFS)
        for refused in (
            lambda: os.open(inside / "b.dat", os.O_RDONLY),
            lambda: os.write(fd, b"x"),
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.writev(fd, [b"x", b"y"]),
            lambda: os.ftruncate(fd, 0),
            lambda: os.fsync(fd),
            lambda: os.mkdir(inside / "d.dat", 0o700),
            lambda: os.unlink(inside / "a.dat"),
            lambda: os.rename(inside / "a.txt", inside / "c.dat"),
        ):
            with pytest.raises(OSError, match=r"\.dat|a\.txt") as raised:
                refused()
            assert raised.value.errno == errno.EROFS
        assert os.write(other, b"x") == 1
        (tmp_path / "a.dat").write_bytes(b"x")
        disk.refuses.clear()
        disk.room = 4
        assert (os.writev(fd, [b"12", b"34", b"5"]), os.pwrite(fd, b"", 0)) == (4, 0)
        with pytest.raises(OSError, match="No space left"):
            os.pwrite(fd, b"x", 0)
        disk.room = None
        assert os.write(fd, b"56") == 2
        os.close(fd)
        os.close(other)
    assert (inside / "a.dat").read_bytes() == b"123456"


def test_a_log_directory_that_is_away_comes_back_whatever_happens(tmp_path: Path) -> None:
    """Its files and its inode are the same, also after an error inside."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "day").write_text("kept")
    with suppress(ZeroDivisionError), LogDirectoryAway(tmp_path / "logs"):
        assert (tmp_path / "logs").is_file()
        raise ZeroDivisionError
    assert (tmp_path / "logs" / "day").read_text() == "kept"
    assert os.listdir(tmp_path) == ["logs"]
