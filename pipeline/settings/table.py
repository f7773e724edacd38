"""
The settings table: a field's default, unit, meaning and check stand in its declaration.

The reference page, the environment variables and the files all come from it.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final, NamedTuple

from pipeline.limits import BATCH_BYTES_MAX, RECORD_BYTES_MAX_CEILING
from pipeline.settings.checks import (
    ACTION_TYPES_OFF,
    Check,
    days,
    file_mode_bits,
    limits,
    mebibytes,
    names,
    number,
    one_of,
    patterns,
    policy_word,
    pool_roles,
    rates,
    rotation,
    switch,
    text,
    type_switches,
    whole,
    words,
    zone,
)

RELOAD: Final = "reload"
"""The workers take the setting when they are told to (SIGUSR2, `pipeline reload`)."""
APPLICATION: Final = "application"
"""A producer takes it when its process joins the pipeline, and keeps it."""
PIPELINE: Final = "pipeline"
"""It holds from the first start of the pipeline to the end of its last process."""
SECRET: Final = "secret"  # noqa: S105 - a unit
"""The unit of a setting whose value is never shown."""
_LANES: Final = ("auto", "memory", "disk")


def _option(default: Any, unit: str, meaning: str, check: Check, *, at: str = APPLICATION) -> Any:
    details = {"unit": unit, "meaning": meaning, "check": check, "at": at}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=details)
    return field(default=default, metadata=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force, checked and complete."""

    log_dir: str = _option(
        "", "path", "Directory of the day files; `~` and `$NAME` are expanded.", text, at=PIPELINE
    )
    state_dir: str = _option(
        "", "path", "Disk lanes and checkpoint; empty: `.pipeline` in the log directory.", text, at=PIPELINE
    )
    enabled: bool = _option(
        True, "switch", "Off: no process, no file, no handler, and emit() returns 0.", switch
    )
    strict: bool = _option(
        False, "switch", "Raise for a wrong setting instead of using its default.", switch, at=RELOAD
    )
    async_logging: bool = _option(
        True, "switch", "Off: emit() returns once the record is in the day file.", switch
    )
    sync_timeout_sec: float = _option(
        1.0, "s", "How long emit() waits for that when async_logging is off.", number(0, 3600)
    )
    durable_timeout_sec: float = _option(
        5.0, "s", "How long emit(durable=True) waits before it raises NotDurable.", number(0, 3600)
    )
    fsync_interval_sec: float = _option(
        1.0, "s", "Longest time between an append and its fsync.", number(0, 3600), at=RELOAD
    )
    fallback_dir: str = _option(
        "auto",
        "path",
        "Where records go while the log directory fails; auto: a private directory on another mount.",
        text,
        at=PIPELINE,
    )
    fallback_max_mb: float = _option(
        1024,
        "MiB",
        "Room of that store on its volume; then records stay in the queue.",
        number(1, 1 << 20),
        at=RELOAD,
    )
    lanes: str = _option("auto", "auto, memory, disk", "Where the queue lives.", one_of(*_LANES))
    queue_max_mb: float = _option(1024, "MiB", "Quota of the queue over all producers.", number(1, 1 << 20))
    queue_size: int = _option(
        10_000,
        "records",
        "Depth at which the queue counts as deep; reported from 80 % of it.",
        whole(1, 1 << 40),
        at=RELOAD,
    )
    queue_full_strategy: str = _option(
        "drop_oldest",
        "policy",
        "At the quota: drop_oldest, drop_newest (Discard), drop_low (DiscardLowLevel), block (Block).",
        policy_word,
    )
    block_timeout_sec: float = _option(
        1.0,
        "s",
        "How long emit() waits for room under `block`, then the record is dropped.",
        number(0, 3600),
    )
    critical_timeout_sec: float = _option(
        3.0, "s", "How long a critical record waits for room, reserve included.", number(0, 3600)
    )
    critical_action_types: tuple[str, ...] = _option(
        (), "names", "Critical beside level ERROR and CRITICAL, status error and `*_error`.", names
    )
    sample_rates: dict[str, float] = _option(
        {},
        "rates",
        "Share of ordinary records that is kept, by level, action type or `logger:NAME`: `DEBUG=0.1`.",
        rates,
    )
    rate_limits: dict[str, float] = _option(
        {},
        "records/s",
        "Most ordinary records a second of one process, by level, action type or `logger:NAME`.",
        limits,
    )
    audit_action_types: tuple[str, ...] = _option(
        ("api_request", "audit"), "names", "Never sampled nor limited, as critical ones.", names
    )
    action_types: dict[str, bool] = _option(
        ACTION_TYPES_OFF,
        "switches",
        "Types by name, on or off; a type that is not named is on, and one that is off is not recorded.",
        type_switches,
    )
    validation: str = _option(
        "count",
        "off, count, strict",
        "Fields of a known type of the wrong kind: count them and tell in health, or (strict) raise.",
        one_of("off", "count", "strict"),
    )
    max_record_bytes: int = _option(
        1 << 20, "B", "A longer record is cut, and says so.", whole(1024, RECORD_BYTES_MAX_CEILING)
    )
    batch_size: int = _option(
        100,
        "records",
        "Kept for compatibility: the writer never waits for a batch to fill.",
        whole(1, 1 << 30),
        at=RELOAD,
    )
    batch_timeout_sec: float = _option(
        1.0, "s", "Longest time a record waits for its batch.", number(0.001, 60), at=RELOAD
    )
    batch_max_bytes: int = _option(BATCH_BYTES_MAX, "B", "Largest append.", whole(4096, 64 << 20), at=RELOAD)
    retry_max: int = _option(
        5,
        "retries",
        "Retries of a batch after 1, 2, 4, 8 and 16 s; then it goes to the fallback.",
        whole(0, 100),
        at=RELOAD,
    )
    breaker_failures: int = _option(
        10,
        "attempts",
        "Failed attempts in a row that open the breaker: the fallback at once.",
        whole(1, 1000),
        at=RELOAD,
    )
    breaker_probe_sec: float = _option(
        5.0,
        "s",
        "First look at a log directory whose breaker is open; doubles up to 60.",
        number(0.1, 300),
        at=RELOAD,
    )
    probe_interval_sec: float = _option(
        30.0,
        "s",
        "How often an idle pipeline sees whether the log directory takes files.",
        number(1, 3600),
        at=RELOAD,
    )
    mask_sensitive_data: bool = _option(
        True, "switch", "Mask secrets before a record reaches the queue.", switch
    )
    custom_sensitive_fields: tuple[str, ...] = _option(
        (), "names", "Further names whose values are masked, however they are spelled.", names
    )
    mask_patterns: tuple[str, ...] = _option(
        (), "RE2 patterns", "Further forms of secrets; the first group, if there is one, is masked.", patterns
    )
    mask_allow: tuple[str, ...] = _option(
        (),
        "names, rules, texts",
        "Fields, rules of `docs/masking.md` and exact texts left as they are.",
        names,
    )
    mask_strategy: str = _option(
        "mask",
        "mask, partial, hash, remove",
        "What is shown: [MASKED]; three characters at either end; a keyed hash; nothing.",
        one_of("mask", "partial", "hash", "remove"),
    )
    mask_hash_key: str = _option(
        "",
        SECRET,
        "Key of the hashes; empty: each process has its own, and hashes compare only there.",
        text,
    )
    mask_personal_data: bool = _option(
        False, "switch", "Mask e-mail addresses, phone and card numbers too.", switch
    )
    mask_thinking: bool = _option(False, "switch", "Mask what agents think: `thinking_content`.", switch)
    mask_tracebacks: bool = _option(
        False, "switch", "Mask tracebacks whole; secrets in them are masked anyway.", switch
    )
    mask_preset: str = _option(
        "standard",
        "standard, strict",
        "The word strict adds the three switches above, and names with a sensitive word anywhere in them.",
        one_of("standard", "strict"),
    )
    truncate_large_output: bool = _option(
        True, "switch", "Cut the texts in `truncate_fields` to `max_output_chars`.", switch
    )
    max_output_chars: int = _option(
        1000, "characters", "What is kept of each of these texts.", whole(1, RECORD_BYTES_MAX_CEILING)
    )
    truncate_fields: tuple[str, ...] = _option(
        ("output", "stdout", "stderr", "response_body"),
        "names",
        "Fields that hold output, at any depth; `*` is all.",
        names,
    )
    timezone: str = _option(
        "UTC", "zone", "Whose midnight ends a day; timestamps are UTC always.", zone, at=PIPELINE
    )
    compression: str = _option(
        "zstd",
        "zstd, gzip, none",
        "How files are packed once their period is over: `.zst`, `.gz`, or not at all.",
        one_of("zstd", "gzip", "none"),
        at=RELOAD,
    )
    compress_after_days: float = _option(
        7, "days", "How long after the end of its period a file is packed.", days(0, 36_500), at=RELOAD
    )
    rotate_every: str = _option(
        "day",
        "day, hour, minute, second",
        "What one file covers; as `file_pattern`, a date pattern such as `%d{yyyy-MM-dd-HH}`.",
        rotation,
        at=PIPELINE,
    )
    rotate_max_mb: float = _option(
        0,
        "MiB",
        "A longer file is followed by a part, `DATE.1.jsonl`; 0: never.",
        mebibytes(0, 1 << 20),
        at=RELOAD,
    )
    retention_days: float = _option(
        30, "days", "A file leaves so long after its period; 0: never.", days(0, 36_500), at=RELOAD
    )
    max_total_size_mb: float = _option(
        1024,
        "MiB",
        "Room of all day files: above, sealed ones are packed, then the oldest leave; 0: no limit.",
        mebibytes(0, 1 << 30),
        at=RELOAD,
    )
    max_files: int = _option(
        0, "files", "How many day files are kept, the newest; 0: any number.", whole(0, 1 << 30), at=RELOAD
    )
    min_free_mb: float = _option(
        100,
        "MiB",
        "Below so much free room on the volume (at most 5 % of it) the oldest files leave early; 0: never.",
        mebibytes(0, 1 << 30),
        at=RELOAD,
    )
    cleanup_on_startup: bool = _option(
        True,
        "switch",
        "Keep these limits at the start too, not only daily and at 90 % of the room.",
        switch,
        at=RELOAD,
    )
    expiry: str = _option(
        "delete",
        "delete, move, command",
        "What becomes of a file that leaves.",
        one_of("delete", "move", "command"),
        at=RELOAD,
    )
    expiry_dir: str = _option("", "path", "Where `expiry=move` moves it.", text, at=RELOAD)
    expiry_command: tuple[str, ...] = _option(
        (),
        "words",
        "What `expiry=command` runs, `{path}` being the file; it goes when that ends with status 0.",
        words,
        at=RELOAD,
    )
    expiry_timeout_sec: float = _option(
        600.0, "s", "A command that runs longer is ended, and the file stays.", number(0.1, 86_400), at=RELOAD
    )
    dir_mode: int = _option(
        0o700,
        "mode",
        "Mode of the log directory and of those in it that readers need.",
        file_mode_bits,
        at=RELOAD,
    )
    file_mode: int = _option(
        0o600,
        "mode",
        "Mode of day files, manifests, catalog, quarantine and fallback store.",
        file_mode_bits,
        at=RELOAD,
    )
    group: str = _option("", "name", "Group of all of these.", text, at=RELOAD)
    health_host: str = _option(
        "127.0.0.1", "address", "Where the health endpoint listens.", text, at=PIPELINE
    )
    health_port: int = _option(
        0,
        "port",
        "Its port; 0: any free one. A busy port means another one and `degraded`.",
        whole(0, 65535),
        at=PIPELINE,
    )
    heartbeat_timeout_sec: float = _option(
        10.0, "s", "A worker whose heartbeat is older is replaced.", number(1, 3600), at=RELOAD
    )
    drain_timeout_sec: float = _option(
        30.0, "s", "How long a stopping service writes what is left.", number(0, 3600), at=RELOAD
    )
    container_drain_timeout_sec: float = _option(
        8.0, "s", "The same for an app that is PID 1 of a container.", number(0, 3600)
    )
    worker_python: str = _option(
        "", "path", "Interpreter of the workers; empty: the application's.", text, at=PIPELINE
    )
    worker_memory_max_mb: float = _option(
        100,
        "MiB",
        "A worker above 80 % shrinks its batches, at 100 % it is replaced.",
        number(32, 1 << 20),
        at=RELOAD,
    )
    pool: dict[str, int] = _option({"writer": 1}, "roles", "Workers by role.", pool_roles, at=PIPELINE)
    sigusr1: str = _option(
        "flush", "flush, drain", "What SIGUSR1 does to the service.", one_of("flush", "drain"), at=RELOAD
    )


class Setting(NamedTuple):
    """One row of the settings table, for `pipeline config` and the reference page."""

    name: str
    unit: str
    default: Any
    meaning: str
    env: str
    check: Check
    at: str
    """When a new value comes into force: one of RELOAD, APPLICATION, PIPELINE."""


def _row(declared: Any) -> Setting:
    default = declared.default if declared.default is not MISSING else declared.default_factory()
    details = declared.metadata
    return Setting(
        declared.name,
        details["unit"],
        default,
        details["meaning"],
        f"PIPELINE_{declared.name.upper()}",
        details["check"],
        details["at"],
    )


SETTINGS: Final = tuple(_row(declared) for declared in fields(Settings))
BY_NAME: Final = {row.name: row for row in SETTINGS}
