"""
What the keys of a settings file mean, in every form that it may have.

A file is the block `logging` of an application's file, tables below `[observability]`, a configuration of
the standard library's `logging` (which is for `logging.config` and holds no setting), or, with none of these,
a table of our own names. Everything else in an application's file is the application's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pipeline.errors import SettingsError
from pipeline.settings.later import LATER, OBSERVABILITY
from pipeline.settings.nearest import hint, nearest
from pipeline.settings.table import BY_NAME

ALIASES: Final = {
    "full_policy": "queue_full_strategy",
    "mask_enabled": "mask_sensitive_data",
    "mask_fields": "custom_sensitive_fields",
    "filePattern": "rotate_every",
    "file_pattern": "rotate_every",
}
_STRATEGY: Final = {"default": "queue_full_strategy", "critical_levels": "critical_action_types"}
"""Keys of `queue_full_strategy` where it is a table; the others have the names of settings."""
_TABLES: Final = {
    "queue_full_strategy": _STRATEGY,
    "DefaultRolloverStrategy": {"max": "max_files"},
    "DeleteAction": {"age": "retention_days", "total_size": "max_total_size_mb"},
}
"""Tables whose keys are settings by another name."""
_CRITICAL_STRATEGY: Final = "block_with_timeout"
_LIKELY: Final = 0.8
"""How near a table's name has to be to one of ours, so that it is told as a typo of it."""


class Given(NamedTuple):
    """A value as it was given, under the setting's own name."""

    name: str
    value: Any
    where: str
    """The key as it was written, with the blocks around it."""


class Content:
    """What a file or a set of keywords holds."""

    def __init__(self) -> None:  # no dataclass: making one costs every program 1 ms at its start
        self.given: list[Given] = []
        self.complaints: list[str] = []
        self.without_effect: dict[str, str] = {}
        """Keys that are known and do nothing yet, and why."""
        self.ignored: list[str] = []
        """Blocks that are another program's."""

    def take(self, block: Mapping[str, Any], prefix: str = "") -> None:
        """Take the settings of a block, by any of their names."""
        for one in _named(block, prefix):
            if one.name in BY_NAME:
                self._add(one)
            elif one.name in LATER:
                self.without_effect[one.where] = LATER[one.name]
            elif one.name == "critical_strategy":
                self._check_critical_strategy(one)
            else:
                self.complaints.append(unknown(one.name))

    def take_observability(self, block: Mapping[str, Any]) -> None:
        """Take the tables below `[observability]`."""
        for key in _paths(block):
            if key in OBSERVABILITY:
                self.without_effect[f"observability.{key}"] = OBSERVABILITY[key]
            else:
                near = hint(key, OBSERVABILITY)
                self.complaints.append(f"observability.{printable(key)}: no such setting.{near}")

    def take_dict_config(self, block: Mapping[str, Any], prefix: str = "") -> None:
        """Note what a configuration of `logging` asks for that the pipeline does in another way."""
        from pipeline.settings import dict_config

        said = dict_config.translate(block).notes
        self.without_effect |= {prefix + key: meaning for key, meaning in said.items()}
        self.ignored += [prefix + key for key in block]

    def _add(self, one: Given) -> None:
        before = next((other for other in self.given if other.name == one.name), None)
        if before is not None and before.value != one.value:
            self.complaints.append(f"{one.name}: given as {before.where} and as {one.where}, which is used")
        self.given = [*(other for other in self.given if other is not before), one]

    def _check_critical_strategy(self, one: Given) -> None:
        if one.value != _CRITICAL_STRATEGY:
            self.complaints.append(
                f"{one.name}: {one.value!r} is not {_CRITICAL_STRATEGY}, which is what is always done"
            )


def of_keywords(keywords: Mapping[str, Any]) -> Content:
    """Return what keywords say."""
    content = Content()
    content.take(keywords)
    return content


def of_file(found: Mapping[str, Any], path: str) -> Content:
    """Return what a file says. Raises SettingsError when a block of ours is no table."""
    from pipeline.settings import dict_config

    content = Content()
    if dict_config.is_one(found):
        content.take_dict_config(found)
        return content
    blocks = [name for name in ("logging", "observability") if name in found]
    if not blocks:
        _take_own(content, found)
    for name in blocks:
        block = {} if found[name] is None else found[name]
        if not isinstance(block, Mapping):
            raise SettingsError("the settings file holds no table", where=path, cause=f"{name} is none")
        if name == "observability":
            content.take_observability(block)
        elif dict_config.is_one(block):
            content.take_dict_config(block, "logging.")
        else:
            content.take(block, "logging.")
    if blocks:
        content.ignored += [printable(key) for key in found if key not in blocks]
    return content


def unknown(name: str) -> str:
    """Return the line about a name that is none of ours."""
    near = hint(name, known_names())
    return f"{printable(name)}: no such setting." + (near or " `docs/reference/settings.md` lists them")


def known_names() -> list[str]:
    """Return every name that a block may have."""
    return [*BY_NAME, *ALIASES, *LATER, *_TABLES, "critical_strategy"]


def printable(text: str) -> str:
    """Return a name so that it is one line of text, whatever it holds."""
    return text if text.isprintable() else repr(text)


def _take_own(content: Content, found: Mapping[str, Any]) -> None:
    """Take a file of our own; a table or list in it that is near to no name of ours is someone else's."""
    foreign = {
        key
        for key, value in found.items()
        if isinstance(value, Mapping | list)
        and key not in known_names()
        and not nearest(key, known_names(), _LIKELY)
    }
    content.ignored += [printable(key) for key in found if key in foreign]
    content.take({key: value for key, value in found.items() if key not in foreign})


def _named(block: Mapping[str, Any], prefix: str) -> Iterator[Given]:
    for key, value in block.items():
        name = ALIASES.get(str(key), str(key))
        if name in _TABLES and isinstance(value, Mapping):
            for inner, one in value.items():
                yield Given(_TABLES[name].get(str(inner), str(inner)), one, f"{prefix}{key}.{inner}")
        else:
            yield Given(name, value, f"{prefix}{key}")


def _paths(block: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
