"""A small HTTP server on asyncio streams whose handler does a request's worth of work and may record it.

Run by `bench.measures.web`: ``python -m bench.measures.web_server SUBJECT DIRECTORY``; prints its port.
"""

import asyncio
import json
import sys
from pathlib import Path

from bench.peer import Peer
from bench.record import emit_many
from bench.subjects import create

_ROWS = [{"id": i, "name": f"row {i}", "price": i * 1.25, "tags": ["a", "b"]} for i in range(60)]


class Server:
    """One connection, many requests: read the head, build a JSON page, record, answer."""

    def __init__(self, subject: Peer) -> None:
        self._call = subject.call
        self._served = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the client hangs up."""
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                body = json.dumps({"page": self._served, "rows": _ROWS}).encode()
                emit_many(self._call, 1, self._served)
                self._served += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _main(name: str, directory: Path) -> None:
    subject = create(name)
    subject.setup(directory)
    listener = await asyncio.start_server(Server(subject).serve, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until our parent closes it
    listener.close()
    subject.finish()
    subject.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
