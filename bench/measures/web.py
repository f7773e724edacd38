"""A web server's response times with and without the recorder, in turns."""

import asyncio
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.peer import Peer
from bench.procs import cpu_seconds

CONNECTIONS = 6
RATE_PER_CONNECTION = 100
_REQUEST = b"GET /page HTTP/1.1\r\nHost: bench\r\n\r\n"


class Turn(NamedTuple):
    """What one turn of load saw: response times in microseconds, and the server's CPU time per request."""

    p50: float
    p99: float
    cpu: float


def latency(subject: Peer, directory: Path, *, rounds: int, seconds: float) -> dict[str, float]:
    """Measure p50 and p99 without (A) and with (B) the recorder; the load goes A B, B A, A B and so on.

    Both servers live all the time. The ratio is the median over pairs of neighbouring turns, so that a slow
    second of the machine meets both.
    """
    with ExitStack() as stack:
        servers = [_start(stack, kind, directory) for kind in ("nothing", subject.name)]
        for server in servers:
            _turn(*server, 0.5)
        pairs = []
        for index in range(rounds):
            order = (0, 1) if index % 2 == 0 else (1, 0)
            turns = {which: _turn(*servers[which], seconds) for which in order}
            pairs.append((turns[0], turns[1]))
    return {
        f"{side}_{field}_us": statistics.median(getattr(pair[place], field) for pair in pairs)
        for place, side in enumerate(("off", "on"))
        for field in Turn._fields
    } | {
        f"{field}_ratio": statistics.median(getattr(on, field) / getattr(off, field) for off, on in pairs)
        for field in Turn._fields
    }


def _start(stack: ExitStack, subject: str, directory: Path) -> tuple[int, int]:
    """Start a server; its pid and port."""
    home = directory / subject
    home.mkdir()
    command = [sys.executable, "-m", "bench.measures.web_server", subject, str(home)]
    pipe = subprocess.PIPE
    server = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
    if server.stdout is None:
        raise RuntimeError("the server has no stdout")
    return server.pid, int(server.stdout.readline())


def _turn(server: int, port: int, seconds: float) -> Turn:
    before = cpu_seconds(server)
    times = sorted(asyncio.run(_load(port, seconds)))
    spent = cpu_seconds(server) - before
    return Turn(times[len(times) // 2] * 1e6, times[int(len(times) * 0.99)] * 1e6, spent / len(times) * 1e6)


async def _load(port: int, seconds: float) -> list[float]:
    results = await asyncio.gather(*(_client(port, seconds, index) for index in range(CONNECTIONS)))
    return [each for result in results for each in result]


async def _client(port: int, seconds: float, index: int) -> list[float]:
    """Send requests on one connection at its share of the rate, each client at its own phase."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    period = 1 / RATE_PER_CONNECTION
    due = time.perf_counter() + period * index / CONNECTIONS
    stop_at, times = due + seconds, []
    while due < stop_at:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.rpartition(b": ")[2]))
        times.append(time.perf_counter() - started)
        due += period
    writer.close()
    return times
