"""Health: its documents and endpoints, and that they answer while the writer is stopped."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest
from support.apps import Site
from support.waiting import until

GUARD_SEC = 0.5
"""/health answers within 100 ms; five times that is a hang."""

HOLDING = """
    import json, sys
    from stage import emit, hear, say, start
    pl = start(**json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    emit("first")
    say("ready")
    while (word := hear()) not in ("end", ""):
        if word == "health":
            say("health", json.dumps(pl.health()))
            continue
        for index in range(int(word)):
            emit(f"{word} {index}")
        say("emitted")
"""


def bind_steady(busy: socket.socket) -> int:
    """Bind a port below those the kernel hands out: what other tests ask for must not take it meanwhile."""
    for port in random.sample(range(20_000, 32_000), 50):
        with contextlib.suppress(OSError):
            busy.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def quickest(ask: Callable[[], object]) -> float:
    """
    Return how long the quickest of some answers took.

    A single one may have waited for a busy processor.
    """
    times = []
    for _ in range(10):
        begun = time.monotonic()
        ask()
        times.append(time.monotonic() - begun)
    return min(times)


@pytest.mark.smoke
def test_all_endpoints_answer_and_the_counts_are_those_of_the_files(site: Site) -> None:
    """/health has the promised fields, and when the queue is empty its counts are what the files hold."""
    app = site.app(HOLDING)
    app.expect("ready")
    app.tell("200")
    app.expect("emitted")
    until(lambda: site.health()["counts"].get("durable", 0) >= 202, "durable records")
    health = until(lambda: (h := site.health())["queue"]["records"] == 0 and h, "an empty queue")
    assert (health["status"], health["reasons"], health["service"]) == ("ok", [], False)
    counts = health["counts"]
    assert counts["written"] == counts["durable"] == counts["emitted"] == len(site.records())
    assert counts["bytes"] == sum(path.stat().st_size for path in site.files())
    workers = {worker["role"]: worker for worker in health["workers"]}
    assert (workers["supervisor"]["pid"], workers["writer"]["pid"]) == (site.supervisor(), site.writer())
    assert workers["writer"]["state"] == "running"
    assert 0 < workers["writer"]["rss_bytes"] < 100 << 20
    assert health["queue"]["lanes"] >= 1
    assert health["queue"]["oldest_age_sec"] == 0
    assert health["files"] == [path.name for path in site.files()]
    assert health["disk_free_bytes"] > 0
    assert health["last_error"] == ""
    copy = json.loads((site.log_dir / ".pipeline" / "supervisor.json").read_bytes())
    assert copy["address"] == health["address"]
    assert site.get("/livez") == (200, b"ok\n")
    assert site.get("/readyz") == (200, b"ok\n")
    assert site.get("/nowhere")[0] == 404
    app.tell("health")
    seen = json.loads(app.expect("health"))
    assert seen["producer"]["pid"] == app.pid
    assert seen["producer"]["emitted"] == 201
    assert seen["address"] == health["address"]
    app.tell("end")
    app.wait()


def test_metrics_pass_promtool(site: Site, need_tool: Callable[[str], str]) -> None:
    """What /metrics says is what `promtool check metrics` accepts, also with every kind of trouble in it."""
    promtool = need_tool("promtool")
    app = site.app(HOLDING, json.dumps({"queue_max_mb": 1, "queue_full_strategy": "drop_newest"}))
    app.expect("ready")
    writer = site.writer()
    texts = [site.get("/metrics")[1]]
    os.kill(writer, signal.SIGSTOP)
    app.tell("20000")
    app.expect("emitted")
    texts.append(site.get("/metrics")[1])
    os.kill(writer, signal.SIGCONT)
    until(lambda: b"records_dropped_total{" in site.get("/metrics")[1], "dropped records in the metrics")
    texts.append(site.get("/metrics")[1])
    os.kill(writer, signal.SIGKILL)
    texts.append(site.get("/metrics")[1])
    for text in texts:
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr + text
    samples = [line.split(" ")[0] for line in texts[2].decode().splitlines() if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    app.tell("end")
    app.wait()


def test_it_answers_and_tells_the_truth_while_the_writer_is_stopped(site: Site) -> None:
    """SIGSTOP of the writer: each endpoint answers at once, with the writer stopped and the queue growing."""
    app = site.app(HOLDING)
    app.expect("ready")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    app.tell("300")
    app.expect("emitted")
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        assert quickest(lambda path=path: site.get(path)) < GUARD_SEC
    health = site.until_reason("writer_not_responding")
    assert health["status"] == "degraded"
    assert health["workers"][1]["state"] == "stopped"
    assert health["workers"][1]["heartbeat_age_sec"] > 2
    assert health["queue"]["records"] >= 300
    assert health["queue"]["oldest_age_sec"] > 0
    assert b'pipeline_reason{reason="writer_not_responding"} 1' in site.get("/metrics")[1]
    os.kill(writer, signal.SIGCONT)
    site.until_reason("writer_not_responding", holds=False)
    assert site.writer() == writer
    app.tell("end")
    app.wait()
    site.until_ended()
    site.check_ends(site.check())


def test_failing_is_503_and_not_ready_but_alive(site: Site) -> None:
    """A load balancer and a monitor can go by the status codes."""
    app = site.app(HOLDING, json.dumps({"queue_max_mb": 1, "queue_full_strategy": "drop_newest"}))
    app.expect("ready")
    writer = site.writer()
    os.kill(writer, signal.SIGSTOP)
    app.tell("20000")
    app.expect("emitted")
    assert site.until_reason("queue_full")["status"] == "failing"
    assert site.get("/health")[0] == 503
    assert site.get("/readyz")[0] == 503
    assert site.get("/livez")[0] == 200
    os.kill(writer, signal.SIGCONT)
    site.until_reason("queue_full", holds=False)
    assert site.get("/health")[0] == site.get("/readyz")[0] == 200
    app.tell("end")
    app.wait()


def test_a_busy_health_port_means_another_port_and_a_reason(site: Site) -> None:
    """
    Two pipelines with one health_port.

    The second listens elsewhere, says where, and once alone has its port.
    """
    with socket.socket() as busy:
        port = bind_steady(busy)
        busy.listen()
        app = site.app(HOLDING, json.dumps({"health_port": port}))
        app.expect("ready")
        health = site.until_reason("health_port_taken")
        assert health["status"] == "degraded"
        assert not health["address"].endswith(f":{port}")
        app.tell("end")
        app.wait()
        site.until_ended()
    app = site.app(HOLDING, json.dumps({"health_port": port}))
    app.expect("ready")
    health = site.until_reason("health_port_taken", holds=False)
    assert health["address"] == f"127.0.0.1:{port}"
    app.tell("end")
    app.wait()


def test_it_listens_on_loopback_only(site: Site) -> None:
    """Where nothing is said no other machine can ask; nor can a request of any method change anything."""
    app = site.app(HOLDING)
    app.expect("ready")
    host, port = site.health()["address"].split(":")
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 501 " in connection.recv(4096).split(b"\r\n")[0] + b" "
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"\0\xff garbage\r\n\r\n")
        connection.recv(4096)
    assert site.health()["status"] == "ok"
    app.tell("end")
    app.wait()
