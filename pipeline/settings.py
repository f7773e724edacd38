"""
The settings: one table, read from keywords, environment and file, in that order of precedence.

A field's default, unit, meaning and check stand in its declaration, and the reference page is made from it. A
value that cannot be used is one clear line; it falls back to the default and is reported in health, unless
`strict`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from pipeline.errors import SettingsError
from pipeline.limits import BATCH_BYTES_MAX, RECORD_BYTES_MAX_CEILING

Check = Callable[[Any], Any]
POLICIES: Final = ("drop_oldest", "drop_newest", "drop_low", "block")
_POLICY_WORDS: Final = {"Block": "block", "Discard": "drop_newest", "DiscardLowLevel": "drop_low"}
_LANES: Final = ("auto", "memory", "disk")
_MODE_MAX: Final = 0o7777
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off"}


def _text(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError("a text")  # noqa: TRY004 - one kind of error for every check
    return os.fspath(value)


def _switch(value: Any) -> bool:
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("true or false")
    return word in _TRUE


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        number = _to_float(value)
        if number is None or not low <= number <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        number = _to_float(value)
        if number is None or number != int(number) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(number)

    return check


def _to_float(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _one_of(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError("one of " + ", ".join(words))
        return str(value)

    return check


def _names(value: Any) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of names")
    return tuple(items)


def _policy(value: Any) -> str:
    word = _POLICY_WORDS.get(value, value) if isinstance(value, str) else value
    if word not in POLICIES:
        raise ValueError("one of " + ", ".join((*POLICIES, *_POLICY_WORDS)))
    return str(word)


def _mode(value: Any) -> int:
    try:
        number = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or not 0 <= number <= _MODE_MAX:
        raise ValueError('a file mode such as "0640"')
    return number


def _pool(value: Any) -> dict[str, int]:
    try:
        pool = orjson.loads(value) if isinstance(value, str) else value
    except ValueError:
        pool = None
    if not isinstance(pool, Mapping) or set(pool) - {"writer"}:
        raise ValueError('a table of roles such as {"writer": 1}')
    if pool.get("writer", 1) != 1:
        raise ValueError("writer = 1: a second writer could not keep the order of a producer's records")
    return {"writer": 1}


def _timezone(value: Any) -> str:
    import zoneinfo

    if value in ("", "UTC"):
        return "UTC"
    try:
        zoneinfo.ZoneInfo(value)
    except Exception as error:
        raise ValueError("a time zone name such as Europe/Berlin") from error
    return str(value)


def _option(default: Any, unit: str, meaning: str, check: Check) -> Any:
    details = {"unit": unit, "meaning": meaning, "check": check}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=details)
    return field(default=default, metadata=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force, checked and complete."""

    log_dir: str = _option("", "path", "Directory of the day files; `~` and `$NAME` are expanded.", _text)
    state_dir: str = _option(
        "", "path", "Disk lanes and checkpoint; empty: `.pipeline` in the log directory.", _text
    )
    enabled: bool = _option(
        True, "switch", "Off: no process, no file, no handler, and emit() returns 0.", _switch
    )
    strict: bool = _option(
        False, "switch", "Raise for a wrong setting instead of using its default.", _switch
    )
    async_logging: bool = _option(
        True, "switch", "Off: emit() returns once the record is in the day file.", _switch
    )
    sync_timeout_sec: float = _option(
        1.0, "s", "How long emit() waits for that when async_logging is off.", _number(0, 3600)
    )
    durable_timeout_sec: float = _option(
        5.0, "s", "How long emit(durable=True) waits before it raises NotDurable.", _number(0, 3600)
    )
    fsync_interval_sec: float = _option(
        1.0, "s", "Longest time between an append and its fsync.", _number(0, 3600)
    )
    fallback_dir: str = _option(
        "auto",
        "path",
        "Where records go while the log directory fails; auto: a private directory on another mount.",
        _text,
    )
    fallback_max_mb: float = _option(
        1024, "MiB", "Room of that store on its volume; then records stay in the queue.", _number(1, 1 << 20)
    )
    lanes: str = _option("auto", "auto, memory, disk", "Where the queue lives.", _one_of(*_LANES))
    queue_max_mb: float = _option(1024, "MiB", "Quota of the queue over all producers.", _number(1, 1 << 20))
    queue_size: int = _option(
        10_000,
        "records",
        "Depth at which the queue counts as deep; reported from 80 % of it.",
        _whole(1, 1 << 40),
    )
    queue_full_strategy: str = _option(
        "drop_oldest",
        "policy",
        "At the quota: drop_oldest, drop_newest (Discard), drop_low (DiscardLowLevel), block (Block).",
        _policy,
    )
    block_timeout_sec: float = _option(
        1.0,
        "s",
        "How long emit() waits for room under `block`, then the record is dropped.",
        _number(0, 3600),
    )
    critical_timeout_sec: float = _option(
        3.0, "s", "How long a critical record waits for room, reserve included.", _number(0, 3600)
    )
    critical_action_types: tuple[str, ...] = _option(
        (), "names", "Critical beside level ERROR and CRITICAL, status error and `*_error`.", _names
    )
    max_record_bytes: int = _option(
        1 << 20, "B", "A longer record is cut, and says so.", _whole(1024, RECORD_BYTES_MAX_CEILING)
    )
    batch_size: int = _option(
        100,
        "records",
        "Kept for compatibility: the writer never waits for a batch to fill.",
        _whole(1, 1 << 30),
    )
    batch_timeout_sec: float = _option(
        1.0, "s", "Longest time a record waits for its batch.", _number(0.001, 60)
    )
    batch_max_bytes: int = _option(BATCH_BYTES_MAX, "B", "Largest append.", _whole(4096, 64 << 20))
    retry_max: int = _option(
        5,
        "retries",
        "Retries of a batch after 1, 2, 4, 8 and 16 s; then it goes to the fallback.",
        _whole(0, 100),
    )
    breaker_failures: int = _option(
        10,
        "attempts",
        "Failed attempts in a row that open the breaker: the fallback at once.",
        _whole(1, 1000),
    )
    breaker_probe_sec: float = _option(
        5.0, "s", "First look at a log directory whose breaker is open; doubles up to 60.", _number(0.1, 300)
    )
    probe_interval_sec: float = _option(
        30.0, "s", "How often an idle pipeline sees whether the log directory takes files.", _number(1, 3600)
    )
    timezone: str = _option("UTC", "zone", "Whose midnight ends a day; timestamps are UTC always.", _timezone)
    dir_mode: int = _option(0o700, "mode", "Mode of the directories the pipeline creates.", _mode)
    file_mode: int = _option(0o600, "mode", "Mode of the day files.", _mode)
    group: str = _option("", "name", "Group of log directory and day files.", _text)
    health_host: str = _option("127.0.0.1", "address", "Where the health endpoint listens.", _text)
    health_port: int = _option(
        0,
        "port",
        "Its port; 0: any free one. A busy port means another one and `degraded`.",
        _whole(0, 65535),
    )
    heartbeat_timeout_sec: float = _option(
        10.0, "s", "A worker whose heartbeat is older is replaced.", _number(1, 3600)
    )
    drain_timeout_sec: float = _option(
        30.0, "s", "How long a stopping service writes what is left.", _number(0, 3600)
    )
    container_drain_timeout_sec: float = _option(
        8.0, "s", "The same for an app that is PID 1 of a container.", _number(0, 3600)
    )
    worker_python: str = _option("", "path", "Interpreter of the workers; empty: the application's.", _text)
    worker_memory_max_mb: float = _option(
        100, "MiB", "A worker above 80 % shrinks its batches, at 100 % it is replaced.", _number(32, 1 << 20)
    )
    pool: dict[str, int] = _option({"writer": 1}, "roles", "Workers by role.", _pool)
    sigusr1: str = _option(
        "flush", "flush, drain", "What SIGUSR1 does to the service.", _one_of("flush", "drain")
    )


class Setting(NamedTuple):
    """One row of the settings table, for `pipeline config` and the reference page."""

    name: str
    unit: str
    default: Any
    meaning: str
    env: str
    check: Check


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
    )


SETTINGS: Final = tuple(_row(declared) for declared in fields(Settings))
_ALIASES: Final = {"full_policy": "queue_full_strategy"}
_BY_NAME: Final = {row.name: row for row in SETTINGS}


def load(
    keywords: Mapping[str, Any], settings_file: str | os.PathLike[str] | None = None
) -> tuple[Settings, list[str]]:
    """
    Return the settings in force and a line for each value that could not be used.

    Raises SettingsError for an unreadable file, an unknown keyword, and, when strict, for any wrong value.
    """
    given = {**(read_file(settings_file) if settings_file else {}), **from_environment(), **_flat(keywords)}
    unknown = sorted(set(keywords) - set(_BY_NAME) - set(_ALIASES))
    if unknown:
        raise SettingsError("no such setting", where=unknown[0], remedy=_nearest(unknown[0]))
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for name, value in given.items():
        if name not in _BY_NAME:
            complaints.append(f"{name}: no such setting. {_nearest(name)}")
            continue
        try:
            values[name] = _BY_NAME[name].check(value)
        except (ValueError, TypeError) as error:
            complaints.append(
                f"{name}: {value!r} is not {error}; the default {_BY_NAME[name].default!r} is used"
            )
    if complaints and values.get("strict"):
        raise SettingsError(
            "a setting cannot be used", where=complaints[0].partition(":")[0], cause="; ".join(complaints)
        )
    return Settings(**values), complaints


def from_environment() -> dict[str, str]:
    """Return the settings that environment variables give."""
    return {row.name: os.environ[row.env] for row in SETTINGS if row.env in os.environ}


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a JSON or TOML file, from its `logging` block if it has one."""
    file = Path(path).expanduser()
    try:
        content = file.read_text(encoding="utf-8")
        found = _parsed_toml(content) if file.suffix == ".toml" else orjson.loads(content)
    except (OSError, ValueError) as error:
        raise SettingsError("the settings file cannot be read", where=str(file), cause=error) from error
    block = found.get("logging", found) if isinstance(found, dict) else None
    if not isinstance(block, dict):
        raise SettingsError("the settings file holds no table", where=str(file))
    return _flat(block)


def _parsed_toml(content: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(content)


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve aliases, and the document form of `queue_full_strategy`, which is a table."""
    flat = {_ALIASES.get(name, name): value for name, value in given.items()}
    strategy = flat.get("queue_full_strategy")
    if isinstance(strategy, Mapping):
        flat.pop("queue_full_strategy")
        renamed = {"default": "queue_full_strategy", "critical_levels": "critical_action_types"}
        flat.update(
            {
                renamed.get(str(key), str(key)): value
                for key, value in strategy.items()
                if key != "critical_strategy"
            }
        )
    return flat


def _nearest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, [*_BY_NAME, *_ALIASES], n=1)
    return f"Did you mean {close[0]}?" if close else "`docs/reference/settings.md` lists them"


def to_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values, as `settings.json` holds them."""
    return asdict(settings)


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Return the settings that `to_dict` gave; a newer library's unknown names are passed over."""
    known = {name: value for name, value in values.items() if name in _BY_NAME}
    ready: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    return Settings(**ready)
