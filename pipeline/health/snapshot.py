"""One snapshot of health from what the supervisor sees and the writer says. Pure: facts in, document out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline.health.reasons import status_of
from pipeline.limits import CRITICAL_RESERVE, MIB, PRESSURE_AT

if TYPE_CHECKING:
    from pipeline.queue.depth import Depth
    from pipeline.settings import Settings

NOT_RESPONDING_SEC: Final = 2.0
RESTARTED_SEC: Final = 10.0
DROPPED_SEC: Final = 60.0
WRONG_FIELDS_SEC: Final = 60.0
COUNTED_BY_NAME: Final = ("wrong_fields", "masked", "truncated", "left_out")
"""Counts of all producers, by name."""
DISK_FREE_MIN_BYTES: Final = 100 * MIB


@dataclass
class WorkerView:
    """
    A worker as the supervisor sees it.

    `state`: running, stopped (by a signal), stuck (killed, and still there), down, boot_failed.
    """

    role: str
    pid: int = 0
    state: str = "down"
    heartbeat_age_sec: float = 0.0
    restarts: int = 0
    rss_bytes: int = 0
    crashed_age_sec: float | None = None
    kernel_state: str = ""
    """The kernel's letter: R, S, D (waits for a disk and hears no signal, or is frozen), T, Z."""
    waits_in: str = ""
    """The kernel function that it waits in, where that is told."""


@dataclass
class Facts:
    """Everything that health is made of."""

    settings: Settings
    writer: WorkerView
    supervisor: WorkerView
    depth: Depth
    stuck: list[WorkerView] = field(default_factory=list)
    """Writers that were killed and are still there."""
    keepers: list[WorkerView] = field(default_factory=list)
    """The keeper, while one works."""
    keeper_error: str = ""
    """How the last keeper ended, when that was no way to end."""
    said: dict[str, Any] = field(default_factory=dict)
    """What the writer last said of itself (writer.json)."""
    complaints: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)
    address: str = ""
    is_port_taken: bool = False
    is_service: bool = False
    place_reason: str = ""


def compose(facts: Facts) -> dict[str, Any]:
    """Return the health document; its fields are a contract, and readers ignore those they do not know."""
    codes = reasons(facts)
    said, depth = facts.said, facts.depth
    counts = dict(said.get("counts", {}))
    counts["emitted"] = counts.get("written", 0) + depth.records
    return {
        "status": status_of(codes),
        "reasons": codes,
        "service": facts.is_service,
        "address": facts.address,
        "workers": [asdict(view) for view in (facts.supervisor, facts.writer, *facts.stuck, *facts.keepers)],
        "queue": {
            **depth.as_dict(),
            "quota_bytes": _quota(facts.settings),
            "place": said.get("place", ""),
            "place_reason": facts.place_reason,
        },
        "counts": counts,
        "dropped": _dropped(facts),
        "breaker": said.get("breaker", {}),
        **{what: said.get("counted", {}).get(what, {}) for what in COUNTED_BY_NAME},
        "files": said.get("files", []),
        "fallback": said.get("fallback", {}),
        "keeper": _keeper(facts),
        "retention": said.get("retention", {}),
        "head": said.get("head", ""),
        "disk_free_bytes": said.get("disk_free_bytes"),
        "state": said.get("state", ""),
        "recovered_by": said.get("recovered_by", ""),
        "last_error": said.get("last_error", ""),
        "settings_rejected": facts.complaints,
        "settings_need_restart": facts.needs_restart,
    }


def reasons(facts: Facts) -> list[str]:
    """Return the codes that hold, worst matters first in the order of the list of reasons."""
    tests = [*_writer_tests(facts), *_file_tests(facts), *_queue_tests(facts), *_other_tests(facts)]
    return [code for code, holds in tests if holds]


def _writer_tests(facts: Facts) -> list[tuple[str, bool]]:
    writer = facts.writer
    age, limit = writer.heartbeat_age_sec, facts.settings.heartbeat_timeout_sec
    is_there = writer.state in ("running", "stopped")
    recent = writer.crashed_age_sec is not None and writer.crashed_age_sec < RESTARTED_SEC
    return [
        ("writer_down", writer.state == "down"),
        ("writer_boot_failed", writer.state == "boot_failed"),
        ("heartbeat_stale", is_there and age > limit),
        ("writer_not_responding", is_there and NOT_RESPONDING_SEC < age <= limit),
        ("writer_stuck", bool(facts.stuck)),
        ("writer_restarted", recent),
    ]


def _file_tests(facts: Facts) -> list[tuple[str, bool]]:
    said = facts.said
    free = said.get("disk_free_bytes")
    fallback = said.get("fallback", {})
    is_taken = bool(said.get("append_lock_holder"))
    retention = said.get("retention", {})
    return [
        ("append_lock_taken", is_taken),
        ("append_failing", bool(said.get("append_error")) and not is_taken),
        ("fallback_in_use", bool(fallback.get("rows"))),
        ("fallback_failing", bool(fallback.get("error"))),
        ("fallback_same_mount", bool(fallback.get("is_same_mount"))),
        ("manifest_late", bool(said.get("manifest_error"))),
        ("state_dir_unwritable", bool(said.get("checkpoint_error"))),
        ("keeper_failing", bool(_keeper(facts).get("error"))),
        ("room_scarce", bool(retention.get("is_scarce"))),
        ("files_will_leave", bool(retention.get("leaving", {}).get("files"))),
        ("clock_doubted", bool(retention.get("clock_ahead_sec"))),
        ("disk_nearly_full", free is not None and free < DISK_FREE_MIN_BYTES),
    ]


def _queue_tests(facts: Facts) -> list[tuple[str, bool]]:
    depth, quota = facts.depth, _quota(facts.settings)
    used = depth.memory_bytes + depth.disk_bytes
    is_full = used + 64 * 1024 > quota * (1 - CRITICAL_RESERVE)
    return [
        ("queue_full", is_full),
        ("queue_pressed", not is_full and used > quota * PRESSURE_AT),
        ("queue_deep", depth.records > facts.settings.queue_size * PRESSURE_AT),
        ("records_dropped", depth.dropped > 0 or _dropped_recently(facts.said)),
        ("unknown_lane_version", depth.unknown_lanes > 0 or bool(facts.said.get("unknown_lanes"))),
    ]


def _other_tests(facts: Facts) -> list[tuple[str, bool]]:
    limit = facts.settings.worker_memory_max_mb * MIB * PRESSURE_AT
    return [
        ("memory_high", max(facts.writer.rss_bytes, facts.supervisor.rss_bytes) > limit),
        ("settings_rejected", bool(facts.complaints)),
        ("health_port_taken", facts.is_port_taken),
        ("wrong_fields", _is_recent(facts.said.get("wrong_fields_age_sec"), WRONG_FIELDS_SEC)),
    ]


def _keeper(facts: Facts) -> dict[str, Any]:
    """Return what the last keeper said of itself; how it ended is known better by who saw it."""
    said = dict(facts.said.get("keeper", {}))
    return said | {"error": facts.keeper_error} if facts.keeper_error else said


def _dropped(facts: Facts) -> dict[str, int]:
    """Return the drops by reason: those told in the stream, and those that still stand in the queue."""
    told = dict(facts.said.get("dropped", {}))
    if facts.depth.dropped:
        told["drop_oldest"] = told.get("drop_oldest", 0) + facts.depth.dropped
    return told


def _dropped_recently(said: dict[str, Any]) -> bool:
    return _is_recent(said.get("dropped_age_sec"), DROPPED_SEC)


def _is_recent(age_sec: float | None, limit_sec: float) -> bool:
    return age_sec is not None and age_sec < limit_sec


def _quota(settings: Settings) -> int:
    return int(settings.queue_max_mb * MIB)
