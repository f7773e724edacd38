"""What the numbers of each measure are called, in which unit they are shown, and which way is better."""

import statistics
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One number of a measure.

    ``stable`` ones go into the baseline; tails and losses are too noisy or too often 0.
    Of several repeats the median counts, of what ``takes_worst`` the worst: a record lost once is lost. What
    ``is_answer`` is 1 for yes, and yes only if it was each time.
    """

    key: str
    label: str
    digits: int = 1
    better: Literal["lower", "higher"] = "lower"
    ratio: bool = False
    stable: bool = False
    takes_worst: bool = False
    is_answer: bool = False

    def of_repeats(self, values: list[float]) -> float:
        """Fold several runs into one number."""
        if self.is_answer:
            return min(values)
        return max(values) if self.takes_worst else statistics.median(values)

    def text(self, value: float) -> str:
        """Return how a number is shown: with its digits, or as the answer that it is."""
        return ("no", "yes")[bool(value)] if self.is_answer else f"{value:,.{self.digits}f}"


_ROLES = tuple(Metric(f"{role}_percent", role, 2) for role in ("app", "writer", "supervisor"))

_CALL = (
    Metric("p50_us", "p50 µs", 2, ratio=True, stable=True),
    Metric("p99_us", "p99 µs", ratio=True),
    Metric("p999_us", "p99.9 µs"),
    Metric("max_us", "max µs", 0),
    Metric("calls", "calls", 0),
)

METRICS: dict[str, tuple[Metric, ...]] = {
    "emit": _CALL,
    "features": _CALL,
    "sparse": _CALL,
    "throughput": (
        Metric("per_second", "records/s", 0, "higher", ratio=True, stable=True),
        Metric("cpu_all_us", "CPU µs/record", 2, ratio=True, stable=True),
        Metric("cpu_app_us", "of it app", 2),
        Metric("cpu_writer_us", "writer", 2),
        Metric("drain_s", "drain s", 2),
        Metric("missing", "missing", 0, takes_worst=True),
    ),
    "producers": (
        Metric("per_second", "records/s", 0, "higher", ratio=True),
        Metric("missing", "missing", 0, takes_worst=True),
    ),
    "killed": (
        Metric("masks", "masks secrets", is_answer=True),
        Metric("survives", "survives kill -9", is_answer=True),
        Metric("lost", "lost", 0, takes_worst=True),
        Metric("twice", "twice", 0, takes_worst=True),
    ),
    "stopped": (
        Metric("p50_us", "p50 µs", 2),
        Metric("p99_us", "p99 µs"),
        Metric("max_us", "max µs", 0),
        Metric("drain_s", "drain s", 2),
        Metric("missing", "missing", 0, takes_worst=True),
    ),
    "recovery": (
        Metric("back_s", "back after s", 3),
        Metric("worst_s", "worst s", 3, takes_worst=True),
        Metric("missing", "missing", 0, takes_worst=True),
        Metric("twice", "twice", 0, takes_worst=True),
    ),
    "idle": (Metric("all_percent", "% of a core", 2), *_ROLES),
    "steady": (
        Metric("all_percent", "% of a core", 2, ratio=True, stable=True),
        *_ROLES,
        Metric("pacing_percent", "(pacing, taken off)", 2),
    ),
    "memory": (
        Metric("workers_mb", "workers MB"),
        Metric("supervisor_mb", "supervisor MB"),
        Metric("writer_mb", "writer MB"),
        Metric("app_mb", "app grown MB"),
        Metric("mapped_mb", "segments mapped MB"),
    ),
    "startup": (
        Metric("over_ms", "over bare ms"),
        Metric("cpu_ms", "of it CPU ms"),
        Metric("worst_ms", "worst ms"),
        Metric("bare_ms", "bare interpreter ms"),
    ),
    "web": (
        Metric("off_p50_us", "p50 µs without", 0),
        Metric("on_p50_us", "with", 0),
        Metric("p50_ratio", "ratio", 3),
        Metric("off_p99_us", "p99 µs without", 0),
        Metric("on_p99_us", "with", 0),
        Metric("p99_ratio", "ratio", 3),
        Metric("off_cpu_us", "CPU µs without", 0),
        Metric("on_cpu_us", "with", 0),
        Metric("cpu_ratio", "ratio", 3, stable=True),
    ),
    "replay": (
        Metric("per_second", "records/s", 0, "higher"),
        Metric("store_per_second", "stored records/s", 0, "higher"),
        Metric("piece_ms", "longest piece ms"),
        Metric("missing", "missing", 0, takes_worst=True),
    ),
    "log-start": (
        Metric("first_ms", "no index ms"),
        Metric("hour_ms", "--since 1h ms"),
        Metric("hour_cpu_ms", "CPU ms"),
        Metric("errors_ms", "its errors ms"),
        Metric("tail_ms", "--tail 50 ms"),
        Metric("tail_cpu_ms", "CPU ms"),
        Metric("jsonl_ms", "as jsonl ms"),
        Metric("help_ms", "--help ms"),
        Metric("import_ms", "(import pipeline ms)"),
        Metric("bare_ms", "(bare interpreter ms)"),
    ),
    "verify": (
        Metric("gb", "GB", 2),
        Metric("digests_s", "digests s", 2),
        Metric("digests_cpu_s", "CPU s", 2),
        Metric("hash_cpu_s", "SHA-256 CPU s", 2),
        Metric("digests_ratio", "CPU ratio", stable=True, digits=2),
        Metric("full_s", "--full s", 2),
        Metric("full_cpu_s", "CPU s", 2),
        Metric("parse_cpu_s", "orjson CPU s", 2),
        Metric("full_ratio", "CPU ratio", stable=True, digits=2),
    ),
}
