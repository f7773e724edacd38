"""
The settings: one table, read from keywords, environment and file.

`table` declares them, `checks` says what each takes, `loading` brings them together.
"""

from pipeline.settings.loading import from_dict, from_environment, load, read_file, to_dict
from pipeline.settings.table import SETTINGS, Setting, Settings

__all__ = [
    "SETTINGS",
    "Setting",
    "Settings",
    "from_dict",
    "from_environment",
    "load",
    "read_file",
    "to_dict",
]
