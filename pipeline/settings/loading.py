"""
Settings from keywords, environment and file, in that order of precedence.

A value that cannot be used is one clear line; it falls back to the default and is reported in health, unless
`strict`. A file that is named in code is demanded and has to be readable; one that is only found, or named by
the environment, is reported like a wrong value.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.errors import SettingsError
from pipeline.settings import documents, settings_file as files
from pipeline.settings.checks import WrongWord
from pipeline.settings.nearest import hint
from pipeline.settings.table import BY_NAME, SETTINGS, Setting, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.settings.documents import Content, Given

KEYWORD: Final = "keyword"
ENVIRONMENT: Final = "environment"
FILE: Final = "file"
_SHOWN_CHARS_MAX: Final = 200


class Source(NamedTuple):
    """Where a value came from: keyword, environment or file, and the variable or the path."""

    kind: str
    where: str


class Origin(NamedTuple):
    """What to read again when somebody asks for it, as plain JSON values."""

    keywords: dict[str, Any]
    """Checked already; one that could not be used stands here with its default, and in `complaints`."""
    complaints: list[str]
    environment: dict[str, str]
    file: str


@dataclass(frozen=True)
class Reading:
    """The settings in force, and everything there is to say about how they came about."""

    settings: Settings
    complaints: list[str] = field(default_factory=list)
    """A line for each value that could not be used."""
    sources: dict[str, Source] = field(default_factory=dict)
    """Where each value came from; a setting that is not here has its default."""
    without_effect: dict[str, str] = field(default_factory=dict)
    """Keys that are known and do nothing yet, and why."""
    ignored: list[str] = field(default_factory=list)
    """Blocks of the file that are another program's."""
    origin: Origin | None = None
    """None: nobody knows what they were read from, and they stay as they are."""


def load(
    keywords: Mapping[str, Any], settings_file: str | os.PathLike[str] | None = None
) -> tuple[Settings, list[str]]:
    """Return the settings in force and a line for each value that could not be used; errors as `read`."""
    found = read(keywords, settings_file)
    return found.settings, found.complaints


def read(keywords: Mapping[str, Any], settings_file: str | os.PathLike[str] | None = None) -> Reading:
    """
    Read the settings of this process: from keywords, its environment, and a file (given, or found).

    Raises SettingsError for an unreadable file that was given, an unknown keyword, and, when strict, for any
    wrong value.
    """
    unknown = sorted(name for name in keywords if name not in documents.known_names())
    if unknown:
        near = hint(unknown[0], documents.known_names()).strip()
        remedy = near or "`docs/reference/settings.md` lists them"
        raise SettingsError("no such setting", where=unknown[0], remedy=remedy)
    content = documents.of_keywords(keywords)
    complaints = list(content.complaints)
    ready = {one.name: _checked(one, Source(KEYWORD, one.where), complaints) for one in content.given}
    environment = {name: _encodable(value) for name, value in from_environment().items()}
    path = os.path.abspath(os.path.expanduser(settings_file)) if settings_file else files.find()
    origin = Origin(ready, complaints, environment, _encodable(path))
    found = read_origin(origin, is_demanded=bool(settings_file))
    return replace(found, without_effect=found.without_effect | content.without_effect)


def read_origin(origin: Origin, *, is_demanded: bool = True) -> Reading:
    """Read settings from where they came before. Raises SettingsError as `read` does."""
    complaints = list(origin.complaints)
    content = _content(origin.file, complaints, is_demanded=is_demanded)
    complaints += content.complaints
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for one, source in _by_precedence(content, origin):
        count = len(complaints)
        values[one.name] = _checked(one, source, complaints)
        if len(complaints) == count:
            sources[one.name] = source
    if complaints and values.get("strict"):
        raise SettingsError(
            "a setting cannot be used", where=complaints[0].partition(":")[0], cause="; ".join(complaints)
        )
    return Reading(Settings(**values), complaints, sources, content.without_effect, content.ignored, origin)


def from_environment() -> dict[str, str]:
    """Return the settings that environment variables give."""
    return {row.name: os.environ[row.env] for row in SETTINGS if row.env in os.environ}


def given_outside(name: str) -> str:
    """
    Return a path that the environment gives, else the file that is found; empty when neither does.

    For commands and attach(), which need to know where to look before anything else; never raises.
    """
    value: Any = from_environment().get(name, "")
    path = "" if value else files.find()
    if path:
        try:
            content = documents.of_file(files.parse(path), path)
        except SettingsError:
            return ""
        value = next((one.value for one in content.given if one.name == name), "")
    return value if isinstance(value, str) else ""


def _content(path: str, complaints: list[str], *, is_demanded: bool) -> Content:
    if not path:
        return documents.Content()
    try:
        return documents.of_file(files.parse(path), path)
    except SettingsError as error:
        if is_demanded:
            raise
        complaints.append(f"settings_file: {error}")
        return documents.Content()


def _by_precedence(content: Content, origin: Origin) -> Iterator[tuple[Given, Source]]:
    """Yield each value that is in force: of those of one name, the one that goes before the others."""
    ranked = {one.name: (one, Source(FILE, origin.file)) for one in content.given}
    for name, value in origin.environment.items():
        if name in BY_NAME:
            env = BY_NAME[name].env
            ranked[name] = documents.Given(name, value, env), Source(ENVIRONMENT, env)
    for name, value in origin.keywords.items():
        if name in BY_NAME:
            ranked[name] = documents.Given(name, value, name), Source(KEYWORD, name)
    yield from ranked.values()


def _checked(one: Given, source: Source, complaints: list[str]) -> Any:
    """Return the value as it is used; the default, and a line more in `complaints`, when it cannot be."""
    row = BY_NAME[one.name]
    try:
        return row.check(one.value)
    except (ValueError, TypeError) as error:
        complaints.append(_complaint(row, one.value, error, source))
        return dict(row.default) if isinstance(row.default, dict) else row.default


def _complaint(row: Setting, value: Any, error: Exception, source: Source) -> str:
    near = hint(value, error.words) if isinstance(error, WrongWord) and isinstance(value, str) else ""
    place = "" if source.kind == KEYWORD else f" [{source.where}]"
    return f"{row.name}: {_shown(value)} is not {error}; the default {row.default!r} is used{place}.{near}"


def _shown(value: Any) -> str:
    """Return what was given, cut: in YAML a few lines of references can stand for gigabytes."""
    import reprlib

    cut = reprlib.Repr()
    cut.maxlevel = 2
    cut.maxstring = cut.maxother = cut.maxlong = _SHOWN_CHARS_MAX
    return cut.repr(value)


def _encodable(value: str) -> str:
    """Return a text that can be written as JSON; bytes that were no UTF-8 are spelt out in it."""
    return value.encode(errors="backslashreplace").decode()
