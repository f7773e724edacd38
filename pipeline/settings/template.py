"""A settings file with every setting in it, each a comment with its default, for people to begin from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pipeline.settings.table import APPLICATION, PIPELINE, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD: Final = """\
# Settings of the pipeline. Each stands here with its default: take the "# " before its name away to set it.
#
# A keyword of start_pipeline() goes before an environment variable (PIPELINE_ and the name in capitals), and
# that before this file. See what is in force and where it came from: pipeline config show
# See whether this file can be used: pipeline config check FILE
"""
_AT: Final = {
    PIPELINE: "A new value needs a new start of the pipeline.",
    APPLICATION: "A new value is taken by each application at its next start.",
}
"""What is said of a setting whose new value `pipeline reload` alone does not bring into force."""
SUFFIXES: Final = (".toml", ".yaml", ".yml")
"""The kinds of files that have comments."""


def commented(suffix: str) -> str:
    """Return the file, in the language of a suffix of SUFFIXES."""
    assign = _toml_line if suffix == ".toml" else _yaml_line
    return _HEAD + "".join(_entry(row, assign) for row in SETTINGS)


def _entry(row: Any, assign: Callable[[str, Any], str]) -> str:
    default = f"{row.default:04o}" if row.unit == "mode" else row.default
    notes = [f"{row.meaning} [{row.unit}]", *([_AT[row.at]] if row.at in _AT else [])]
    return "\n" + "".join(f"# {note}\n" for note in notes) + f"# {assign(row.name, default)}\n"


def _toml_line(name: str, value: Any) -> str:
    return f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _yaml_line(name: str, value: Any) -> str:
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"
