"""Web servers and task queues that tests start: a free port, a request, a broker made of files."""

import socket
import urllib.request

from support.apps import Site


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port: int, path: str) -> bytes:
    """Get a path of the server; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.read()
    except OSError:
        return b""


def broker_of_files(site: Site) -> str:
    """Make the directories of a Celery broker; returns the `broker_transport_options`, as Python text."""
    for name in ("queue", "control"):
        (site.home / name).mkdir()
    queue, control = str(site.home / "queue"), str(site.home / "control")
    return repr({"data_folder_in": queue, "data_folder_out": queue, "control_folder": control})
