"""
The settings: one table, read from keywords, environment and file.

`table` declares them, `checks` says what each takes, `documents` knows the forms of a file, `loading` brings
it all together, `published` hands it to the workers, `reloading` reads it again in a pipeline that runs.
"""

from pipeline.settings.loading import (
    Origin,
    Reading,
    Source,
    from_environment,
    given_outside,
    load,
    read,
)
from pipeline.settings.published import document_of, from_dict, reading_of, to_dict
from pipeline.settings.table import SETTINGS, Setting, Settings

__all__ = [
    "SETTINGS",
    "Origin",
    "Reading",
    "Setting",
    "Settings",
    "Source",
    "document_of",
    "from_dict",
    "from_environment",
    "given_outside",
    "load",
    "read",
    "reading_of",
    "to_dict",
]
