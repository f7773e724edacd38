"""The log directory is taken away while a process goes on recording, and put back. Nothing here prints."""

from __future__ import annotations

import ctypes
import multiprocessing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline.cli.demonstration import scanners, tally
from pipeline.health.reasons import OK, REASONS
from pipeline.host import clock, files
from pipeline.storage import fallback_places, fallback_reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.app import Pipeline
    from pipeline.cli.demonstration.acts import Play

NAME: Final = "scanner 5"
PROBE_SEC: Final = 0.4
"""An outage of seconds: it is looked sooner than usual whether it is over."""
EXPECTED_REASONS: Final = frozenset({"append_failing", "fallback_in_use"})
_AWAY_SEC: Final = 2.0
"""How long the directory is away at least."""
_BEFORE: Final = 50
"""Records before it is taken away."""
_PAUSE_SEC: Final = 0.004
"""Between two files, so that they last for longer than the outage."""


@dataclass
class Outage:
    """What was seen of it: counts of records, and seconds."""

    scanner: str = NAME
    store: str = ""
    error: str = ""
    """Why the files refused, in the writer's words."""
    health: list[str] = field(default_factory=list)
    """What it said before, during and after."""
    seconds: float = 0.0
    kept_after_sec: float = 0.0
    """From taking the directory away until a record was in the fallback store."""
    accepted: int = 0
    """By the scanner's emit(), while the directory was away."""
    kept: int = 0
    """In the store when the directory was put back, of all producers."""
    replayed_after_sec: float = 0.0
    """From putting it back until the store was empty."""
    replayed: int = 0
    parts: list[str] = field(default_factory=list)
    """The files that they were replayed into."""


class LogDirectory:
    """
    A log directory that can be away for a while; a plain file stands in its place then.

    That stops root too, whom no file mode stops. The two change places in one step: a writer would make a
    directory again that is missing for a moment, and what it puts there would not be found.
    """

    def __init__(self, log_dir: Path, elsewhere: Path) -> None:
        self._log_dir = log_dir
        self._other = elsewhere / "logs"

    def take_away(self) -> None:
        """Move it out of everybody's way. OSError when it cannot be moved."""
        self._other.write_text("The demo has taken the log directory away for a moment.\n")
        files.exchange(self._log_dir, self._other)

    def put_back(self) -> None:
        """Move it back, if it is away."""
        if self._other.is_dir():
            files.exchange(self._log_dir, self._other)
        self._other.unlink(missing_ok=True)


def play(play: Play, pipeline: Pipeline, paths: Sequence[str]) -> Outage:
    """Play the act. PipelineError when something that has to happen does not."""
    context = multiprocessing.get_context("spawn")
    accepted, is_over = context.RawArray(ctypes.c_uint64, 1), context.Event()
    process = context.Process(
        target=scanners.scan, args=(pipeline, NAME, paths, accepted, 0, _PAUSE_SEC, is_over), daemon=True
    )
    process.start()
    play.children.append(process)
    play.wait_for("a scanner to start", lambda: accepted[0] >= _BEFORE)
    outage = _Scene(play, pipeline, accepted).play()
    is_over.set()
    process.join()
    play.expected.append(tally.Expected(NAME, accepted[0], files=paths))
    return outage


class _Scene:
    """Taking away, watching, putting back, watching."""

    def __init__(self, play: Play, pipeline: Pipeline, accepted: Any) -> None:
        self._play = play
        self._pipeline = pipeline
        self._accepted = accepted
        self._seen = Outage()
        self._directory = LogDirectory(play.log_dir, play.elsewhere)

    def play(self) -> Outage:
        self._seen.health.append(self._health_without(EXPECTED_REASONS))
        try:
            self._be_away()
        finally:
            self._directory.put_back()
        self._come_back()
        return self._seen

    def _be_away(self) -> None:
        seen, play = self._seen, self._play
        play.note(self._pipeline, target="log directory", fault="taken away")
        before, began = self._accepted[0], clock.monotonic()
        self._directory.take_away()
        play.wait_for("a record in the fallback store", lambda: self._kept() > 0)
        seen.kept_after_sec = clock.monotonic() - began
        play.wait_for("health to turn", lambda: self._reasons() >= EXPECTED_REASONS)
        document = self._pipeline.health()
        seen.health.append(_headline(document))
        seen.error = str(document.get("last_error", ""))
        play.wait_for("time to pass", lambda: clock.monotonic() - began >= _AWAY_SEC)
        seen.store = str(fallback_places.store_in_use(play.places) or "")
        seen.kept, seen.accepted = self._kept(), self._accepted[0] - before
        seen.seconds = clock.monotonic() - began

    def _come_back(self) -> None:
        seen, play = self._seen, self._play
        began = clock.monotonic()
        play.wait_for("the replay", lambda: self._kept() == 0)
        seen.replayed_after_sec = clock.monotonic() - began
        play.note(self._pipeline, target="log directory", fault="put back")
        seen.health.append(self._health_without(EXPECTED_REASONS))
        seen.parts = [path.name for path in tally.replayed_parts(play.log_dir)]
        seen.replayed = sum(1 for _ in tally.lines(tally.replayed_parts(play.log_dir)))

    def _kept(self) -> int:
        """Return how many records are in the store, as anybody reads it; -1 when that cannot be said."""
        store = fallback_places.store_in_use(self._play.places)
        if store is None or not store.exists():
            return 0
        found = fallback_reader.summary(store)
        return -1 if found is None else found.records

    def _health_without(self, reasons: frozenset[str]) -> str:
        self._play.wait_for("health to be well", lambda: not self._reasons() & reasons)
        return _headline(self._pipeline.health())

    def _reasons(self) -> set[str]:
        return set(self._pipeline.health()["reasons"])


def _headline(document: dict[str, Any]) -> str:
    """Return the status, and the reasons why it is not ok."""
    codes = [code for code in document["reasons"] if code not in REASONS or REASONS[code].status != OK]
    return f"{document['status']}: {', '.join(codes)}" if codes else str(document["status"])
