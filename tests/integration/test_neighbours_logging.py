"""Web servers and a task queue whose own logs are records: logger class, log_config and signals, for real."""

import os
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.apps import Site, numbers_of
from support.servers import broker_of_files, fetch, free_port
from support.waiting import until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a site that ends with the test."""
    with Site(tmp_path / "site") as site:
        yield site


def fetch_surely(port: int, path: str) -> bytes:
    """Get a path of the server, again while a worker that was killed does not answer."""
    return until(lambda: fetch(port, path), f"an answer for {path}")


def check_numbers(site: Site) -> None:
    """See that each producer's numbers run 1, 2, 3 … in the order of the files."""
    for producer, numbers in numbers_of(site.records()).items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{producer}: {numbers[:50]}"


def test_gunicorn_logs_and_requests_are_records_through_kills_and_a_reload(site: Site) -> None:
    """Four workers of four threads; one is killed, then all are replaced. No answered request is missing."""
    (site.scripts / "wsgi.py").write_text(
        textwrap.dedent("""
            import os

            def application(environ, respond):
                if environ["PATH_INFO"] == "/broken":
                    respond("503 Service Unavailable", [])
                    return [b"broken"]
                respond("200 OK", [("Content-Type", "text/plain")])
                return [b"%d" % os.getpid()]
        """)
    )
    (site.scripts / "conf.py").write_text(
        "from pipeline.integrations.gunicorn import post_fork, worker_exit\n"
        "workers, threads, loglevel = 4, 4, 'info'\n"
    )
    port = free_port()
    server = site.command(
        [sys.executable, "-m", "gunicorn", "-c", "conf.py", "-b", f"127.0.0.1:{port}", "--logger-class",
         "pipeline.integrations.gunicorn.Logger", "wsgi:application"],
        PIPELINE_LOG_DIR=str(site.log_dir),
    )  # fmt: skip
    victim = int(fetch_surely(port, "/first"))
    for index in range(20):
        fetch_surely(port, f"/before/{index}")
    os.kill(victim, signal.SIGKILL)
    for index in range(20):
        fetch_surely(port, f"/killed/{index}")
    server.kill(signal.SIGHUP)
    for index in range(20):
        fetch_surely(port, f"/reloaded/{index}")
    fetch(port, "/broken")
    server.kill(signal.SIGTERM)
    assert server.wait() == 0, server.error_text()
    site.until_ended()
    requests = site.of_type("api_request")
    answered = Counter(record["path"] for record in requests if record["http_status"] == 200)
    for part in ("before", "killed", "reloaded"):
        assert {f"/{part}/{index}" for index in range(20)} <= set(answered)
    (broken,) = [record for record in requests if record["path"] == "/broken"]
    assert (broken["status"], broken["http_status"], broken["method"]) == ("error", 503, "GET")
    assert broken["client"] == "127.0.0.1"
    assert broken["duration_ms"] >= 0
    assert any("Booting worker" in record["message"] for record in site.of_type("log"))
    assert any(record["pid"] == victim for record in site.of_type("producer_died"))
    check_numbers(site)


def test_uvicorn_logs_and_requests_are_records(site: Site) -> None:
    """Two spawned workers, each a producer of its own, by `log_config` alone."""
    (site.scripts / "serve.py").write_text(
        textwrap.dedent("""
            import os, sys
            import uvicorn
            from pipeline.integrations.uvicorn import log_config

            async def application(scope, receive, send):
                if scope["type"] == "lifespan":
                    while True:
                        message = await receive()
                        await send({"type": message["type"] + ".complete"})
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

            if __name__ == "__main__":
                config = log_config(os.environ["SITE_LOG_DIR"])
                uvicorn.run("serve:application", workers=2, port=int(sys.argv[1]), log_config=config)
        """)
    )
    port = free_port()
    server = site.command([sys.executable, "serve.py", str(port)])
    fetch_surely(port, "/first")
    pids = {fetch_surely(port, f"/request/{index}?q={index}") for index in range(40)}
    server.kill(signal.SIGTERM)
    server.wait()
    site.until_ended()
    requests = site.of_type("api_request")
    assert {f"/request/{index}" for index in range(40)} <= {record["path"] for record in requests}
    assert {f"q={index}" for index in range(40)} <= {record["query"] for record in requests}
    assert {record["client"] for record in requests} == {"127.0.0.1"}
    assert len({record["producer"] for record in requests}) == len(pids)
    assert any("startup complete" in record["message"] for record in site.of_type("log"))
    check_numbers(site)


def test_celery_tasks_carry_the_senders_context_and_failures_are_records(site: Site) -> None:
    """The trace of whoever sent a task is on each of its records; a failure is a critical one."""
    (site.scripts / "tasks.py").write_text(
        textwrap.dedent(f"""
            import os
            import celery
            import pipeline
            import pipeline.integrations.celery

            app = celery.Celery("tasks", broker="filesystem://")
            app.conf.broker_transport_options = {broker_of_files(site)}
            pipeline.integrations.celery.install(app, log_dir=os.environ["SITE_LOG_DIR"])

            @app.task
            def work(name):
                pipeline.emit("worked", name=name)
                if name == 7:
                    raise ValueError("seven")
        """)
    )
    command = ["-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2", "-l", "INFO"]
    worker = site.command([sys.executable, *command])
    site.run("""
        import os
        import pipeline, tasks
        pipeline.start_pipeline(os.environ["SITE_LOG_DIR"])
        for index in range(20):
            with pipeline.context(trace_id=f"{index:032x}", colour="not forwarded"):
                tasks.work.delay(index)
    """)
    until(lambda: len(site.of_type("worked")) == 20, "all tasks", 60)
    worker.kill(signal.SIGTERM)
    worker.wait()
    site.until_ended()
    for record in site.of_type("worked"):
        assert record["trace_id"] == f"{record['name']:032x}"
        assert record["task_name"] == "tasks.work"
        assert "colour" not in record
    (failed,) = site.of_type("task_error")
    assert (failed["error_type"], failed["error_message"], failed["status"]) == (
        "ValueError",
        "seven",
        "error",
    )
    assert failed["task_id"] in {record["task_id"] for record in site.of_type("worked")}
    assert "in work" in failed["traceback"]
    assert any(record["logger"].startswith("celery") for record in site.of_type("log"))
    check_numbers(site)
