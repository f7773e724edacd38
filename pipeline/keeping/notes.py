"""
What is noted of a finished file beside its manifest: the block index and the counts, and their end.

Both are made once, when a file is sealed, so that nobody who asks has to wait for them; both may be lost at
any time, and are made anew or done without. They go with their file, and what a kill left of them goes with
the next run.

Invariants                                                  integration/test_keeping_notes.py
    N1  No note decides whether a file stays, is packed or leaves: a disk that refuses one stops nothing.
    N2  Behind a run, notes are there only of files that are: none of one that has left, no half of one, and
        no index where it would be of no use (gzip).                        crash/test_keeper_killed.py, too
    N3  Nothing but notes is removed here, whatever stands beside them.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint, files
from pipeline.keeping import counts
from pipeline.query import index, pruning
from pipeline.query.sources import Source
from pipeline.storage import naming
from pipeline.storage.catalog import COUNTS, counts_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.keeping.inventory import Kept
    from pipeline.paths import Places
    from pipeline.storage.directories import Access

_NO_INDEX: Final = "gz"
"""The packing in which nobody can begin in the middle."""
_FORMS: Final = {
    index.DIRECTORY: re.compile(r"(?P<file>.+)\.index|\.(?P<draft>.+)\.index\.\d+"),
    COUNTS: re.compile(r"(?P<file>.+)\.json|\.(?P<draft>.+)\.json\.new"),
}
"""By directory: a note of a file, and the draft of one that a kill leaves (`host/files.replace`)."""


def is_finished(places: Places, name: str) -> bool:
    """Whether everything was noted of a file; its counts come last."""
    return counts.is_counted(places, name)


def finish(places: Places, kept: Kept, access: Access, beat: Callable[[], None]) -> None:
    """
    Note what there is to note of a file. OSError when it cannot be read, or the disk refuses.

    `beat` is called many times a second, and may raise: what is stored by then is whole.
    """
    packing, size = kept.sizes[0]
    source = Source(places.log_dir / kept.files[0], kept.day, packing, size)
    with suppress(OSError):  # a question makes what is missing, as far as that can be
        pruning.refresh(places.log_dir, source, access, beat)
    failpoint.reach("keeper.index.made")
    counts.count(places, kept.files[0], kept.name, beat)


def forget(places: Places, name: str) -> None:
    """Remove what is noted of a file that has left; what the disk refuses to remove is for the next run."""
    for path in (index.path_of(places.log_dir, name), counts_path(places.belongings_dir, name)):
        with suppress(OSError):
            files.remove(path)


def sweep(places: Places) -> None:
    """Remove notes of files that are not there, and drafts. OSError when nobody can look."""
    noted = {directory: files.names_in(places.belongings_dir / directory) for directory in _FORMS}
    # Looked for behind the notes: one that came meanwhile is of a file that is there.
    forms = [naming.unpacked(name) for name in os.listdir(places.log_dir)]
    there = {plain for plain, _ in forms}
    may_stay = {COUNTS: there, index.DIRECTORY: {plain for plain, packing in forms if packing != _NO_INDEX}}
    for directory, names in noted.items():
        for name in names:
            if _is_left_over(name, _FORMS[directory], may_stay[directory]):
                with suppress(OSError):
                    files.remove(places.belongings_dir / directory / name)


def _is_left_over(name: str, form: re.Pattern[str], may_stay: set[str]) -> bool:
    found = form.fullmatch(name)
    if found is None or naming.parse(found["file"] or found["draft"]) is None:
        return False
    # Who is just making a draft loses it, and goes on without.
    return found["file"] not in may_stay
