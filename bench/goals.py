"""The goals of design section 5 as data: a number of ours, alone or divided by a peer's, against a limit."""

from dataclasses import dataclass
from typing import Literal

from bench.child import Outcome

SYNCHRONOUS = ("logging", "loguru", "structlog", "picologging", "fastlogging")


@dataclass(frozen=True)
class Verdict:
    """What was measured and whether that is good enough."""

    value: float
    met: bool


@dataclass(frozen=True)
class Goal:
    """A ``metric`` of ``subject`` in ``step`` must be ``at`` most or least ``limit``.

    With ``against`` it is divided by that peer's number first.
    """

    text: str
    step: str
    metric: str
    limit: float
    at: Literal["most", "least"] = "most"
    subject: str = "ours"
    against: str | None = None
    unit: str = ""

    def judge(self, results: dict[str, dict[str, Outcome]]) -> Verdict | None:
        """None where this run has not measured what it takes."""
        outcomes = results.get(self.step, {})
        value = outcomes.get(self.subject, {}).get(self.metric)
        if value is None:
            return None
        if self.against:
            peer = outcomes.get(self.against, {}).get(self.metric)
            if not peer:
                return None
            value = value / peer
        return Verdict(value, value <= self.limit if self.at == "most" else value >= self.limit)

    def limit_text(self) -> str:
        """As in the design's table."""
        return f"{'≤' if self.at == 'most' else '≥'} {self.limit:g}{self.unit}"


GOALS: tuple[Goal, ...] = (
    Goal("emit() p50, masking and all (must)", "emit", "p50_us", 4.0, unit=" µs"),
    Goal("emit() p50, masking and all (goal)", "emit", "p50_us", 2.5, unit=" µs"),
    Goal("emit() p50 against structlog+orjson (must)", "emit", "p50_us", 0.5, against="structlog", unit=" x"),
    Goal("emit() p99 beside a computing thread", "emit-busy", "p99_us", 10.0, unit=" µs"),
    Goal("emit() p99.9 beside another's fsyncs", "emit-fsync", "p999_us", 50.0, unit=" µs"),
    Goal("end to end against mp.Queue", "throughput", "per_second", 2.5, "least",
         against="mp-queue", unit=" x"),
    Goal("end to end against QueueHandler over mp.Queue", "throughput", "per_second", 8.0, "least",
         against="queue-process", unit=" x"),
    Goal("end to end against loguru enqueue", "throughput", "per_second", 40.0, "least",
         against="loguru-enqueue", unit=" x"),
    *(Goal(f"end to end against {peer} (synchronous)", "throughput", "per_second", 1.0, "least",
           against=peer, unit=" x") for peer in SYNCHRONOUS),
    Goal("CPU per record, all processes", "throughput", "cpu_all_us", 4.5, unit=" µs"),
    Goal("lost by kill -9 of the app", "killed", "lost", 0),
    Goal("lost by kill -9 of the app, disk lanes", "killed", "lost", 0, subject="ours-disk"),
    Goal("missing after the writer was stopped", "stopped", "missing", 0),
    Goal("writing again after kill -9 of the writer, worst", "recovery", "worst_s", 1.0, unit=" s"),
    Goal("missing after kill -9 of the writer", "recovery", "missing", 0),
    Goal("twice after kill -9 of the writer", "recovery", "twice", 0),
    Goal("idle CPU, all processes", "idle", "all_percent", 0.5, unit=" %"),
    Goal("CPU at 2,000 records/s, all processes", "steady", "all_percent", 3.0, unit=" %"),
    Goal("RSS of supervisor and writer together", "memory", "workers_mb", 100.0, unit=" MB"),
    Goal("app grown beside mapped segments", "memory", "app_mb", 10.0, unit=" MB"),
    Goal("import and start_pipeline()", "startup", "over_ms", 60.0, unit=" ms"),
    Goal("replay of the fallback store", "replay", "per_second", 300_000, "least", unit=" records/s"),
    Goal("missing after a replay", "replay", "missing", 0),
    Goal("log --since 1h over 400 days", "log-start", "hour_ms", 200.0, unit=" ms"),
    Goal("verify by digests, a GB", "verify", "digests_s", 3.0, unit=" s"),
    Goal("verify --full, a GB", "verify", "full_s", 8.0, unit=" s"),
    Goal("web server p50, with ÷ without", "web", "p50_ratio", 1.02, unit=" x"),
    Goal("web server p99, with ÷ without", "web", "p99_ratio", 1.02, unit=" x"),
)  # fmt: skip
