"""What `pipeline config check` says of a file, or of what an application here would find."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.errors import SettingsError
from pipeline.settings import settings_file
from pipeline.settings.later import LATER
from pipeline.settings.loading import Origin, from_environment, read_origin
from pipeline.settings.nearest import nearest
from pipeline.settings.table import SETTINGS

_PREFIX: Final = "PIPELINE_"
_OURS: Final = ("PIPELINE_RUNTIME_ROOT", "PIPELINE_FAILPOINT", settings_file.VARIABLE)
_LIKELY: Final = 0.85
"""How near a variable has to be to one of ours. Build systems have PIPELINE_ variables of their own."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings, and what is only said."""

    file: str
    complaints: list[str]
    without_effect: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    @classmethod
    def of_file(cls, path: str) -> Findings:
        """Check one file, by itself."""
        return cls._of(Origin({}, [], {"strict": "false"}, os.path.abspath(path)))

    @classmethod
    def of_environment(cls) -> Findings:
        """Check the variables of this process, and the file that it would find."""
        environment = from_environment() | {"strict": "false"}
        found = cls._of(Origin({}, [], environment, settings_file.find()))
        found.complaints.extend(_near_variables())
        return found

    @classmethod
    def _of(cls, origin: Origin) -> Findings:
        try:
            found = read_origin(origin)
        except SettingsError as error:
            return cls(origin.file, [str(error)])
        return cls(origin.file, found.complaints, found.without_effect, found.ignored)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return {
            "file": self.file,
            "findings": self.complaints,
            "without_effect": self.without_effect,
            "ignored": self.ignored,
        }

    def lines(self) -> list[str]:
        """Return the findings as lines for a person."""
        subject = self.file or "the environment (no file is found)"
        count = f"{len(self.complaints)} cannot be used" if self.complaints else "everything can be used"
        lines = [f"{subject}: {count}", *(f"  {complaint}" for complaint in self.complaints)]
        if self.without_effect:
            lines.append("known, without effect yet:")
            lines += [f"  {key}: {why}" for key, why in self.without_effect.items()]
        if self.ignored:
            lines.append("another program's, passed over: " + ", ".join(self.ignored))
        return lines


def _near_variables() -> list[str]:
    """Return a line for each variable that was probably meant to be one of ours."""
    known = {row.env for row in SETTINGS} | {_PREFIX + name.upper() for name in LATER} | set(_OURS)
    strangers = [name for name in os.environ if name.startswith(_PREFIX) and name not in known]
    near = {name: nearest(name, known, _LIKELY) for name in sorted(strangers)}
    return [f"{name}: no such setting. Did you mean {meant}?" for name, meant in near.items() if meant]
