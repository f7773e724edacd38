"""
Reading the settings again in a pipeline that runs.

What is read comes from where it came before: the keywords of whoever started it, its environment, and the
file. A new value that cannot be used changes nothing at all, since a file that was half edited is more likely
than one that was meant; what could not be used before is no reason to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from pipeline.errors import SettingsError
from pipeline.settings.loading import Reading, read_origin
from pipeline.settings.table import APPLICATION, BY_NAME, PIPELINE

_PLACES: Final = ("log_dir", "state_dir")
"""Whoever reads them again was found by them: another one is another pipeline."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What reading again came to."""

    reading: Reading
    """The settings in force from now on."""
    changed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why nothing was changed; empty when it was."""

    @property
    def for_pipeline(self) -> list[str]:
        """Settings that have another value now and need a new start of the pipeline."""
        return [name for name in self.changed if BY_NAME[name].at == PIPELINE]

    @property
    def for_applications(self) -> list[str]:
        """Settings that have another value now, and that each application takes when it starts again."""
        return [name for name in self.changed if BY_NAME[name].at == APPLICATION]


def reload(in_force: Reading) -> Reloaded:
    """Return the settings that hold after they have been read again. Never raises."""
    if in_force.origin is None:
        return Reloaded(in_force)
    try:
        anew = read_origin(in_force.origin)
    except SettingsError as error:
        return Reloaded(in_force, refused=[str(error)])
    known = {_name(line) for line in in_force.complaints}
    refused = [line for line in anew.complaints if _name(line) not in known]
    if refused:
        return Reloaded(in_force, refused=refused)
    before, now = in_force.settings, anew.settings
    changed = [name for name in BY_NAME if getattr(before, name) != getattr(now, name)]
    held = {name: getattr(before, name) for name in changed if BY_NAME[name].at == PIPELINE}
    sources = {name: source for name, source in anew.sources.items() if name not in held}
    sources |= {name: source for name, source in in_force.sources.items() if name in held}
    told = [name for name in changed if name not in _PLACES]
    return Reloaded(replace(anew, settings=replace(now, **held), sources=sources), told)


def _name(complaint: str) -> str:
    return complaint.partition(":")[0]
