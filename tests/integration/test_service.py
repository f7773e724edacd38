"""The supervisor as a service, the signals it takes, and how writer and supervisor keep each other alive."""

import os
import signal
import sys

import pytest
from support.apps import App, Site
from support.waiting import until

PRODUCER = """
    import sys
    import pipeline
    from stage import emit, hear, note, say
    import os
    how = getattr(pipeline, sys.argv[1])
    pl = how(os.environ["SITE_LOG_DIR"])
    count = 0
    say("ready")
    while (word := hear()) != "end":
        if word == "flush":
            say("flushed", pl.flush(30))
            continue
        for _ in range(int(word)):
            count += 1
            emit(f"{sys.argv[1]} {os.getpid()} {count}")
        say("emitted")
"""


def produce(app: App, count: int) -> None:
    """Let a producer emit some records."""
    app.tell(str(count))
    app.expect("emitted")


def end(app: App) -> None:
    """Let a producer end."""
    app.tell("end")
    assert app.wait() == 0, app.error_text()


def serve(site: Site) -> App:
    """Start the service in the foreground, as `pipeline run` does."""
    places = site.places
    command = [sys.executable, "-P", "-m", "workers", "supervisor", "--log-dir", str(places.log_dir)]
    command += ["--state-dir", str(places.state_dir), "--service", "--take-over"]
    return site.command(command)


def test_a_service_takes_over_drains_on_sigterm_and_the_next_one_goes_on(site: Site) -> None:
    """
    From an app's supervisor to the service.

    After its end producers queue and start nothing; the next drains.
    """
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    produce(app, 100)
    first = site.supervisor()
    service = serve(site)
    until(lambda: site.workers("supervisor") == [service.pid], "the service alone")
    until(lambda: site.health()["service"], "health of the service")
    produce(app, 100)
    assert first not in site.workers()
    service.kill(signal.SIGTERM)
    produce(app, 100)
    end(app)
    assert service.wait() == 0, service.error_text()
    until(lambda: not site.workers(), "the end of the writer")
    assert len(site.accepted()) == 300
    site.check_ends(site.check())

    late = site.app(PRODUCER, "attach")
    late.expect("ready")
    produce(late, 100)
    assert not site.workers()
    end(late)
    assert not site.workers()
    assert len(site.of_type("work")) == 300

    service = serve(site)
    until(lambda: len(site.of_type("work")) == 400, "what was queued")
    service.kill(signal.SIGTERM)
    assert service.wait() == 0
    until(lambda: not site.workers(), "the end of the writer")
    site.check_ends(site.check())


def test_a_service_without_producers_stays_and_ends_when_told(site: Site) -> None:
    """
    No idle end: a service is there for apps to come.

    SIGINT ends it like SIGTERM, and nothing is left of it.
    """
    service = serve(site)
    until(lambda: site.health()["status"] == "ok", "a healthy service")
    app = site.app(PRODUCER, "attach")
    app.expect("ready")
    produce(app, 10)
    end(app)
    until(site.ends, "the end of the producer")
    writer = site.writer()
    until(lambda: site.health()["queue"]["lanes"] <= 1, "a queue without producers")
    assert site.writer() == writer
    assert service.process.poll() is None
    service.kill(signal.SIGINT)
    assert service.wait() == 0
    until(lambda: not site.workers(), "the end of the writer")
    assert [record["reason"] for record in site.of_type("pipeline_stopped")] == ["stopped"]


def test_an_app_ends_the_stop_of_a_service_by_starting_a_pipeline_again(site: Site) -> None:
    """start_pipeline() is an order to start; only attach() waits for the operator."""
    service = serve(site)
    site.writer()
    service.kill(signal.SIGTERM)
    assert service.wait() == 0
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    produce(app, 10)
    end(app)
    site.until_ended()
    site.check_ends(site.check())


def test_sigusr1_flushes_sigusr2_reloads_and_sighup_opens_the_files_again(site: Site) -> None:
    """
    Signals of an operator, while records flow.

    Everything to the disk, another writer, a file by its name.
    """
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    produce(app, 100)
    site.signal_supervisor(signal.SIGUSR1)
    until(lambda: site.health()["counts"].get("durable", 0) >= 100, "100 durable records")

    writer = site.writer()
    site.signal_supervisor(signal.SIGUSR2)
    until(lambda: site.writer() != writer, "another writer")
    produce(app, 100)
    app.tell("flush")
    assert app.expect("flushed") == "True"
    until(lambda: site.health()["workers"][1]["state"] == "running", "a running writer")
    assert site.health()["workers"][1]["restarts"] == 1
    assert "writer_restarted" not in site.health()["reasons"], "a reload is no crash"

    (day,) = site.files()
    moved = day.with_suffix(".jsonl.1")
    day.rename(moved)
    site.signal_supervisor(signal.SIGHUP)
    produce(app, 100)
    app.tell("flush")
    assert app.expect("flushed") == "True"
    assert site.of_type("work")
    moved.rename(site.log_dir / "2000-01-01.jsonl")
    end(app)
    site.until_ended()
    assert len(site.accepted()) == 300
    site.check_ends(site.check())


@pytest.mark.smoke
def test_the_writer_starts_a_killed_supervisor_again(site: Site) -> None:
    """SIGKILL of the supervisor: the same writer goes on under a new one, and there is one of each."""
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    produce(app, 100)
    supervisor, writer = site.supervisor(), site.writer()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: site.workers("supervisor") not in ([supervisor], []), "another supervisor")
    produce(app, 100)
    until(lambda: "writer" in str(site.health()["workers"]), "health again")
    until(lambda: len(site.workers("supervisor")) == len(site.workers("writer")) == 1, "one of each")
    assert site.writer() == writer
    end(app)
    site.until_ended()
    site.check_ends(site.check())


def test_a_killed_writer_is_replaced_and_says_so(site: Site) -> None:
    """
    SIGKILL of the writer, several times.

    Writing again each time, told in the stream, nothing lost or twice.
    """
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    for _ in range(3):
        produce(app, 100)
        writer = site.writer()
        os.kill(writer, signal.SIGKILL)
        until(lambda gone=writer: site.workers("writer") not in ([gone], []), "another writer")
    produce(app, 100)
    app.tell("flush")
    assert app.expect("flushed") == "True"
    end(app)
    site.until_ended()
    restarted = site.of_type("writer_restarted")
    assert restarted
    assert all("SIGKILL" in record["cause"] for record in restarted)
    assert len(site.accepted()) == 400
    site.check_ends(site.check())


def test_the_next_records_start_both_again_after_both_were_killed(site: Site) -> None:
    """Nobody but the producer is left: its emit() looks, and what was queued meanwhile is written."""
    app = site.app("""
        import time
        from stage import emit, hear, say, start
        pl = start()
        emit("first")
        say("ready")
        hear()
        count = 1
        emit("record 1")
        while not pl.flush(0.05):
            count += 1
            emit(f"record {count}")
        say("flushed")
        hear()
    """)
    app.expect("ready")
    until(lambda: site.records() if site.files() else None, "the first record")
    pids = [site.supervisor(), site.writer()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not site.workers(), "the end of both")
    app.tell("go")
    app.expect("flushed", 10)
    until(lambda: len(site.workers("supervisor")) == len(site.workers("writer")) == 1, "one of each")
    end(app)
    site.until_ended()
    site.check_ends(site.check())


def test_a_stopped_supervisor_is_no_reason_for_a_second_one(site: Site) -> None:
    """
    SIGSTOP of the supervisor: it holds its lock, so there stays one.

    After SIGCONT the writer was not replaced.
    """
    app = site.app(PRODUCER, "start_pipeline")
    app.expect("ready")
    produce(app, 10)
    supervisor, writer = site.supervisor(), site.writer()
    os.kill(supervisor, signal.SIGSTOP)
    for _ in range(4):
        produce(app, 100)
        app.tell("flush")
        assert app.expect("flushed") == "True"
    os.kill(supervisor, signal.SIGCONT)
    until(lambda: site.health()["counts"].get("written", 0) >= 410, "health")
    assert (site.supervisor(), site.writer()) == (supervisor, writer)
    assert len(site.workers()) == 2
    end(app)
    site.until_ended()
    site.check_ends(site.check())


def test_a_hanging_writer_is_replaced_past_its_heartbeat_timeout(site: Site) -> None:
    """
    SIGSTOP for longer than heartbeat_timeout_sec.

    SIGABRT leaves a stack in workers.log, a successor writes on.
    """
    app = site.app("""
        from stage import emit, hear, say, start
        pl = start(heartbeat_timeout_sec=1)
        emit("one")
        assert pl.flush(30)
        say("ready")
        hear()
        for index in range(1000):
            emit(f"record {index}")
        assert pl.flush(60)
    """)
    app.expect("ready")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    app.tell("go")
    until(lambda: site.workers("writer") not in ([writer], []), "another writer")
    assert app.wait() == 0, app.error_text()
    site.until_ended()
    site.check_ends(site.check())
    log = (site.log_dir / ".pipeline" / "workers.log").read_text()
    assert "SIGABRT" in log
    assert "Current thread" in log


def test_launchers_that_come_at_once_start_one_of_each(site: Site) -> None:
    """
    Twelve applications start at the same moment over one directory.

    One supervisor, one writer, all records.
    """
    text = """
        from stage import emit, hear, say, start
        import sys
        say("here")
        hear()
        start()
        for index in range(50):
            emit(f"{sys.argv[1]} {index}")
        say("emitted")
        hear()
    """
    apps = [site.app(text, str(number)) for number in range(12)]
    for app in apps:
        app.expect("here")
    for app in apps:
        app.tell("go")
    for app in apps:
        app.expect("emitted")
    until(lambda: len(site.workers("supervisor")) == len(site.workers("writer")) == 1, "one of each")
    for app in apps:
        app.tell("end")
        assert app.wait() == 0, app.error_text()
    site.until_ended()
    assert len(site.accepted()) == 600
    assert len(site.check_ends(site.check())) == 12
    assert len(site.of_type("pipeline_started")) == 1
