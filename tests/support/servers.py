"""Web servers and task queues that tests start: a free port, a request, a broker made of files."""

import socket
import sys
import urllib.request

from support.apps import App, Site
from support.waiting import until


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port: int, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Get a path of the server, or post a body to it; empty while it does not answer, or answers an error."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()
    except OSError:
        return b""


def celery_worker(site: Site, level: str) -> App:
    """Start a Celery worker of two children for the module `tasks` of the site."""
    options = ["-A", "tasks", "worker", "-P", "prefork", "-c", "2", "-l", level]
    return site.command([sys.executable, "-m", "celery", *options])


def fetch_surely(port: int, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Ask the server, again while a worker that was killed does not answer."""
    return until(lambda: fetch(port, path, body, **headers), f"an answer for {path}")


def broker_of_files(site: Site) -> str:
    """Make the directories of a Celery broker; returns the `broker_transport_options`, as Python text."""
    for name in ("queue", "control"):
        (site.home / name).mkdir()
    queue, control = str(site.home / "queue"), str(site.home / "control")
    folders = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": control}
    return repr({**folders, "polling_interval": 0.1})
