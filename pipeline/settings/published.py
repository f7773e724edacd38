"""Settings as `settings.json` in the runtime directory holds them: for the workers, and who joins later."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.settings.loading import Origin, Reading, Source
from pipeline.settings.table import BY_NAME, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values."""
    return asdict(settings)


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Return the settings that `to_dict` gave; a newer library's unknown names are passed over."""
    known = {name: value for name, value in values.items() if name in BY_NAME}
    ready: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
    return Settings(**ready)


def document_of(reading: Reading) -> dict[str, Any]:
    """Return everything about the settings in force as a JSON object."""
    return {
        "settings": to_dict(reading.settings),
        "complaints": reading.complaints,
        "sources": {name: list(source) for name, source in reading.sources.items()},
        "without_effect": reading.without_effect,
        "ignored": reading.ignored,
        "origin": reading.origin._asdict() if reading.origin else None,
    }


def reading_of(document: Mapping[str, Any]) -> Reading:
    """Return what `document_of` was given; another version's document may have less in it, or more."""
    origin = document.get("origin") or None
    return Reading(
        settings=from_dict(document.get("settings", {})),
        complaints=list(document.get("complaints", [])),
        sources={name: Source(*source) for name, source in document.get("sources", {}).items()},
        without_effect=dict(document.get("without_effect", {})),
        ignored=list(document.get("ignored", [])),
        origin=origin and Origin(**{name: origin[name] for name in Origin._fields if name in origin}),
    )
