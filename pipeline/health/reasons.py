"""The closed list of reasons why health is not "ok". Each has a code, what it means, and what to do."""

from __future__ import annotations

from typing import Final, NamedTuple

OK: Final = "ok"
DEGRADED: Final = "degraded"
FAILING: Final = "failing"
_ORDER: Final = (OK, DEGRADED, FAILING)


class Reason(NamedTuple):
    """What a code means. `status` is what it makes of health as a whole."""

    status: str
    meaning: str
    remedy: str


REASONS: Final[dict[str, Reason]] = {
    "supervisor_down": Reason(
        FAILING,
        "No supervisor runs; records wait in the queue.",
        "It is started by the next emit() of any producer, or by `pipeline run`.",
    ),
    "writer_down": Reason(
        FAILING,
        "No writer runs; records wait in the queue.",
        "It is started again at once; see `pipeline status --log` if it stays.",
    ),
    "writer_boot_failed": Reason(
        FAILING,
        "The writer cannot start; it is tried again at growing intervals.",
        "`pipeline status --log` shows its last words.",
    ),
    "writer_not_responding": Reason(
        DEGRADED,
        "The writer's heartbeat is older than 2 s.",
        "Nothing yet: past heartbeat_timeout_sec the writer is replaced.",
    ),
    "heartbeat_stale": Reason(
        FAILING,
        "The writer's heartbeat is older than heartbeat_timeout_sec; it is being replaced.",
        "If it comes back, look for a hanging disk.",
    ),
    "writer_stuck": Reason(
        DEGRADED,
        "A writer was killed and is still there, stuck in the kernel or frozen. A stand-in writes meanwhile.",
        "Mend the volume that it waits for, or thaw it; `workers` has its pid, and what it waits in.",
    ),
    "writer_restarted": Reason(
        DEGRADED,
        "The writer was restarted after a crash in the last 10 s.",
        "Nothing; records are safe. See `pipeline status --log`.",
    ),
    "append_lock_taken": Reason(
        FAILING,
        "Another process holds the append lock of these files; records go to the fallback store.",
        "last_error says which one: a writer that hangs on this directory, perhaps on another host.",
    ),
    "append_failing": Reason(
        DEGRADED,
        "Appends or syncs of day files fail; records wait in the queue.",
        "See last_error: disk full, read-only or gone?",
    ),
    "fallback_in_use": Reason(
        DEGRADED,
        "Records are in the fallback store; they come into the files when those take records again.",
        "Nothing while `rows` falls; else see last_error. `pipeline replay-fallback` asks for it now.",
    ),
    "fallback_failing": Reason(
        FAILING,
        "The fallback store refuses records too, or is at fallback_max_mb; they wait in the queue.",
        "See `fallback.error`; make the log directory writable, or room for the store.",
    ),
    "fallback_same_mount": Reason(
        OK,
        "The fallback store is on the volume of the log directory: it protects little.",
        "Set fallback_dir to a directory on another volume.",
    ),
    "manifest_late": Reason(
        DEGRADED,
        "The manifests cannot be written; records are, and their entries follow.",
        "Make .pipeline/manifests in the log directory writable.",
    ),
    "state_dir_unwritable": Reason(
        DEGRADED,
        "The state directory refuses the register of ended producers, or the checkpoint, and disk lanes are "
        "not released.",
        "Make state_dir writable.",
    ),
    "keeper_failing": Reason(
        DEGRADED,
        "The keeper cannot do its work: files that should be packed stay as they are.",
        "See `keeper.error` in the health document, and `pipeline status --log`: is there room on the disk?",
    ),
    "room_scarce": Reason(
        DEGRADED,
        "Less than min_free_mb are free on the volume of the day files: the oldest leave before their time.",
        "Make room, or lower min_free_mb.",
    ),
    "files_will_leave": Reason(
        OK,
        "Within a day files will have to leave for want of room, before retention_days are over.",
        "`retention.leaving` in the health document says which; raise max_total_size_mb, or keep a copy.",
    ),
    "clock_doubted": Reason(
        OK,
        "The clock has leapt forward: for a day that makes no file old enough to leave.",
        "Set it right if it is wrong: `retention.clock_ahead_sec` says by how much. `pipeline cleanup` "
        "does not wait.",
    ),
    "queue_deep": Reason(
        DEGRADED,
        "The queue holds more than 80 % of queue_size records.",
        "The writer is behind: slow disk, or a burst.",
    ),
    "queue_pressed": Reason(
        DEGRADED,
        "The queue takes more than 80 % of its quota.",
        "Make the disk writable or faster, or raise queue_max_mb.",
    ),
    "queue_full": Reason(
        FAILING, "The queue is at its quota; queue_full_strategy decides what is refused.", "As above, now."
    ),
    "records_dropped": Reason(
        DEGRADED,
        "Records were refused or dropped in the last 60 s, or wait to be named.",
        "The `records_dropped` records in the files say whose and why.",
    ),
    "disk_nearly_full": Reason(DEGRADED, "Less than 100 MiB are free where the day files are.", "Make room."),
    "memory_high": Reason(
        DEGRADED,
        "A worker is above 80 % of worker_memory_max_mb.",
        "It collects garbage, and is replaced without loss at 100 %.",
    ),
    "unknown_lane_version": Reason(
        DEGRADED,
        "A lane was written by another version of this library; it is kept.",
        "Start the pipeline once with that version.",
    ),
    "settings_rejected": Reason(
        DEGRADED,
        "A setting could not be used and its default is in force.",
        "See settings_rejected in the health document.",
    ),
    "health_port_taken": Reason(
        DEGRADED,
        "health_port was busy; the endpoint listens on another port.",
        "Free the port, or set another one.",
    ),
    "wrong_fields": Reason(
        OK,
        "In the last 60 s records had fields that are not as their types say; they are recorded as given.",
        "`wrong_fields` in the health document names them; `pipeline schema TYPE` prints what is expected.",
    ),
    "sync_late": Reason(
        DEGRADED,
        "async_logging is off, and records of this process were late; they are queued.",
        "See the other reasons.",
    ),
}


def status_of(codes: list[str]) -> str:
    """Return the worst status among reasons."""
    return max((REASONS[code].status for code in codes), key=_ORDER.index, default=OK)
