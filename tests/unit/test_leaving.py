"""The three ways in which a file takes its leave, on real files, directories and commands."""

import os
import sys
from pathlib import Path

import pytest
from support.waiting import until

from pipeline.errors import LeavingError
from pipeline.keeping.leaving import COMMAND, MOVE, Way, leave

NAME = "2025-11-21.jsonl"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Give a file that is to leave."""
    path = tmp_path / "logs" / NAME
    path.parent.mkdir()
    path.write_bytes(b"line\n" * 1000)
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.fixture(params=["linked", "copied"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a directory to move to: on the same file system, and as good as on another one."""
    if request.param == "copied":

        def refused(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refused)
    return tmp_path / "archive" / "old"


def program(text: str) -> tuple[str, ...]:
    """Return a command that runs Python with the path as its argument."""
    return (sys.executable, "-c", text, "{path}")


def test_a_deleted_file_is_gone_with_its_copy(day: Path) -> None:
    """Also the packed one that somebody was just making."""
    copy = day.with_name(NAME + ".zst")
    copy.touch()
    leave([day, copy], Way())
    assert os.listdir(day.parent) == []


def test_a_moved_file_keeps_bytes_mode_and_time(day: Path, archive: Path) -> None:
    """And nothing else is at the new place, which is made when it is missing."""
    content = day.read_bytes()
    leave([day], Way(MOVE, archive))
    moved = archive / NAME
    assert (moved.read_bytes(), moved.stat().st_mode & 0o777) == (content, 0o640)
    assert moved.stat().st_mtime_ns == 10**18
    assert (os.listdir(archive), day.exists()) == ([NAME], False)


def test_nothing_at_the_new_place_is_replaced_and_nothing_stands_there_twice(
    day: Path, archive: Path
) -> None:
    """L3: another file of this name stays. L1: a move that was killed is finished, not repeated."""
    archive.mkdir(parents=True)
    (archive / NAME).write_bytes(b"of another directory\n")
    (archive / f"{NAME}.1").write_bytes(day.read_bytes())
    leave([day], Way(MOVE, archive))
    assert not day.exists()
    assert sorted(os.listdir(archive)) == [NAME, f"{NAME}.1"]
    assert (archive / NAME).read_bytes() == b"of another directory\n"


def test_a_file_is_never_moved_to_where_it_is(day: Path) -> None:
    """By whatever path that is given."""
    (day.parent.parent / "same").symlink_to(day.parent)
    with pytest.raises(LeavingError, match="where they are"):
        leave([day], Way(MOVE, day.parent.parent / "same"))
    assert day.exists()


def test_a_command_gets_the_path_as_one_word_and_then_the_file_goes(day: Path) -> None:
    """No shell has a look at it."""
    odd = day.rename(day.with_name("2025-11-21.jsonl; touch x $(id)"))
    text = "import sys,shutil; shutil.copy(sys.argv[1], sys.argv[1] + '.sent')"
    leave([odd], Way(COMMAND, argv=program(text)))
    assert os.listdir(day.parent) == [odd.name + ".sent"]


def test_a_command_may_take_the_file_itself(day: Path) -> None:
    """What is gone already need not be removed."""
    leave([day], Way(COMMAND, argv=program("import sys,os; os.remove(sys.argv[1])")))
    assert not day.exists()


def test_a_file_stays_when_its_command_fails_and_the_error_says_what_it_said(day: Path) -> None:
    """L2."""
    with pytest.raises(LeavingError, match=r"ended with 3.*no route to host"):
        leave([day], Way(COMMAND, argv=program("import sys; print('no route to host'); sys.exit(3)")))
    with pytest.raises(LeavingError, match="cannot be run"):
        leave([day], Way(COMMAND, argv=("/nowhere/upload", "{path}")))
    assert day.exists()


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(day: Path) -> None:
    """And whoever waits goes on stamping its heartbeat."""
    beats: list[int] = []
    child = day.parent.parent / "child"
    text = (
        "import subprocess,sys,time; c = subprocess.Popen(['sleep', '600']);"
        f"open({str(child)!r}, 'w').write(str(c.pid)); time.sleep(600)"
    )
    with pytest.raises(LeavingError, match=r"more than 1\.5 s"):
        leave([day], Way(COMMAND, argv=program(text), timeout_sec=1.5), lambda: beats.append(1))
    assert day.exists()
    assert len(beats) > 3
    state = Path(f"/proc/{child.read_text()}/stat")
    until(lambda: not state.exists() or state.read_text().split()[2] in "ZX", "the end of its child")


def test_bytes_that_differ_are_not_the_same_file(day: Path, archive: Path) -> None:
    """Of the same length: the comparison is of bytes."""
    archive.mkdir(parents=True)
    (archive / NAME).write_bytes(day.read_bytes()[:-2] + b"E\n")
    leave([day], Way(MOVE, archive))
    assert (archive / f"{NAME}.1").read_bytes() == b"line\n" * 1000
