"""
A configuration of the standard library's `logging`, made into one that records through the pipeline.

It may name classes that its program never had, as the documents' own does. Handlers that write files become
`PipelineHandler(log_dir=…)` over the file's directory, formatters that write JSON become `JsonFormatter`,
levels are read by a table of words. The rest stays as it is: loggers, levels and filters are the user's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

HANDLER: Final = "pipeline.integrations.logging.PipelineHandler"
FORMATTER: Final = "pipeline.integrations.logging.JsonFormatter"
_SECTIONS: Final = ("formatters", "handlers", "loggers", "root")
_KEPT: Final = ("level", "filters", "formatter")
"""What a handler has, whatever its class."""
_PLACES: Final = ("filename", "base_path", "log_dir")
_INSTEAD: Final = {
    "maxBytes": "files are of a day; rotation by size waits for its setting",
    "backupCount": "days are kept until retention takes them; it waits for its setting",
    "compression": "old days are compressed by the pipeline; it waits for its setting",
    "encoding": "day files are UTF-8",
}
LEVELS: Final = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "NOTICE": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERR": "ERROR",
    "ERROR": "ERROR",
    "FATAL": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "OFF": "CRITICAL",
    "ALL": "NOTSET",
    "NOTSET": "NOTSET",
}
"""The words for levels of other libraries, beside the standard library's."""


class Translation(NamedTuple):
    """The configuration for `logging.config.dictConfig`, and what of the original it does in another way."""

    config: dict[str, Any]
    notes: dict[str, str]
    """Key by key, with dots: what became of it."""


def is_one(found: Mapping[str, Any]) -> bool:
    """Whether a table is such a configuration: it has a version, and a section that only it has."""
    return "version" in found and any(isinstance(found.get(name), Mapping) for name in _SECTIONS)


def translate(document: Mapping[str, Any]) -> Translation:
    """Return the configuration that `logging.config.dictConfig` takes, and what it does in another way."""
    notes: dict[str, str] = {}
    config = {str(key): value for key, value in document.items()}
    for section, change in (("formatters", _formatter), ("handlers", _handler), ("loggers", _logger)):
        entries = document.get(section)
        if isinstance(entries, Mapping):
            config[section] = {
                name: change(entry, f"{section}.{name}", notes) for name, entry in entries.items()
            }
    if "root" in document:
        config["root"] = _logger(document["root"], "root", notes)
    return Translation(config, notes)


def _formatter(entry: Any, where: str, notes: dict[str, str]) -> Any:
    if not isinstance(entry, Mapping) or _last_word(_class_of(entry)).lower() != "jsonformatter":
        return entry
    if "format" in entry:
        notes[f"{where}.format"] = "JsonFormatter writes all fields"
    return {"class": FORMATTER}


def _handler(entry: Any, where: str, notes: dict[str, str]) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    place = next((entry[key] for key in _PLACES if isinstance(entry.get(key), str | os.PathLike)), None)
    if place is None or not _last_word(_class_of(entry)).endswith("FileHandler"):
        return _logger(entry, where, notes)
    notes.update(
        {
            f"{where}.{key}": _INSTEAD.get(str(key), "of no use to PipelineHandler")
            for key in entry
            if key not in (*_KEPT, *_PLACES, "class", "()")
        }
    )
    is_file = "filename" in entry
    log_dir = os.path.dirname(os.fspath(place)) or "." if is_file else os.fspath(place)
    kept = {key: entry[key] for key in _KEPT if key in entry}
    return {"class": HANDLER, **_logger(kept, where, notes), "log_dir": log_dir}


def _logger(entry: Any, where: str, notes: dict[str, str]) -> Any:
    """Put a word that `logging` knows for the level; one that nobody knows is told, and lets all pass."""
    level = entry.get("level") if isinstance(entry, Mapping) else None
    if not isinstance(level, str) or level.startswith(("ext://", "cfg://")):
        return entry
    import logging

    known = level if level in logging.getLevelNamesMapping() else LEVELS.get(level.strip().upper())
    if known is None:
        notes[f"{where}.level"] = f"{level!r} is no level that is known: NOTSET"
    return {**entry, "level": known or "NOTSET"}


def _class_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("()") or entry.get("class") or "")


def _last_word(name: str) -> str:
    return name.rpartition(".")[2]
