"""Where things live: the same answer for everybody, and no directory of somebody else's."""

import os
from pathlib import Path

import pytest

from pipeline import paths
from pipeline.errors import RuntimeDirectoryError, SettingsError
from pipeline.host import files, processes
from pipeline.paths import create_runtime, places_for, resolve_log_dir


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put runtime directories below the test's own directory."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(root))
    monkeypatch.delenv("PIPELINE_LOG_DIR", raising=False)
    return root


def test_the_log_directory_is_found_in_its_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As given, else the variable, else a place in the user's home; `~` and `$NAME` are expanded."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", "here")
    assert resolve_log_dir() == tmp_path / "home/.pipeline/logs"
    assert resolve_log_dir("~/x/$PLACE/${PLACE}") == tmp_path / "home/x/here/here"
    monkeypatch.setenv("PIPELINE_LOG_DIR", "~/from/$PLACE")
    assert resolve_log_dir() == tmp_path / "home/from/here"
    assert resolve_log_dir("/given") == Path("/given")
    assert resolve_log_dir("") == tmp_path / "home/from/here"


def test_a_name_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory called `$LOGS` is nobody's wish."""
    monkeypatch.delenv("NOWHERE", raising=False)
    for text in ("$NOWHERE/logs", "~/$NOWHERE", "/x/${NOWHERE}"):
        with pytest.raises(SettingsError) as caught:
            resolve_log_dir(text)
        assert caught.value.where == "log_dir"


def test_ways_to_one_directory_are_one_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, with dots, over a symbolic link."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("logs")
    monkeypatch.chdir(tmp_path)
    ways = ["logs", "./logs", "link", str(tmp_path / "logs"), "x/../logs"]
    assert len({places_for(resolve_log_dir(way)).runtime_dir for way in ways}) == 1


def test_who_differs_in_one_thing_is_another_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log directory, state directory, pid namespace, boot, user."""
    logs = tmp_path / "logs"
    here = places_for(logs)
    assert places_for(logs) == here
    assert places_for(tmp_path / "other").runtime_dir != here.runtime_dir
    assert places_for(logs, str(tmp_path / "state")).runtime_dir != here.runtime_dir
    with monkeypatch.context() as patch:
        patch.setattr(processes, "pid_namespace", lambda: "pid:[1]")
        there = places_for(logs)
        assert there.runtime_dir != here.runtime_dir
        assert there.instance != here.instance
    with monkeypatch.context() as patch:
        patch.setattr(processes, "boot_id", lambda: "another boot")
        assert places_for(logs).instance != here.instance
    with monkeypatch.context() as patch:
        patch.setattr(paths.os, "geteuid", lambda: 4242)
        assert places_for(logs).instance != here.instance


def test_a_runtime_directory_is_private(tmp_path: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        places = places_for(tmp_path / "logs")
        create_runtime(places)
    finally:
        os.umask(before)
    for path in (places.runtime_dir.parent, places.runtime_dir, places.lanes_dir):
        assert path.stat().st_mode & 0o777 == 0o700
    assert places.runtime("home.json").stat().st_mode & 0o077 == 0
    assert files.read_json(places.runtime("home.json"))["log_dir"] == str(tmp_path / "logs")
    create_runtime(places)


@pytest.mark.parametrize("where", ["root", "runtime"])
@pytest.mark.parametrize("what", ["open to others", "a link", "a file", "somebody else's"])
def test_a_directory_that_somebody_prepared_is_refused(own_root: Path, where: str, what: str) -> None:
    """It is not used, not changed and not removed, and the error says what to do."""
    places = places_for(own_root / "logs")
    trap = {"root": places.runtime_dir.parent, "runtime": places.runtime_dir}[where]
    if where == "runtime":
        places.runtime_dir.parent.mkdir(mode=0o700)
    elsewhere = own_root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if what == "a link":
        trap.symlink_to(elsewhere)
    elif what == "a file":
        trap.write_text("mine")
    else:
        trap.mkdir(mode=0o700)
        if what == "open to others":
            trap.chmod(0o755)
        elif os.geteuid() == 0:
            os.chown(trap, 12345, 12345)
        else:
            pytest.skip("only root can give a directory away")
    before = trap.lstat()
    with pytest.raises(RuntimeDirectoryError) as caught:
        create_runtime(places_for(own_root / "logs"))
    assert caught.value.remedy
    after = trap.lstat()
    assert (before.st_mode, before.st_uid, before.st_ino) == (after.st_mode, after.st_uid, after.st_ino)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("path", "is_memory"),
    [("/dev/shm", True), ("/dev/shm/a/b", True), ("/dev/shmx", False), ("/", False), ("/data/fast", True),
     ("/data", False), ("/data/faster", False)],
)  # fmt: skip
def test_only_a_file_system_in_memory_is_memory(
    monkeypatch: pytest.MonkeyPatch, path: str, is_memory: bool
) -> None:
    """The deepest mount above a path decides, and a name that only begins alike does not."""
    table = "21 1 254:0 / / rw - ext4 /dev/vda rw\n22 21 0:27 / /dev/shm rw shared:3 - tmpfs tmpfs rw\n"
    table += "23 21 254:1 / /data rw - xfs /dev/vdb rw\n24 23 0:30 / /data/fast rw - ramfs ramfs rw\n"
    real = Path.read_bytes
    monkeypatch.setattr(
        Path,
        "read_bytes",
        lambda self: table.encode() if str(self) == "/proc/self/mountinfo" else real(self),
    )
    monkeypatch.setattr(paths.os.path, "realpath", str)
    assert paths.is_in_memory(Path(path)) is is_memory
