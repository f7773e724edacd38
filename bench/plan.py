"""Which measurements a run consists of, for whom, and how long each may take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.ours import FEATURES, OURS
from bench.peers import PEERS

LANES = tuple(OURS)
EVERYBODY = (*LANES, *PEERS)
COUNTS = {"loguru": 40_000, "loguru-enqueue": 20_000, "queue-process": 40_000, "queue-thread": 80_000,
          "logging": 100_000, "mp-queue": 200_000}  # fmt: skip
"""Records of an end-to-end run where the default 300,000 would take too long; about two seconds each."""
DEFAULT_COUNT = 300_000


@dataclass(frozen=True)
class Step:
    """One row group of the report: a measure, its options, and who takes part."""

    name: str
    measure: str
    title: str
    subjects: Sequence[str]
    options: dict[str, Any] = field(default_factory=dict)
    counts: bool = False
    repeats: int = 1

    def options_for(self, subject: str) -> dict[str, Any]:
        """Return the options, with a number of records that suits the subject's speed where that matters."""
        if not self.counts:
            return self.options
        share = self.options.get("count", DEFAULT_COUNT) / DEFAULT_COUNT
        return self.options | {"count": int(COUNTS.get(subject, DEFAULT_COUNT) * share)}


def full() -> Iterator[Step]:
    """Everything of design section 5 that this library has so far; about twenty minutes."""
    timed = {"calls": 200_000, "seconds": 5.0}
    yield from _calls(timed, EVERYBODY, repeats=3)
    yield Step("features", "features", _FEATURES, ("ours", *FEATURES), timed | {"seconds": 2.0}, repeats=3)
    yield Step("sparse", "sparse", _SPARSE, (*EVERYBODY, "nothing"), {"calls": 3_000})
    yield Step("throughput", "throughput", _THROUGHPUT, EVERYBODY, counts=True, repeats=3)
    yield Step("killed", "killed", _KILLED, EVERYBODY, {"count": 10_000, "quiet": 2.5}, repeats=3)
    some = (*LANES, "mp-queue", "queue-process", "structlog", "picologging")
    for number in (1, 2, 4, 8, 16, 32, 64):
        yield _producers(number, some, DEFAULT_COUNT)
    yield Step("stopped", "stopped", _STOPPED, (*LANES, "mp-queue"), {"seconds": 10.0})
    yield Step("recovery", "recovery", _RECOVERY, LANES, {"pause": 2.0}, repeats=5)
    yield Step("idle", "idle", _IDLE, LANES, {"seconds": 10.0})
    steady = (*LANES, "mp-queue", "queue-process", "structlog", "picologging")
    yield Step("steady", "steady", _STEADY, steady, {"seconds": 10.0})
    yield Step("memory", "memory", _MEMORY, LANES, {"count": 1_000_000})
    yield Step("startup", "startup", _STARTUP, ("ours",), {"rounds": 11})
    yield Step("web", "web", _WEB, (*LANES, "structlog"), {"rounds": 40, "seconds": 0.5})
    yield Step("replay", "replay", _REPLAY, ("ours",), {"count": 1_000_000, "per_row": 1000}, repeats=3)
    yield Step("log-start", "log-start", _LOG_START, ("ours",), {"count": 500_000, "days": 400, "rounds": 9})
    archive = {"count": 2_900_000, "producers": 4, "rounds": 3}
    yield Step("verify", "verify", _VERIFY, ("ours",), archive)


def quick() -> Iterator[Step]:
    """Keep the shape but take under a minute: fewer calls, fewer peers, one repeat; for a first look only."""
    few = (*LANES, "mp-queue", "structlog")
    yield from _calls({"calls": 20_000, "seconds": 0.3}, few)
    brief = ("ours", "no-masking", "none-of-them")
    yield Step("features", "features", _FEATURES, brief, {"calls": 20_000, "seconds": 0.3})
    yield Step("throughput", "throughput", _THROUGHPUT, (*few, "picologging"), counts=True)
    yield Step("killed", "killed", _KILLED, ("ours", "mp-queue"), {"count": 10_000, "quiet": 0.8})
    for number in (1, 8):
        yield _producers(number, ("ours", "mp-queue"), 40_000)
    yield Step("stopped", "stopped", _STOPPED, ("ours",), {"seconds": 1.0})
    yield Step("recovery", "recovery", _RECOVERY, ("ours",), {"pause": 0.5})
    yield Step("idle", "idle", _IDLE, ("ours",), {"seconds": 2.0})
    yield Step("steady", "steady", _STEADY, ("ours",), {"seconds": 2.0})
    yield Step("memory", "memory", _MEMORY, ("ours",), {"count": 100_000})
    yield Step("startup", "startup", _STARTUP, ("ours",), {"rounds": 3})
    yield Step("web", "web", _WEB, ("ours",), {"rounds": 3, "seconds": 0.3})
    yield Step("replay", "replay", _REPLAY, ("ours",), {"count": 200_000, "per_row": 1000})
    yield Step("log-start", "log-start", _LOG_START, ("ours",), {"count": 50_000, "days": 400, "rounds": 3})


def _calls(timed: dict[str, Any], subjects: Sequence[str], repeats: int = 1) -> Iterator[Step]:
    yield Step("emit", "emit", _EMIT, subjects, timed, repeats=repeats)
    yield Step("emit-busy", "emit", _BUSY, subjects, timed | {"beside": "thread"}, repeats=repeats)
    yield Step("emit-fsync", "emit", _FSYNC, subjects, timed | {"beside": "fsync"}, repeats=repeats)


def _producers(number: int, subjects: Sequence[str], count: int) -> Step:
    name, options = f"producers-{number}", {"count": count, "producers": number}
    return Step(name, "producers", f"{number} producer processes, end to end", subjects, options, counts=True)


_EMIT = "emit(): one call, nothing beside it"
_FEATURES = "emit(): one call, with one feature off that is on by default, or on that is off"
_BUSY = "emit(): one call, beside a thread that computes"
_FSYNC = "emit(): one call, beside a process that writes and syncs on the same disk"
_SPARSE = "emit(): single calls between other work and a sleep; `nothing` is what an empty call takes there"
_THROUGHPUT = "end to end: from the first call until the file holds every record; CPU of all processes"
_KILLED = "10,000 calls, then kill -9 of the app: records that never reach the file; whether secrets do"
_STOPPED = "the writer stopped by SIGSTOP while 2,000 records/s come in"
_RECOVERY = "kill -9 of the writer at 2,000 records/s: until bytes are appended again"
_IDLE = "idle: CPU of all processes"
_STEADY = "2,000 records/s: CPU of all processes"
_MEMORY = "memory: RSS of the workers, growth of the app"
_STARTUP = "start-up: import and start_pipeline() over a bare interpreter"
_REPLAY = "the fallback store: records of 300 bytes into it, and back into the files; the longest piece"
_LOG_START = "`pipeline log` over 400 days that look like 100 GB, over a bare interpreter"
_VERIFY = (
    "`pipeline verify` of about 1 GB that four producers have written, by digests and --full;"
    " one SHA-256 and one orjson.loads() of each line of the same bytes, in one process; all per GB"
)
_WEB = "an asyncio web server at 600 requests/s without and with the recorder, in turns"
