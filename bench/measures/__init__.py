"""The measurements: functions ``(subject, directory, **options) -> {metric: number}``."""

from collections.abc import Callable
from pathlib import Path

from bench.measures import faults, footprint, latency, log_start, replay, throughput, verify, web
from bench.peer import Peer
from bench.record import emit_many


def probe(subject: Peer, directory: Path) -> dict[str, float]:
    """Whether the subject can be measured at all: nothing, or an exception."""
    subject.setup(directory)
    emit_many(subject.call, 1)
    subject.finish()
    subject.close()
    return {}


MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "probe": probe,
    "emit": latency.emit,
    "features": latency.emit,
    "sparse": latency.sparse,
    "throughput": throughput.end_to_end,
    "producers": throughput.producers,
    "killed": faults.killed,
    "stopped": faults.stopped_writer,
    "recovery": faults.killed_writer,
    "idle": footprint.idle,
    "steady": footprint.steady,
    "memory": footprint.memory,
    "startup": footprint.startup,
    "web": web.latency,
    "replay": replay.replay,
    "verify": verify.verify,
    "log-start": log_start.log_start,
}
