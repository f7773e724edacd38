"""Real neighbours: web servers, a task queue, daemons and programs that close every descriptor they find."""

import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from support.apps import Site
from support.servers import broker_of_files, celery_worker, fetch, free_port
from support.waiting import until

WSGI = """
    import os
    from stage import emit, start

    if "PRELOAD" in os.environ:
        start()

    def application(environ, respond):
        if "PRELOAD" not in os.environ and not STARTED:
            STARTED.append(start())
        emit(environ["PATH_INFO"])
        respond("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % os.getpid()]

    STARTED = []
"""


@pytest.mark.parametrize("preload", [True, False], ids=["started in the master", "started in each worker"])
def test_gunicorn_workers_record_each_request(preload: bool, site: Site) -> None:
    """
    Two workers, forked from a master that did or did not start the pipeline.

    SIGTERM ends all, nothing is lost.
    """
    (site.scripts / "wsgi.py").write_text(textwrap.dedent(WSGI))
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "wsgi:application"]
    env = {"PRELOAD": "1"} if preload else {}
    server = site.command([*command, *(["--preload"] if preload else [])], **env)
    until(lambda: fetch(port, "/first"), "an answer of gunicorn")
    pids = {fetch(port, f"/request {index}".replace(" ", "-")) for index in range(60)}
    assert b"" not in pids
    server.kill(signal.SIGTERM)
    assert server.wait() == 0, server.error_text()
    site.until_ended()
    assert len(site.accepted()) == 61
    ends = site.check_ends(site.check())
    assert {end["action_type"] for end in ends.values()} == {"producer_closed"}


def test_uvicorn_workers_record_each_request(site: Site) -> None:
    """
    Two spawned workers whose lifespan starts and closes it.

    Uvicorn's last act is to kill itself by SIGTERM.
    """
    (site.scripts / "asgi.py").write_text(
        textwrap.dedent("""
            import os
            import pipeline
            from pipeline.app import default
            from stage import note, start

            async def application(scope, receive, send):
                if scope["type"] == "lifespan":
                    while True:
                        message = await receive()
                        if message["type"] == "lifespan.startup":
                            start()
                        else:
                            pipeline.close()
                        await send({"type": message["type"] + ".complete"})
                number = await default().aemit("work", tag=scope["path"], pid=os.getpid())
                note(scope["path"], number)
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
        """)
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--workers", "2", "--port", str(port), "asgi:application"]
    server = site.command(command)
    until(lambda: fetch(port, "/first"), "an answer of uvicorn")
    answers = [fetch(port, f"/request-{index}") for index in range(60)]
    assert all(answers)
    server.kill(signal.SIGTERM)
    server.wait()
    site.until_ended()
    assert len(site.accepted()) == 61
    ends = site.check_ends(site.check())
    assert {end["action_type"] for end in ends.values()} == {"producer_closed"}


def test_celery_prefork_workers_record_each_task(site: Site) -> None:
    """Tasks in prefork children, by a broker of files; a warm shutdown closes the lanes."""
    (site.scripts / "tasks.py").write_text(
        textwrap.dedent(f"""
            import celery
            from stage import emit, start

            app = celery.Celery("tasks", broker="filesystem://")
            app.conf.update(
                broker_transport_options={broker_of_files(site)},
                worker_hijack_root_logger=False,
            )
            start()

            @app.task
            def work(name):
                emit(f"task {{name}}")
        """)
    )
    worker = celery_worker(site, "WARNING")
    site.run("""
        import tasks
        for index in range(40):
            tasks.work.delay(index)
    """)
    until(lambda: len(site.accepted()) == 40, "all tasks", 60)
    worker.kill(signal.SIGTERM)
    worker.wait()
    site.until_ended()
    records = site.check()
    ends = site.check_ends(records)
    assert {end["action_type"] for end in ends.values()} == {"producer_closed"}, worker.error_text()


def test_an_app_that_closes_all_its_descriptors_goes_on_and_harms_no_file_of_its_own(site: Site) -> None:
    """
    After os.closerange() the numbers of our descriptors are the app's.

    Not a byte of ours gets into its files.
    """
    site.run("""
        import os, time
        from stage import emit, start
        start()
        strangers = [os.open(f"stranger{n}", os.O_RDWR | os.O_CREAT) for n in range(3)]
        for index in range(10):
            emit(f"before {index}")
        for turn in range(2):
            os.closerange(3, 1024)
            strangers = [os.open(f"stranger{turn}.{n}", os.O_RDWR | os.O_CREAT) for n in range(40)]
            end = time.monotonic() + 1.1
            index = 0
            while time.monotonic() < end:
                index += 1
                emit(f"turn {turn}, {index}")
                time.sleep(0.005)
    """)
    site.until_ended()
    strangers = list(site.scripts.glob("stranger*"))
    assert len(strangers) == 83
    assert all(path.stat().st_size == 0 for path in strangers)
    records = site.check()
    assert site.check_ends(records)


@pytest.mark.parametrize("lanes", ["memory", "disk"])
def test_a_daemon_keeps_recording_and_writes_into_no_file_of_strangers(lanes: str, site: Site) -> None:
    """
    Double fork, setsid, all descriptors closed.

    The daemon's lane is its own, and the launching process's ends.
    """
    app = site.app(
        """
        import os, sys, time
        from stage import emit, say, start
        start(lanes=sys.argv[1])
        emit("before")
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 1024)
        strangers = [os.open(f"stranger{n}", os.O_RDWR | os.O_CREAT) for n in range(40)]
        for index in range(300):
            emit(f"daemon {index}")
            time.sleep(0.005)
        with open("done", "w") as file:
            file.write(str(os.getpid()))
    """,
        lanes,
    )
    assert app.wait() == 0
    until((site.scripts / "done").exists, "the daemon's end")
    site.until_ended()
    assert len(site.accepted()) == 301
    assert all(path.stat().st_size == 0 for path in site.scripts.glob("stranger*"))
    site.check_ends(site.check())


def test_a_pipe_behind_the_app_ends_with_the_app(site: Site) -> None:
    """`app | cat`: our processes hold no descriptor of the app, so its reader sees the end at once."""
    app = site.command(
        ["sh", "-c", f"{sys.executable} {site.script(PIPED)} | cat; echo cat-ended; exec sleep 0"]
    )
    app.expect("ready")
    app.expect("cat-ended", 5)
    assert site.workers(), "our processes had ended already: this shows nothing"
    assert app.wait() == 0
    site.until_ended()
    site.check()


PIPED = """
    from stage import emit, say, start
    start()
    emit("one")
    import pipeline
    pipeline.flush(20)
    say("ready")
"""


def test_a_supervisor_that_reaps_everything_meets_none_of_our_processes(site: Site) -> None:
    """
    os.wait() in a thread, a SIGCHLD handler and psutil's children.

    An app that minds its children sees only its own.
    """
    site.run("""
        import os, signal, subprocess, threading, time
        import psutil
        from stage import emit, start
        signals = []
        signal.signal(signal.SIGCHLD, lambda *_: signals.append(os.getpid()))
        pl = start()
        emit("one")
        assert pl.flush(20)
        assert signals == [], signals
        assert psutil.Process().children(recursive=True) == []
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
            raise SystemExit(f"a child that is not ours: {pid}")
        except ChildProcessError:
            pass
        child = subprocess.Popen(["true"])
        pid, status = os.wait()
        assert pid == child.pid
        child.returncode = 0
        assert len(signals) == 1
    """)
    assert site.workers()
    site.until_ended()


def test_no_warning_of_ours_reaches_an_app_that_makes_warnings_errors(site: Site) -> None:
    """-W error with development mode: no ResourceWarning, no DeprecationWarning, nothing on stderr."""
    app = site.run(
        """
        import gc
        from stage import emit, start
        pl = start()
        for index in range(100):
            emit(f"record {index}")
        pl.health()
        pl.flush(20)
        pl.close()
        pl = start()
        emit("again")
        del pl
        gc.collect()
    """,
        python=(sys.executable, "-X", "dev", "-W", "error"),
    )
    assert app.error_text() == ""
    site.until_ended()
    site.check()


def test_stdin_stdout_and_terminal_of_the_app_are_not_ours(site: Site) -> None:
    """The workers run in /, in a session of their own, with nothing open of the app's."""
    app = site.app("""
        import os
        from stage import emit, hear, say, start
        keep = open("held-open", "w")
        os.set_inheritable(keep.fileno(), True)
        start()
        emit("one")
        say("ready")
        hear()
    """)
    app.expect("ready")
    site.writer()
    for pid in site.workers():
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) not in (os.getsid(app.pid), 0)
        targets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}
        assert targets == {"/dev/null"}
        held = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if os.path.lexists(link)]
        assert not [name for name in held if name.endswith("held-open")], held
    app.tell("end")
    assert app.wait() == 0
    site.until_ended()
