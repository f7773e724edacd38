"""The oracle's look at lanes: which producers live, which are still to be drained, and who is not heard."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.verification.live import Lanes, find_lanes, live_producers

HOLDER = """
import fcntl, sys
held = open(sys.argv[1], "r+b")
fcntl.lockf(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

PROBE = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("held")
"""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a runtime directory that belongs to `tmp_path / "logs"`."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    log_dir, directory = tmp_path / "logs", tmp_path / "pipeline-7" / "key"
    log_dir.mkdir()
    directory.mkdir(parents=True)
    home = {"log_dir": str(log_dir), "state_dir": str(tmp_path / "state"), "instance": "i00000000"}
    (directory / "home.json").write_text(json.dumps(home))
    return directory


def add_lane(place: Path, producer: str) -> Path:
    """Create a lane and return its `alive` file."""
    (place / producer).mkdir(parents=True)
    (place / producer / "alive").touch()
    return place / producer / "alive"


def test_producer_is_live_while_its_lock_is_held_and_queued_afterwards(runtime: Path) -> None:
    """The lock decides, since pids lie; a lane without it waits to be drained."""
    alive = add_lane(runtime / "lanes", "p")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, alive], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert live_producers(runtime, ()) == Lanes(live=frozenset({"p"}))
        holder.communicate()
    assert live_producers(runtime, ()) == Lanes(queued=frozenset({"p"}))


def test_asking_does_not_take_this_process_own_lock_away(runtime: Path) -> None:
    """Closing a descriptor drops this process's own lock on the file; a producer may verify its logs."""
    alive = add_lane(runtime / "lanes", "p")
    with alive.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert live_producers(runtime, ()) == Lanes(live=frozenset({"p"}))
        probe = subprocess.run([sys.executable, "-c", PROBE, alive], capture_output=True, check=True)
    assert probe.stdout == b"held\n"


def test_lanes_are_found_in_memory_and_on_both_disks(runtime: Path, tmp_path: Path) -> None:
    """A lane may be in the runtime directory, in the log directory or in the state directory."""
    log_dir = tmp_path / "logs"
    add_lane(runtime / "lanes", "memory")
    add_lane(log_dir / ".pipeline" / "lanes" / "key", "disk")
    add_lane(tmp_path / "state" / "lanes" / "other", "state")
    assert find_lanes(log_dir).queued == {"memory", "disk", "state"}


def test_producer_seen_alive_at_one_moment_counts_as_live() -> None:
    """Lanes are looked up twice; a life that ends or begins in between is a life."""
    live, queued = Lanes(live=frozenset({"p"})), Lanes(queued=frozenset({"p", "q"}))
    assert live | queued == queued | live == Lanes(frozenset({"p"}), frozenset({"q"}))


def test_runtime_directory_of_a_user_who_owns_no_log_is_ignored(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's lanes must not excuse what is missing from the files."""
    add_lane(runtime / "lanes", "p")
    stranger = frozenset({runtime.stat().st_uid + 1})
    monkeypatch.setattr("pipeline.verification.live._owners", lambda _: stranger)
    assert not find_lanes(tmp_path / "logs")


@pytest.mark.parametrize("content", ['{"log_dir": "/elsewhere"}', '{"log_dir": 5}', "[]", "{", "\udcff"])
def test_runtime_directory_of_somebody_else_is_ignored(runtime: Path, tmp_path: Path, content: str) -> None:
    """A directory that does not name this log directory, or is damaged, says nothing about it."""
    add_lane(runtime / "lanes", "p")
    (runtime / "home.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert not find_lanes(tmp_path / "logs")


def test_runtime_directory_behind_a_link_is_ignored(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where anybody may create names, a link must not bring in lanes that excuse what is missing."""
    add_lane(runtime / "lanes", "p")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "pipeline-8").symlink_to(runtime.parent)
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path / "public"))
    assert not find_lanes(tmp_path / "logs")
