"""Each reason code of health is provoked here, or in a test of its subject, and seen to clear again."""

import json
import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.apps import App, Site
from support.waiting import until

from pipeline.health.reasons import REASONS
from pipeline.storage import fallback_places
from pipeline.verification import verify

HERE = Path(__file__).parent

HOLDING = """
    import json, os, sys
    import pipeline
    from stage import emit, hear, say
    how = getattr(pipeline, sys.argv[1])
    pl = how(os.environ["SITE_LOG_DIR"], **json.loads(sys.argv[2]))
    emit("first", filling="x")
    say("ready")
    while (word := hear()) not in ("end", ""):
        if word == "health":
            say("health", json.dumps(pl.health()))
            continue
        count, _, size = word.partition(" ")
        for index in range(int(count)):
            emit(f"{word} {index}", filling="x" * int(size or 0))
        say("emitted")
"""


def start(site: Site, how: str = "start_pipeline", **options: object) -> App:
    """Start an application and wait for it."""
    app = site.app(HOLDING, how, json.dumps(options), PYTHONPATH=str(site.home / "ballast"))
    app.expect("ready")
    return app


def emit(app: App, words: str) -> None:
    """Let the application emit `count size` records."""
    app.tell(words)
    app.expect("emitted")


def end(site: Site, app: App) -> None:
    """End the application; everything has to be in the files then, whatever the trouble was."""
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    site.until_ended(30)
    site.check_ends(site.check())


def own_reasons(app: App) -> list[str]:
    """Return the reasons as the application's handle sees them."""
    app.tell("health")
    return json.loads(app.expect("health"))["reasons"]


def test_every_reason_is_provoked_and_seen_to_clear_in_a_test() -> None:
    """A new code needs a test: its name has to stand in one that waits for it, and for its end."""
    text = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    waiting = r"until(?:_own)?_reason\((?:app, )?"
    provoked = set(re.findall(waiting + r'"(\w+)"\)', text))
    provoked |= set(re.findall(r'return "(\w+)" in', text))
    cleared = set(re.findall(waiting + r'"(\w+)", holds=False', text))
    assert provoked == cleared == set(REASONS)


def until_own_reason(app: App, code: str, *, holds: bool = True) -> None:
    """Wait until a reason is, or is no longer, in what the application's handle says."""
    until(lambda: (code in own_reasons(app)) is holds, f"{code}: {holds}")


def test_supervisor_down(site: Site) -> None:
    """A stopped service: nobody answers, the handle says so; the next service clears it."""
    places = site.places
    serve = [sys.executable, "-P", "-m", "workers", "supervisor", "--log-dir", str(places.log_dir)]
    serve += ["--state-dir", str(places.state_dir), "--service", "--take-over"]
    service = site.command(serve)
    site.writer()
    service.kill(signal.SIGTERM)
    assert service.wait() == 0
    app = start(site, "attach")
    until_own_reason(app, "supervisor_down")
    service = site.command(serve)
    until_own_reason(app, "supervisor_down", holds=False)
    app.tell("end")
    app.wait()
    service.kill(signal.SIGTERM)
    assert service.wait() == 0
    site.check_ends(site.check())


def test_writer_down(site: Site) -> None:
    """A writer that is killed again and again is started at growing intervals, in which there is none."""
    app = start(site)
    codes: set[str] = set()

    def is_seen() -> bool:
        for pid in site.workers("writer"):
            os.kill(pid, signal.SIGKILL)
        codes.update(site.health()["reasons"])
        return "writer_down" in codes

    site.writer()
    until(is_seen, "an interval without a writer")
    site.until_reason("writer_down", holds=False)
    end(site, app)


def test_writer_boot_failed(site: Site) -> None:
    """A writer that cannot begin at all: its heartbeat file has become a directory."""
    app = start(site)
    writer = site.writer()
    site.supervisor()
    beat = site.places.runtime("writer.beat")
    beat.unlink()
    beat.mkdir()
    os.kill(writer, signal.SIGKILL)
    health = site.until_reason("writer_boot_failed")
    assert health["status"] == "failing"
    beat.rmdir()
    site.until_reason("writer_boot_failed", holds=False)
    end(site, app)


def test_heartbeat_stale(site: Site) -> None:
    """Between the end of heartbeat_timeout_sec and the end of the hanging writer."""
    app = start(site, heartbeat_timeout_sec=1)
    site.writer()
    codes: set[str] = set()

    def is_seen() -> bool:
        for pid in site.workers("writer"):
            os.kill(pid, signal.SIGSTOP)
        codes.update(site.health()["reasons"])
        return "heartbeat_stale" in codes

    until(is_seen, "a stale heartbeat", 60)
    for pid in site.workers("writer"):
        os.kill(pid, signal.SIGCONT)
    site.until_reason("heartbeat_stale", holds=False)
    end(site, app)


def test_writer_restarted_and_sync_late(site: Site) -> None:
    """Both are told for 10 s: a writer that was killed, and an emit() that had to wait for it."""
    app = start(site, async_logging=False, sync_timeout_sec=0.2)
    site.supervisor()
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    emit(app, "1")
    until_own_reason(app, "sync_late")
    os.kill(writer, signal.SIGKILL)
    assert site.until_reason("writer_restarted")["workers"][1]["restarts"] == 1
    site.until_reason("writer_restarted", holds=False)
    until_own_reason(app, "sync_late", holds=False)
    end(site, app)


def test_append_lock_taken(site: Site) -> None:
    """Somebody else, perhaps on another host, holds the append lock of the same files."""
    locks = site.log_dir / ".pipeline"
    locks.mkdir(mode=0o700, parents=True)
    locker = site.app(
        """
        import fcntl, sys
        from stage import hear, say
        file = open(sys.argv[1], "w")
        fcntl.lockf(file, fcntl.LOCK_EX)
        say("locked")
        hear()
        """,
        str(locks / "append.lock"),
    )
    locker.expect("locked")
    app = start(site, fallback_dir=str(site.home / "fallback"), breaker_probe_sec=0.2)
    emit(app, "5")
    site.until_reason("append_lock_taken")
    health = site.until_reason("fallback_in_use")
    assert health["status"] == "failing"
    assert set(health["reasons"]) & {"append_lock_taken", "append_failing"} == {"append_lock_taken"}
    assert f"pid {locker.pid} (python" in health["last_error"]
    assert health["workers"][1]["heartbeat_age_sec"] < 5
    locker.tell("go")
    locker.wait()
    site.until_reason("append_lock_taken", holds=False)
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    site.until_ended(30)
    assert verify(site.log_dir).ok
    stored = [(record["tag"], record["action_number"]) for record in site.records() if "tag" in record]
    assert sorted(stored) == sorted(site.accepted())


def test_append_failing(site: Site) -> None:
    """A directory stands where the day file should be; the error is told, records wait."""
    today = datetime.now(UTC).date()
    obstacles = [site.log_dir / f"{today + timedelta(days)}.jsonl" for days in (0, 1)]
    for obstacle in obstacles:
        obstacle.mkdir(parents=True)
    app = start(site)
    emit(app, "50")
    health = site.until_reason("append_failing")
    assert "Is a directory" in health["last_error"]
    assert health["queue"]["records"] >= 51
    for obstacle in obstacles:
        obstacle.rmdir()
    assert site.until_reason("append_failing", holds=False)["last_error"] == ""
    end(site, app)


def test_fallback_in_use_and_failing(site: Site) -> None:
    """With the log directory away records are in the store, or wait while there is none; then they return."""
    home = site.home / "fallback"
    directory = home / fallback_places.key_of(site.log_dir)
    app = start(site, fallback_dir=str(home), retry_max=0, breaker_failures=1, breaker_probe_sec=0.2)
    until(lambda: site.health()["counts"].get("durable", 0) >= 2, "a day file that is durable")
    away = site.log_dir.rename(site.home / "logs.away")
    site.log_dir.touch()
    emit(app, "50")
    found = site.until_reason("fallback_in_use")["fallback"]
    assert sum(found["reasons"].values()) == found["records"] > 0
    until(lambda: site.health()["breaker"]["state"] == "open", "an open breaker")
    assert b'pipeline_breaker_state{state="open"} 1' in site.get("/metrics")[1]
    hidden = directory.rename(home / "hidden")
    directory.touch()
    emit(app, "50")
    site.until_reason("fallback_failing")
    directory.unlink()
    hidden.rename(directory)
    site.until_reason("fallback_failing", holds=False)
    site.log_dir.unlink()
    away.rename(site.log_dir)
    site.until_reason("fallback_in_use", holds=False)
    said = site.health()
    assert (said["breaker"]["state"], said["breaker"]["failures"]) == ("closed", 0)
    assert said["counts"]["replayed"] > 0
    end(site, app)


def test_fallback_same_mount(site: Site) -> None:
    """A store beside the log directory is said to protect little, and health is ok all the same."""
    app = start(site, fallback_dir=str(site.home / "fallback"))
    health = site.until_reason("fallback_same_mount")
    assert health["status"] == "ok"
    end(site, app)
    app = start(site)
    site.until_reason("fallback_same_mount", holds=False)
    end(site, app)


def test_state_dir_unwritable(site: Site) -> None:
    """The checkpoint cannot be stored; records are written all the same."""
    obstacle = site.log_dir / ".pipeline" / "checkpoint.json"
    obstacle.mkdir(parents=True)
    (obstacle / "in-the-way").touch()
    app = start(site)
    emit(app, "40 100000")
    emit(app, "1")
    site.until_reason("state_dir_unwritable")
    (obstacle / "in-the-way").unlink()
    obstacle.rmdir()
    emit(app, "41 100000")
    site.until_reason("state_dir_unwritable", holds=False)
    end(site, app)


def test_manifest_late(site: Site) -> None:
    """A file stands where the manifests have to be; records are written all the same, their entries later."""
    obstacle = site.log_dir / ".pipeline" / "manifests"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    app = start(site)
    emit(app, "40")
    site.until_reason("manifest_late")
    obstacle.unlink()
    emit(app, "20 100000")
    site.until_reason("manifest_late", holds=False)
    end(site, app)
    report = verify(site.log_dir)
    assert (report.findings, report.unproven) == ((), ())


def test_queue_deep(site: Site) -> None:
    """More than 80 % of queue_size records wait."""
    app = start(site, queue_size=100)
    writer = site.writer()
    site.until_reason("queue_deep", holds=False)
    os.kill(writer, signal.SIGSTOP)
    emit(app, "90")
    site.until_reason("queue_deep")
    os.kill(writer, signal.SIGCONT)
    site.until_reason("queue_deep", holds=False)
    end(site, app)


def test_queue_pressed_full_and_records_dropped(site: Site) -> None:
    """The quota: at 80 % it is pressed, at its end full, and what is refused is told."""
    app = start(site, queue_max_mb=4, queue_full_strategy="drop_newest")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)

    def is_pressed() -> bool:
        emit(app, "1 50000")
        return "queue_pressed" in site.health()["reasons"]

    until(is_pressed, "a pressed queue")
    emit(app, "200 50000")
    site.until_reason("queue_full")
    os.kill(writer, signal.SIGCONT)
    health = site.until_reason("records_dropped")
    assert health["dropped"]["queue_full"] > 0
    site.until_reason("queue_full", holds=False)
    site.until_reason("queue_pressed", holds=False)
    end(site, app)
    told = sum(record["count"] for record in site.of_type("records_dropped"))
    assert told == 1 + 200 + told_attempts(site) - len(site.accepted())


def told_attempts(site: Site) -> int:
    """Return how many single records were tried while the queue filled: all but the last were accepted."""
    return sum(tag.startswith("1 50000") for tag, _ in site.accepted())


@pytest.mark.soak
def test_records_dropped_clears_after_a_minute(site: Site) -> None:
    """Drops are told for 60 s after the last one."""
    app = start(site, queue_max_mb=1, queue_full_strategy="drop_newest")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    emit(app, "300 10000")
    os.kill(writer, signal.SIGCONT)
    site.until_reason("records_dropped")
    site.until_reason("records_dropped", holds=False, timeout_sec=120)
    end(site, app)


def test_memory_high(site: Site) -> None:
    """A writer above 80 % of its limit, and below 100 %; its successor is lighter."""
    site.weigh_down_first_writer(160)
    app = start(site, worker_memory_max_mb=210)
    site.until_reason("memory_high")
    os.kill(site.writer(), signal.SIGKILL)
    site.until_reason("memory_high", holds=False)
    end(site, app)


def test_settings_rejected(site: Site) -> None:
    """
    A value that cannot be used: told by the endpoint and by the handle, with the sentence.

    A right one clears it.
    """
    app = start(site, batch_size=-1)
    site.writer()
    health = site.until_reason("settings_rejected")
    until(lambda: site.health()["status"] == "degraded", "a writer that works")
    assert "batch_size" in health["settings_rejected"][0]
    assert "settings_rejected" in own_reasons(app)
    end(site, app)
    app = start(site, batch_size=50)
    site.until_reason("settings_rejected", holds=False)
    assert "settings_rejected" not in own_reasons(app)
    end(site, app)
