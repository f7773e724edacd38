"""
The HTTP side of the supervisor: /health /livez /readyz /metrics.

It answers from the last snapshot and touches no disk, so it answers while the disk hangs and while the writer
is stopped.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from pipeline.health import exposition
from pipeline.health.reasons import FAILING

if TYPE_CHECKING:
    from collections.abc import Callable

_REQUEST_TIMEOUT_SEC: Final = 5.0
Answer = tuple[int, str, bytes]


class Endpoints:
    """Serves health on a thread of its own. `snapshot` has to be quick."""

    def __init__(self, host: str, port: int, snapshot: Callable[[], dict[str, Any]]) -> None:
        self.is_port_taken = False
        handler = _handler_for(snapshot)
        try:
            self._server = _Server((host, port), handler)
        except OSError:
            self.is_port_taken = True
            self._server = _Server((host, 0), handler)
        bound_host, bound_port, *_ = self._server.server_address
        shown = f"[{bound_host!s}]" if ":" in str(bound_host) else str(bound_host)
        self.address = f"{shown}:{bound_port}"

    def serve(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def answer(path: str, health: dict[str, Any]) -> Answer:
    """Return (status, content type, body) for a path."""
    is_up = health["status"] != FAILING
    if path == "/health":
        return (
            (200 if is_up else 503),
            "application/json",
            json.dumps(health, indent=1, default=str).encode() + b"\n",
        )
    if path == "/livez":
        return 200, "text/plain; charset=utf-8", b"ok\n"
    if path == "/readyz":
        return (
            (200, "text/plain; charset=utf-8", b"ok\n")
            if is_up
            else (503, "text/plain; charset=utf-8", b"failing\n")
        )
    if path == "/metrics":
        return 200, exposition.CONTENT_TYPE, exposition.render(health).encode()
    return 404, "text/plain; charset=utf-8", b"try /health, /livez, /readyz or /metrics\n"


def _handler_for(snapshot: Callable[[], dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_TIMEOUT_SEC
        server_version = "pipeline"

        def do_GET(self) -> None:
            status, content_type, body = answer(self.path.partition("?")[0], snapshot())
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            """Nothing: requests of a health check are no news."""

    return Handler
