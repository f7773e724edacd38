"""The settings file: where it is found, and what it holds, in JSON, TOML or YAML by the end of its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.errors import SettingsError

VARIABLE: Final = "PIPELINE_SETTINGS_FILE"
"""Names the file for every process that inherits it; empty: no file, not even one that would be found."""
FOUND_IN: Final = "~/.pipeline"
FOUND_NAMES: Final = ("settings.toml", "settings.yaml", "settings.yml", "settings.json")
"""
Beside the default log directory, as the documents have it for their program.

Never in the working directory: whoever may write there would else decide where records go.
"""


def find() -> str:
    """Return the path of the file that holds for this user when nothing else is said; empty for none."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return os.path.abspath(os.path.expanduser(given)) if given else ""
    parent = os.path.expanduser(FOUND_IN)
    paths = (os.path.join(parent, name) for name in FOUND_NAMES)
    return next((path for path in paths if os.path.isfile(path)), "")


def parse(path: str | os.PathLike[str]) -> dict[str, Any]:
    """
    Return the table that a file holds.

    Raises SettingsError: it cannot be read, is not what its name says, or needs a library that is missing.
    """
    file = Path(path).expanduser()
    try:
        content = file.read_text(encoding="utf-8-sig")
        found = _PARSERS.get(file.suffix.lower(), orjson.loads)(content)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError("the settings file cannot be read", where=str(file), cause=error) from error
    if not isinstance(found, dict):
        raise SettingsError("the settings file holds no table", where=str(file))
    return {str(key): value for key, value in found.items()}


def _toml(content: str) -> Any:
    import tomllib

    return tomllib.loads(content)


def _yaml(content: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ValueError("PyYAML is not installed. Try: pip install 'lossless-pipeline[yaml]'") from error
    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError as error:
        # Not its own text: that quotes the line, which may be the one with the secret.
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{getattr(error, 'problem', None) or 'no YAML'}{place}") from None
    return {} if found is None else found


_PARSERS: Final = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
