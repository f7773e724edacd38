"""
Settings from keywords, environment and file, in that order of precedence.

A value that cannot be used is one clear line; it falls back to the default and is reported in health, unless
`strict`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.errors import SettingsError
from pipeline.settings.table import BY_NAME, SETTINGS, Settings

_ALIASES: Final = {"full_policy": "queue_full_strategy"}


def load(
    keywords: Mapping[str, Any], settings_file: str | os.PathLike[str] | None = None
) -> tuple[Settings, list[str]]:
    """
    Return the settings in force and a line for each value that could not be used.

    Raises SettingsError for an unreadable file, an unknown keyword, and, when strict, for any wrong value.
    """
    given = {**(read_file(settings_file) if settings_file else {}), **from_environment(), **_flat(keywords)}
    unknown = sorted(set(keywords) - set(BY_NAME) - set(_ALIASES))
    if unknown:
        raise SettingsError("no such setting", where=unknown[0], remedy=_nearest(unknown[0]))
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for name, value in given.items():
        if name not in BY_NAME:
            complaints.append(f"{name}: no such setting. {_nearest(name)}")
            continue
        try:
            values[name] = BY_NAME[name].check(value)
        except (ValueError, TypeError) as error:
            complaints.append(
                f"{name}: {value!r} is not {error}; the default {BY_NAME[name].default!r} is used"
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

    close = difflib.get_close_matches(name, [*BY_NAME, *_ALIASES], n=1)
    return f"Did you mean {close[0]}?" if close else "`docs/reference/settings.md` lists them"


def to_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values, as `settings.json` holds them."""
    return asdict(settings)


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Return the settings that `to_dict` gave; a newer library's unknown names are passed over."""
    known = {name: value for name, value in values.items() if name in BY_NAME}
    ready: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    return Settings(**ready)
