"""
Web servers and a task queue whose own logs are records: logger class, log_config and signals, for real.

Each is asked with secrets wherever a request or a task can have them, while workers are killed and replaced
and the log directory is away for a while: no byte of a secret is anywhere that a process of ours has written.
"""

import os
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.apps import App, Site
from support.needles import PASSWORD, SECRET, files_with, leaks
from support.servers import broker_of_files, celery_worker, fetch, fetch_surely, free_port
from support.waiting import until

from pipeline.testing import LogDirectoryAway

CLIENTS = 4
SHOWN = "ghp***[MASKED 40 chars]***"
HEADERS = {
    "Authorization": f"Bearer {SECRET}",
    "Cookie": f"session={PASSWORD}; theme=dark",
    "User-Agent": f"probe {SECRET}",
}
BODY = f'{{"user": "ann", "password": "{PASSWORD}", "note": "key {SECRET}"}}'.encode()
QUERY = f"?token={SECRET}&password={PASSWORD}"


def ask(port: int, paths: Iterable[str]) -> list[bytes]:
    """Post the secrets to each of these paths, several at a time; returns the answers, all of which come."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(lambda path: fetch_surely(port, path + QUERY, BODY, **HEADERS), paths))


def check(site: Site, **how: Any) -> dict[str, dict[str, Any]]:
    """See that nothing is lost or told, and each worker was a producer; returns the ends of the producers."""
    assert not leaks(site.log_dir, site.root)
    records = site.check(**how)
    work = [record for record in records if "tag" in record]
    assert len({record["producer"] for record in work}) == len({record["pid"] for record in work})
    return site.ends()


def end(server: App) -> None:
    """End a server as its operator does."""
    server.kill(signal.SIGTERM)
    server.wait()


WSGI = """
    import os
    from stage import emit

    def application(environ, respond):
        path, body = environ["PATH_INFO"], environ["wsgi.input"].read().decode()
        headers = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
        emit(path, pid=os.getpid(), url=environ["RAW_URI"], headers=headers, body=body)
        if path == "/raised":
            raise ValueError(f"no login with {body}")
        if path == "/broken":
            respond("503 Service Unavailable", [])
            return [b"broken"]
        respond("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % os.getpid()]
"""


def test_gunicorn_logs_and_requests_are_records_through_kills_an_outage_and_a_reload(site: Site) -> None:
    """Four workers of four threads; one is killed, the files refuse, then all workers are replaced."""
    (site.scripts / "wsgi.py").write_text(textwrap.dedent(WSGI))
    (site.scripts / "conf.py").write_text(
        "from pipeline.integrations.gunicorn import post_fork, worker_exit\n"
        "workers, threads, loglevel = 4, 4, 'info'\n"
    )
    port, fallback = free_port(), site.home / "fallback"
    server = site.command(
        [sys.executable, "-m", "gunicorn", "-c", "conf.py", "-b", f"127.0.0.1:{port}", "--logger-class",
         "pipeline.integrations.gunicorn.Logger", "wsgi:application"],
        PIPELINE_LOG_DIR=str(site.log_dir), PIPELINE_FALLBACK_DIR=str(fallback),
        PIPELINE_BREAKER_PROBE_SEC="0.4",
    )  # fmt: skip
    victim = int(fetch_surely(port, "/first"))
    ask(port, [f"/before/{index}" for index in range(20)])
    assert not leaks(site.log_dir, site.root)
    os.kill(victim, signal.SIGKILL)
    ask(port, [f"/killed/{index}" for index in range(20)])
    until(lambda: site.of_type("work"), "records in a file")
    with LogDirectoryAway(site.log_dir):
        ask(port, [f"/away/{index}" for index in range(20)])
        site.until_reason("fallback_in_use")
        assert files_with(SHOWN.encode(), fallback)
        assert not leaks(site.root, fallback)
    server.kill(signal.SIGHUP)
    ask(port, [f"/reloaded/{index}" for index in range(20)])
    fetch(port, "/broken" + QUERY, BODY, **HEADERS)
    fetch(port, "/raised" + QUERY, BODY, **HEADERS)
    end(server)
    assert server.wait() == 0, server.error_text()
    site.until_ended()
    ends = check(site, unacknowledged=CLIENTS, in_order=False)
    assert [one["pid"] for one in ends.values() if one["action_type"] == "producer_died"] == [victim]
    requests = site.of_type("api_request")
    answered = Counter(record["path"] for record in requests if record["http_status"] == 200)
    asked = {f"/{part}/{index}" for part in ("before", "killed", "away", "reloaded") for index in range(20)}
    assert len(asked - set(answered)) <= CLIENTS, "gunicorn tells its log of a request after the answer"
    (broken,) = [record for record in requests if record["path"] == "/broken"]
    assert (broken["status"], broken["http_status"], broken["method"]) == ("error", 503, "POST")
    assert (broken["client"], broken["user_agent"]) == ("127.0.0.1", f"probe {SHOWN}")
    assert broken["duration_ms"] >= 0
    (error_page,) = [record for record in requests if record["path"] == "/raised"]
    assert (error_page["status"], error_page["http_status"]) == ("error", 500)
    lines = site.of_type("log")
    assert any("Booting worker" in record["message"] for record in lines)
    (raised,) = [record for record in lines if "raised" in record["message"]]
    assert "no login with" in raised["exception"]


ASGI = """
    import asyncio, os, sys
    import uvicorn
    from pipeline.integrations.uvicorn import log_config, timed
    from stage import emit

    async def answer(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body, url = (await receive())["body"].decode(), scope["path"] + "?" + scope["query_string"].decode()
        emit(scope["path"], pid=os.getpid(), url=url, headers=headers, body=body)
        if scope["path"] == "/raised":
            raise ValueError(f"no login with {body}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

    timed_answer = timed(answer)

    async def application(scope, receive, send):
        is_timed = scope["type"] == "http" and scope["path"] != "/untimed"
        await (timed_answer if is_timed else answer)(scope, receive, send)

    if __name__ == "__main__":
        config = log_config(os.environ["SITE_LOG_DIR"])
        uvicorn.run("serve:application", workers=2, port=int(sys.argv[1]), log_config=config)
"""


def test_uvicorn_logs_and_requests_are_records_through_kills_and_a_reload(site: Site) -> None:
    """Two spawned workers, each a producer of its own; a request has its duration where the app is timed."""
    (site.scripts / "serve.py").write_text(textwrap.dedent(ASGI))
    port = free_port()
    server = site.command([sys.executable, "serve.py", str(port)])
    victim = int(fetch_surely(port, "/untimed" + QUERY, BODY, **HEADERS))
    ask(port, [f"/before/{index}" for index in range(20)])
    assert not leaks(site.log_dir, site.root)
    os.kill(victim, signal.SIGKILL)
    ask(port, [f"/killed/{index}" for index in range(20)])
    server.kill(signal.SIGHUP)
    pids = ask(port, [f"/reloaded/{index}" for index in range(20)])
    fetch(port, "/raised" + QUERY, BODY, **HEADERS)
    end(server)
    site.until_ended()
    ends = check(site, unacknowledged=CLIENTS)
    assert victim in {one["pid"] for one in ends.values() if one["action_type"] == "producer_died"}
    assert victim not in map(int, pids)
    requests = {record["path"]: record for record in site.of_type("api_request")}
    assert {f"/reloaded/{index}" for index in range(20)} <= set(requests)
    paths = Counter(record["path"] for record in site.of_type("api_request"))
    assert {path: count for path, count in paths.items() if count > 1} == {}, "a request has two records"
    untimed, raised = requests["/untimed"], requests["/raised"]
    assert (untimed["http_status"], untimed["status"], "duration_ms" in untimed) == (200, "success", False)
    assert (raised["http_status"], raised["status"], raised["error_type"]) == (500, "error", "ValueError")
    last = requests["/reloaded/0"]
    assert last["duration_ms"] >= 10
    assert (last["status"], last["request_size"], last["response_size"] > 2) == ("success", len(BODY), True)
    assert (last["client"], last["user_agent"]) == ("127.0.0.1", f"probe {SHOWN}")
    assert f"token={SHOWN}" in last["query"]
    assert any("startup complete" in record["message"] for record in site.of_type("log"))
    assert any("no login with" in record.get("exception", "") for record in site.of_type("log"))


def tasks_of(site: Site) -> str:
    """Return a Celery application whose tasks have secrets in what they are given, record and raise."""
    return f"""
        import os, signal
        import celery
        import pipeline
        import pipeline.integrations.celery
        from stage import emit

        app = celery.Celery("tasks", broker="filesystem://")
        app.conf.update(
            broker_transport_options={broker_of_files(site)}, worker_max_tasks_per_child=5,
        )
        pipeline.integrations.celery.install(app, log_dir=os.environ["SITE_LOG_DIR"])

        @app.task
        def work(name, headers, body):
            emit(name, pid=os.getpid(), headers=headers, body=body)
            if name == "killed":  # at work: an idle child may hold the lock that all children of a pool share
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "raised":
                raise ValueError(f"no login with {{body}}")
    """


SEND = f"""
    import os, sys
    import pipeline, tasks
    pipeline.start_pipeline(os.environ["SITE_LOG_DIR"])
    for index, name in enumerate(sys.argv[1:]):
        with pipeline.context(trace_id=f"{{index:032x}}", user_id="{SECRET}", colour="not forwarded"):
            tasks.work.delay(name, {HEADERS!r}, {BODY.decode()!r})
"""


def test_celery_tasks_carry_the_senders_context_through_kills_and_replaced_children(site: Site) -> None:
    """The trace of whoever sent a task is on each of its records; a failure is a critical one."""
    (site.scripts / "tasks.py").write_text(textwrap.dedent(tasks_of(site)))
    worker = celery_worker(site, "INFO")
    names = [
        *(f"before-{index}" for index in range(10)),
        "killed",
        *(f"after-{index}" for index in range(10)),
        "raised",
    ]
    site.run(SEND, *names)
    until(lambda: len(site.accepted()) == len(names), "all tasks", 60)
    until(lambda: site.of_type("task_error"), "the failure", 60)
    assert not leaks(site.log_dir, site.root)
    end(worker)
    site.until_ended()
    ends = check(site)
    tasks = {record["tag"]: record for record in site.of_type("work")}
    (died,) = [one["pid"] for one in ends.values() if one["action_type"] == "producer_died"]
    assert died == tasks["killed"]["pid"]
    assert len({record["pid"] for record in tasks.values()}) > 3, "children were replaced"
    for index, name in enumerate(names):
        assert tasks[name]["trace_id"] == f"{index:032x}"
        assert tasks[name]["user_id"] == SHOWN
        assert tasks[name]["task_name"] == "tasks.work"
        assert "colour" not in tasks[name]
    (failed,) = [record for record in site.of_type("task_error") if record["error_type"] == "ValueError"]
    assert failed["error_message"].startswith("no login with")
    assert failed["status"] == "error"
    assert failed["task_id"] == tasks["raised"]["task_id"]
    assert "in work" in failed["traceback"]
    assert any(record["logger"].startswith("celery") for record in site.of_type("log"))
