"""What the keeper says of itself in `.pipeline/keeper.json`: of its last run, and of all of them together."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import clock, files
from pipeline.keeping.cleaning import PACKED, UNPACKED_COPY

if TYPE_CHECKING:
    from pipeline.keeping.cleaning import Done
    from pipeline.paths import Places

NAME: Final = "keeper.json"
_STAYED_MAX: Final = 20
_NOTHING: Final = {"files": 0, "bytes_before": 0, "bytes_after": 0}


def load(places: Places) -> dict[str, Any]:
    """Return what the last keeper said, an empty document when there was none."""
    return files.read_json(places.belongings_dir / NAME) or {}


class Report:
    """The report of one run. A disk that refuses it stops nobody."""

    def __init__(self, places: Places) -> None:
        self._path = places.belongings_dir / NAME
        totals = load(places).get("totals")
        self._document: dict[str, Any] = {
            "pid": os.getpid(),
            "state": "working",
            "started_at": clock.wall_text(),
            "packed": dict(_NOTHING),
            "expired": {"files": 0, "bytes": 0, "reasons": {}},
            "stayed": [],
            "error": "",
            "totals": {"runs": 0, **_NOTHING} | (totals if isinstance(totals, dict) else {}),
        }
        self._document["totals"]["runs"] += 1
        self._store()

    def take(self, done: Done) -> None:
        """Take note of what became of a file."""
        if done.trouble:
            stayed = {"file": done.file, "why": done.trouble}
            self._document["stayed"] = [*self._document["stayed"], stayed][-_STAYED_MAX:]
            if done.is_fault:
                self._document["error"] = f"{done.file}: {done.trouble}"
        elif done.action not in (PACKED, UNPACKED_COPY):
            self._take_expired(done)
        else:
            for counts in (self._document["packed"], self._document["totals"]):
                counts["files"] += 1
                counts["bytes_before"] += done.bytes
                counts["bytes_after"] += done.bytes_after
        self._store()

    def _take_expired(self, done: Done) -> None:
        """Count a file that has left; the bytes are those that are free now, though a move keeps them."""
        expired, totals = self._document["expired"], self._document["totals"]
        expired["files"] += 1
        expired["bytes"] += done.freed
        expired["reasons"][done.reason] = expired["reasons"].get(done.reason, 0) + 1
        totals["expired_files"] = totals.get("expired_files", 0) + 1
        totals["expired_bytes"] = totals.get("expired_bytes", 0) + done.freed

    def end(self, state: str, error: str = "") -> None:
        """Say how the run ended: `done`, `stopped`, or `failed` with an error."""
        self._document["state"] = state
        self._document["error"] = error or self._document["error"]
        self._store()

    def _store(self) -> None:
        self._document["at"] = clock.wall_text()
        with suppress(OSError):
            files.write_json(self._path, self._document, is_only_writer=True)
