"""
The writer's side of goodbyes: it alone may say in the chain that a file leaves.

A request is the entry that is asked for, in the runtime directory. It is granted where nothing of the file is
in the writer's hands; the request goes in either case, and whoever asked looks for the entry. A request that
nobody takes back (its process was killed) is granted late, and the next keeper goes on with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.host import failpoint, files
from pipeline.keeping.goodbyes import DIRECTORY
from pipeline.storage import departed, naming
from pipeline.storage.manifest import SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from workers.writer import Writer

_AT_ONCE: Final = 16
"""Entries between two looks into the lanes: each is a write and an fdatasync."""


class GoodbyeDesk:
    """Where one writer answers requests."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._directory = writer.home.runtime(DIRECTORY)

    def look(self) -> None:
        """Answer what is asked, as far as the files are ours and nothing of them is in doubt."""
        requests = [name for name in files.names_in(self._directory) if not name.startswith(".")]
        manifests = self._writer.days.manifests
        if not requests or manifests.is_behind or not self._writer.pump.retreat.may_touch_files:
            return
        for request in sorted(requests)[:_AT_ONCE]:
            self._writer.beat()
            try:
                self._answer(self._directory / request, request.removesuffix(".json"))
            except OSError as error:
                self._writer.journal.note(f"cannot note that {request} leaves: {error}")
                break
        manifests.store_catalog()

    def _answer(self, request: Path, name: str) -> None:
        entry = departed.requested(files.read_json(request) or {})
        manifests = self._writer.days.manifests
        is_told = bool(departed.cause_of(manifests.directory / (name + SUFFIX)))
        if entry is not None and (is_told or self._may_leave(name)):
            if not is_told:  # a writer that was killed behind the entry did not come to the record
                manifests.say_goodbye(name, entry)
            failpoint.reach("writer.goodbye.said")
            self._writer.announcer.expired(name, entry)
        files.remove(request)

    def _may_leave(self, name: str) -> bool:
        writer, day = self._writer, naming.parse(name)
        if day is None or day.instance != writer.days.instance:
            return False
        is_open = any(file.name == name for file in writer.days.open.values())
        is_busy = day.period in writer.lanes.busy_periods() and name not in writer.days.sealed
        return not (is_open or is_busy or name in writer.days.marked)
