"""A small asyncio web server that emits a record a request, and the load on it over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from pipeline.app import Pipeline

ACTION_TYPE: Final = "http_request"
_CONNECTIONS: Final = 4
_NUMBER_HEADER: Final = b"x-action-number:"
_TIMEOUT_SEC: Final = 10.0


def serve(pipeline: Pipeline, paths: Sequence[str], port_out: Connection) -> None:
    """Answer `GET /N` with what is known of the Nth file. Runs in a process of its own, until SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(pipeline, paths, port_out))


async def _serve(pipeline: Pipeline, paths: Sequence[str], port_out: Connection) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            began = time.perf_counter()
            while (await reader.readline()).strip():
                pass
            status, body = _answer(request, paths)
            number = pipeline.emit(
                ACTION_TYPE,
                method="GET",
                path=request.split(b" ")[1],
                status_code=status,
                duration_ms=round((time.perf_counter() - began) * 1000, 3),
            )
            head = f"HTTP/1.1 {status} OK\r\nX-Action-Number: {number}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port_out.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def _answer(request: bytes, paths: Sequence[str]) -> tuple[int, bytes]:
    place = request.split(b" ")[1].lstrip(b"/")
    path = paths[int(place) % len(paths)]
    found = os.stat(path)
    return 200, json.dumps({"path": path, "size": found.st_size, "mtime": found.st_mtime}).encode()


@dataclass
class Load:
    """What the clients saw."""

    answered: int = 0
    """Answers that named the action_number of their request's record: it was accepted."""
    unrecorded: int = 0
    """Answers without one."""
    seconds: list[float] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """Return the response time that this share of the requests stayed within, in milliseconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


def put_load(port: int, is_over: Callable[[], bool]) -> Load:
    """Send requests over a few connections, each as fast as it is answered, until `is_over` says so."""
    load = Load()
    asyncio.run(_put_load(port, is_over, load))
    return load


async def _put_load(port: int, is_over: Callable[[], bool], load: Load) -> None:
    over = asyncio.Event()

    async def watch() -> None:
        while not is_over():  # noqa: ASYNC110 - what is looked at is files and a clock
            await asyncio.sleep(0.002)
        over.set()

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        place = first
        while not over.is_set():
            began = time.perf_counter()
            writer.write(f"GET /{place} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            number = await asyncio.wait_for(_read_answer(reader), _TIMEOUT_SEC)
            load.seconds.append(time.perf_counter() - began)
            load.answered += number > 0
            load.unrecorded += number == 0
            place += _CONNECTIONS
        writer.close()
        await writer.wait_closed()

    tasks: list[Any] = [watch(), *(client(number) for number in range(_CONNECTIONS))]
    await asyncio.gather(*tasks)


async def _read_answer(reader: asyncio.StreamReader) -> int:
    """Return the action_number that an answer names."""
    number = length = 0
    while line := (await reader.readline()).strip().lower():
        if line.startswith(_NUMBER_HEADER):
            number = int(line.partition(b":")[2])
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    await reader.readexactly(length)
    return number
