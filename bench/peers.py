"""What people use today, each as one small class: `Peer.setup`, `Peer.call`, `Peer.finish`.

Each writes the same record as one JSON line with a timestamp, encoded by orjson wherever the peer lets us
choose. None masks, truncates or numbers its records.
"""

import logging
import logging.handlers
import multiprocessing
import queue
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.peer import Peer, json_line

if TYPE_CHECKING:
    from multiprocessing.queues import Queue as ProcessQueue

_FORK = multiprocessing.get_context("fork")


class JsonFormatter(logging.Formatter):
    """A JSON line out of a `logging` record whose ``fields`` came by ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode with orjson, which is kinder to the peer than the usual ``json.dumps``."""
        return json_line(record.created, record.msg, record.fields).decode()  # type: ignore[attr-defined]


class LoggingFile(Peer):
    """`logging.FileHandler`."""

    def setup(self, directory: Path) -> None:
        """One logger, one handler."""
        self._start(self._file_handler(directory))

    def _file_handler(self, directory: Path) -> logging.Handler:
        handler = logging.FileHandler(directory / "log.jsonl")
        handler.setFormatter(JsonFormatter())
        return handler

    def _start(self, handler: logging.Handler) -> None:
        logger = logging.getLogger("bench")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)

        def call(event: str, **fields: object) -> None:
            logger.info(event, extra={"fields": fields})

        self.call = call

    def finish(self) -> None:
        """Flush and close every handler."""
        logging.shutdown()


class QueueThread(LoggingFile):
    """`QueueHandler` with a `QueueListener` thread that owns the file handler."""

    def setup(self, directory: Path) -> None:
        """Make an unbounded queue, as the documentation shows it."""
        records: queue.Queue[object] = queue.Queue(-1)
        self._listener = logging.handlers.QueueListener(records, self._file_handler(directory))
        self._listener.start()
        self._start(logging.handlers.QueueHandler(records))

    def finish(self) -> None:
        """Join the listener; it drains its queue first."""
        self._listener.stop()
        super().finish()


class _WithWriter(Peer):
    """A queue to one writer process, forked at set-up."""

    shared = True

    def setup(self, directory: Path) -> None:
        self._queue: ProcessQueue[Any] = _FORK.Queue()
        self._writer = _FORK.Process(target=self._write, args=(directory,), daemon=True)
        self._writer.start()

    def _write(self, directory: Path) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        """Wait for the feeder thread: until then records are on this process's heap."""
        self._queue.close()
        self._queue.join_thread()

    def finish(self) -> None:
        """Send the end mark and wait for the writer."""
        self._queue.put(None)
        self.leave()
        self._writer.join()

    def worker_pids(self) -> dict[str, int]:
        """Name the writer, while it runs."""
        return {"writer": self._writer.pid} if self._writer.pid and self._writer.exitcode is None else {}


class QueueProcess(_WithWriter, LoggingFile):
    """`QueueHandler` over a `multiprocessing.Queue`; a listener process owns the file handler."""

    def setup(self, directory: Path) -> None:
        """Start the listener first, so that it does not inherit our handler."""
        super().setup(directory)
        self._start(logging.handlers.QueueHandler(self._queue))

    def _write(self, directory: Path) -> None:
        handler = self._file_handler(directory)
        for record in iter(self._queue.get, None):
            handler.handle(record)
        handler.close()


class RawQueue(_WithWriter):
    """A plain `multiprocessing.Queue` of encoded lines; the writer process appends each with one write."""

    def setup(self, directory: Path) -> None:
        """Do the leanest thing one would write by hand."""
        super().setup(directory)
        put = self._queue.put

        def call(event: str, **fields: object) -> None:
            put(orjson.dumps({"timestamp": datetime.now(UTC), "action_type": event, **fields}))

        self.call = call

    def _write(self, directory: Path) -> None:
        with (directory / "log.jsonl").open("ab", buffering=0) as file:
            for line in iter(self._queue.get, None):
                file.write(line + b"\n")


class Loguru(Peer):
    """loguru, with the serializer its documentation suggests where ``serialize=True`` is too slow."""

    enqueue = False

    def setup(self, directory: Path) -> None:
        """Let a patcher put the line into ``extra``; the sink's format is that line."""
        from loguru import logger

        def patch(record: Any) -> None:
            line = json_line(record["time"].timestamp(), record["message"], record["extra"])
            record["extra"]["line"] = line.decode()

        logger.remove()
        logger.configure(patcher=patch)
        logger.add(directory / "log.jsonl", format="{extra[line]}", enqueue=self.enqueue)
        self.call, self._logger = logger.info, logger

    def leave(self) -> None:
        """Nothing is held: loguru puts straight into a pipe."""

    def finish(self) -> None:
        """Remove the sink, which drains its queue and closes its file."""
        self._logger.remove()


class LoguruEnqueue(Loguru):
    """loguru with ``enqueue=True``: a pipe to a thread of the same process."""

    enqueue, shared = True, True


class Structlog(Peer):
    """structlog in the fastest configuration its documentation knows: orjson, bytes, cached logger."""

    def setup(self, directory: Path) -> None:
        """Log synchronously: one write and flush per record."""
        import structlog

        self._file = (directory / "log.jsonl").open("ab")
        processors: list[Any] = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ]
        structlog.configure(
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.BytesLoggerFactory(self._file),
            cache_logger_on_first_use=True,
        )
        self.call = structlog.get_logger().bind().info

    def finish(self) -> None:
        """Close the file."""
        self._file.close()


class Picologging(Peer):
    """picologging; the fields travel as the record's ``args``, since its records take no other attribute."""

    def setup(self, directory: Path) -> None:
        """Its own formatter base and file handler, both in C."""
        import picologging

        class Formatter(picologging.Formatter):
            def format(self, record: Any) -> str:
                return json_line(record.created, record.msg, record.args).decode()

        self._handler = picologging.FileHandler(str(directory / "log.jsonl"))
        self._handler.setFormatter(Formatter())
        logger = picologging.getLogger("bench")
        logger.setLevel(picologging.INFO)
        logger.addHandler(self._handler)

        def call(event: str, **fields: object) -> None:
            logger.info(event, fields)

        self.call = call

    def finish(self) -> None:
        """Close the handler."""
        self._handler.close()


class Fastlogging(Peer):
    """fastlogging, synchronous into its buffered file."""

    def setup(self, directory: Path) -> None:
        """Its one hook for the line's form is a class attribute."""
        import fastlogging

        def form(_logger: object, entry: Any) -> str:
            created, _domain, _level, event, fields = entry
            return json_line(created, event, fields).decode()

        fastlogging.Logger.cbFormatter = staticmethod(form)
        self._logger = fastlogging.LogInit("bench", fastlogging.INFO, str(directory / "log.jsonl"))
        self.call = self._logger.info

    def finish(self) -> None:
        """Flush and close."""
        self._logger.shutdown()


PEERS: dict[str, type[Peer]] = {
    "logging": LoggingFile,
    "queue-thread": QueueThread,
    "queue-process": QueueProcess,
    "mp-queue": RawQueue,
    "loguru": Loguru,
    "loguru-enqueue": LoguruEnqueue,
    "structlog": Structlog,
    "picologging": Picologging,
    "fastlogging": Fastlogging,
}
