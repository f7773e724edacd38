"""
The workers are our own code in a clean process.

Whatever the user's directory, path and interpreter are.
"""

import os
import re
import shutil
import stat
import sys
from pathlib import Path

import pytest
from support.apps import Site
from support.waiting import until

import pipeline

OURS = Path(pipeline.__file__).resolve().parents[1]


HOLDING = """
    from stage import emit, hear, say, start
    pl = start()
    emit("one")
    say("ready")
    hear()
"""

ONE = """
    from stage import emit, start
    start()
    emit("one")
"""


@pytest.mark.smoke
def test_a_users_own_workers_and_other_modules_do_not_take_our_place(site: Site) -> None:
    """
    Packages named workers, json, signal in the working directory and on PYTHONPATH.

    The workers are still ours.
    """
    trap = site.home / "trap"
    for place in (trap, site.scripts):
        (place / "workers").mkdir(parents=True)
        for name in ("workers/__init__.py", "workers/__main__.py", "resource.py"):
            (place / name).write_text("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n")
    site.run(ONE, PYTHONPATH=str(trap))
    site.until_ended()
    site.check_ends(site.check())
    assert not list(site.home.rglob("*.ran"))


def test_a_users_own_pipeline_package_beside_the_workers_is_not_imported_by_them(site: Site) -> None:
    """A `pipeline` on the PYTHONPATH that an app sets for its children, after it imported ours."""
    trap = site.home / "trap"
    (trap / "pipeline").mkdir(parents=True)
    (trap / "pipeline" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    site.run(
        """
        import os, sys
        import pipeline
        os.environ["PYTHONPATH"] = sys.argv[1]
        from stage import emit, start
        start()
        emit("one")
        """,
        str(trap),
    )
    site.until_ended()
    site.check_ends(site.check())


@pytest.mark.parametrize("how", ["frozen", "another program", "empty"])
def test_a_program_that_is_no_python_is_refused_with_the_remedy(how: str, site: Site) -> None:
    """
    A frozen or embedding program would start itself again.

    It is told to set worker_python, and that works.
    """
    site.run(
        """
        import sys
        from pipeline.errors import WorkerPythonError
        from stage import emit, start
        python, how = sys.executable, sys.argv[1]
        if how == "frozen":
            sys.frozen = True
        else:
            sys.executable = "/usr/bin/uwsgi" if how == "another program" else ""
        try:
            start()
            raise SystemExit("it started")
        except WorkerPythonError as error:
            assert "worker_python" in str(error), error
        start(worker_python=python)
        emit("one")
        """,
        how,
    )
    site.until_ended()
    site.check_ends(site.check())


def test_options_of_the_apps_interpreter_do_not_reach_the_workers(site: Site) -> None:
    """PYTHONINSPECT would keep the workers for ever, and PYTHONWARNINGS=error would end them."""
    site.run(ONE, PYTHONINSPECT="", PYTHONWARNINGS="error", PYTHONDONTWRITEBYTECODE="1", PYTHONSTARTUP="x")
    site.until_ended()
    site.check_ends(site.check())


def test_the_workers_log_shows_tracebacks_and_is_bounded(site: Site) -> None:
    """
    A writer that cannot start leaves its traceback in workers.log.

    Two files of about 1 MiB are the most.
    """
    state = site.log_dir / ".pipeline"
    state.mkdir(parents=True)
    log = state / "workers.log"
    log.write_text("old line\n" * 120_000)
    places = site.places
    for directory in (places.runtime_dir.parent, places.runtime_dir):
        directory.mkdir(mode=0o700)
    obstacle = places.runtime("writer.beat")
    obstacle.mkdir()
    app = site.app(HOLDING)
    app.expect("ready")
    until(lambda: log.exists() and "Traceback (most recent call last)" in log.read_text(), "a traceback")
    assert re.search(r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z writer\[\d+\] cannot start", log.read_text())
    obstacle.rmdir()
    app.tell("end")
    app.wait()
    site.until_ended(30)
    site.check_ends(site.check())
    sizes = {path.name: path.stat().st_size for path in state.glob("workers.log*")}
    assert set(sizes) == {"workers.log", "workers.log.1"}
    assert max(sizes.values()) < 1_200_000, sizes


def test_a_writer_above_its_memory_limit_is_replaced_without_loss(site: Site) -> None:
    """A writer with too much in memory asks for a successor and goes; its records are there once."""
    site.weigh_down_first_writer(60)
    app = site.app(
        """
        import time
        from stage import emit, hear, say, start
        start(worker_memory_max_mb=48)
        say("ready")
        end = time.monotonic() + 2
        count = 0
        while time.monotonic() < end:
            count += 1
            emit(f"record {count}")
            time.sleep(0.001)
    """,
        PYTHONPATH=str(site.home / "ballast"),
    )
    app.expect("ready")
    log = site.log_dir / ".pipeline" / "workers.log"
    until(lambda: log.exists() and "above worker_memory_max_mb" in log.read_text(), "a request")
    assert app.wait() == 0
    site.until_ended()
    site.check_ends(site.check())
    (restarted,) = site.of_type("writer_restarted")
    assert restarted["cause"] == "replaced"


def test_an_older_supervisor_hands_over_to_a_newer_library(site: Site) -> None:
    """
    An app with an older copy of the library runs.

    One with ours starts: our supervisor takes over, nothing lost.
    """
    old = site.home / "old"
    for package in ("pipeline", "workers"):
        shutil.copytree(OURS / package, old / package, ignore=shutil.ignore_patterns("__pycache__"))
    (launch,) = [
        path for path in (old / "pipeline").rglob("*.py") if 'VERSION: Final = "0.' in path.read_text()
    ]
    launch.write_text(re.sub(r'(VERSION: Final = )"[\d.]+"', r'\1"0.0.1"', launch.read_text()))
    text = """
        import pipeline, sys
        from stage import emit, hear, say, start
        start()
        say("version", pipeline.__version__)
        for index in range(200):
            emit(f"{sys.argv[1]} {index}")
        hear()
        for index in range(200):
            emit(f"{sys.argv[1]} later {index}")
    """
    first = site.app(text, "old", PYTHONPATH=str(old))
    assert first.expect("version") == "0.0.1"
    older = site.supervisor()
    second = site.app(text, "new", PYTHONPATH=None)
    assert second.expect("version") == pipeline.__version__
    until(lambda: site.workers("supervisor") not in ([older], []) and site.supervisor() != older, "a new one")
    until(lambda: older not in site.workers(), "the end of the old one")
    for app in (first, second):
        app.tell("end")
        assert app.wait() == 0, app.error_text()
    site.until_ended()
    assert site.of_type("pipeline_started")[-1]["version"] == pipeline.__version__
    assert len(site.accepted()) == 800
    site.check_ends(site.check())


def test_a_lane_of_an_unknown_version_is_kept_and_reported(site: Site) -> None:
    """
    What a later library wrote is not ours to judge.

    It stays, health says so, and everybody else is served.
    """
    app = site.app(HOLDING)
    app.expect("ready")
    site.writer()
    lanes = site.places.lanes_dir
    (mine,) = [path for path in lanes.iterdir() if b'"app"' in (path / "alive").read_bytes()]
    strange = lanes / ".new-strange00000"
    shutil.copytree(mine, strange)
    (segment,) = strange.glob("00000001.*")
    content = bytearray(segment.read_bytes())
    content[8] = 99
    segment.write_bytes(content)
    (strange / "alive").write_bytes((strange / "alive").read_bytes().replace(b"{", b" "))
    strange.rename(lanes / "strange00000")
    site.until_reason("unknown_lane_version")
    app.tell("end")
    app.wait()
    until(site.ends, "the end of the app")
    site.until_ended()
    (kept,) = [path for path in site.log_dir.rglob(segment.name) if "strange00000" in str(path)]
    assert kept.read_bytes() == bytes(content)
    again = site.app(HOLDING)
    again.expect("ready")
    site.until_reason("unknown_lane_version")
    shutil.rmtree(kept.parent)
    site.until_reason("unknown_lane_version", holds=False)
    again.tell("end")
    again.wait()
    site.until_ended()
    site.check_ends(site.check())


def test_a_removed_log_directory_without_producers_is_not_made_again(site: Site) -> None:
    """A test's tmp_path goes while our processes linger: they end, and re-create nothing."""
    app = site.app(HOLDING)
    app.expect("ready")
    site.writer()
    app.tell("end")
    app.wait()
    until(lambda: site.ends() and len(os.listdir(site.places.lanes_dir)) == 1, "the end of the app's lane")
    shutil.rmtree(site.log_dir)
    site.until_ended()
    assert not site.log_dir.exists()


def test_a_removed_log_directory_with_a_producer_is_made_again(site: Site) -> None:
    """Under a running app the directory comes back and later records are in it."""
    app = site.app("""
        from stage import emit, hear, say, start
        pl = start()
        emit("one")
        pl.flush(30, durable=True)
        say("ready")
        hear()
        emit("two")
        pl.flush(30)
    """)
    app.expect("ready")
    shutil.rmtree(site.log_dir)
    site.ledger.unlink()
    app.tell("go")
    assert app.wait() == 0
    site.until_ended()
    assert [record["tag"] for record in site.of_type("work")] == ["two"]


@pytest.mark.parametrize("trap", ["link", "open mode", "file", "other user"])
def test_a_runtime_directory_that_somebody_prepared_is_not_used(trap: str, site: Site) -> None:
    """
    A link, a directory that others may enter or own, a file.

    Start_pipeline() says so and writes nothing there.
    """
    if trap == "other user" and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    prepared = site.root / f"pipeline-{os.geteuid()}"
    elsewhere = site.home / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if trap == "link":
        prepared.symlink_to(elsewhere)
    elif trap == "file":
        prepared.write_text("")
    else:
        prepared.mkdir(mode=0o700)
        if trap == "open mode":
            prepared.chmod(0o777)
        else:
            os.chown(prepared, 65534, 65534)
    app = site.run("""
        from pipeline.errors import RuntimeDirectoryError
        from stage import say, start
        try:
            start()
            raise SystemExit("it started")
        except RuntimeDirectoryError as error:
            say("refused", error)
    """)
    assert str(site.root) in app.told[0]
    assert not list(elsewhere.iterdir())
    assert not site.workers()
    if prepared.is_dir():
        assert not list(prepared.iterdir())


def test_everything_of_ours_is_private_unless_told_otherwise(site: Site) -> None:
    """Directories 0700, files 0600; with dir_mode and file_mode as told."""
    text = """
        import sys
        from stage import emit, hear, say, start
        modes = {"dir_mode": sys.argv[1], "file_mode": sys.argv[2]} if len(sys.argv) > 1 else {}
        pl = start(**modes)
        emit("one")
        assert pl.flush(30)
        say("ready")
        hear()
    """
    app = site.app(text)
    app.expect("ready")
    found = [site.log_dir, *site.log_dir.rglob("*"), *Path(site.root).rglob("*")]
    modes = {str(path): stat.S_IMODE(path.lstat().st_mode) for path in found}
    assert {path: mode for path, mode in modes.items() if mode & 0o077} == {}
    app.tell("end")
    app.wait()
    site.until_ended()
    shutil.rmtree(site.log_dir)
    app = site.app(text, "0750", "0640")
    app.expect("ready")
    assert stat.S_IMODE(site.log_dir.stat().st_mode) == 0o750
    assert [stat.S_IMODE(path.stat().st_mode) for path in site.files()] == [0o640]
    app.tell("end")
    app.wait()


def test_the_workers_are_started_with_our_own_location_first(site: Site) -> None:
    """
    Their command line and environment, as ps shows them.

    -P -m workers, and our packages before the user's path.
    """
    app = site.app(
        """
        from stage import emit, hear, say, start
        start()
        emit("one")
        say("ready")
        hear()
        """,
        PYTHONPATH="/nonexistent/users/own",
    )
    app.expect("ready")
    site.writer()
    for pid in site.workers():
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert words[0] == sys.executable
        assert words[1:4] == ["-P", "-m", "workers"]
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
        (path,) = [value for value in environment if value.startswith("PYTHONPATH=")]
        assert path.removeprefix("PYTHONPATH=").split(":")[0] == str(OURS)
    app.tell("end")
    app.wait()
