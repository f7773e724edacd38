"""The writer's own replay: a bounded piece between live batches, as soon as files take records again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.delivery.replay import Replay
from pipeline.errors import FallbackError
from pipeline.host import clock
from pipeline.queue import bell

if TYPE_CHECKING:
    from workers.writer import Writer

_PIECE_BYTES: Final = 4 << 20
_BUSY_INTERVAL_SEC: Final = 0.1
"""Between two pieces while live records come: a piece takes about 20 ms."""
_RETRY_SEC: Final = 5.0
"""After a failure of either side."""


class Replayer:
    """Empties the fallback store of one writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._ended: Counter[str] = Counter()
        self._run: Replay | None = None
        self._due_at = 0.0
        self._has_failed = False

    @property
    def is_at_work(self) -> bool:
        """Whether rows are left that go into the files now: nobody ends before they are there."""
        has_rows = self._writer.pump.retreat.has_rows
        return has_rows and self._writer.delivery.may_replay and not self._has_failed

    @property
    def done(self) -> Counter[str]:
        """What was replayed since this writer started, as `Replay.done`."""
        return self._ended + self._writer.leftovers.done + (self._run.done if self._run else Counter())

    def step(self, *, is_busy: bool) -> bool:
        """Replay one piece if files take it and live records leave the time; whether there may be more."""
        delivery = self._writer.delivery
        now = clock.monotonic()
        if not delivery.may_replay or now < self._due_at:
            return False
        try:
            count = self._piece() if self._writer.pump.retreat.has_rows else self._leftover_piece()
        except (OSError, FallbackError) as error:
            self._writer.journal.note(f"replay: {error}")
            self._due_at = now + _RETRY_SEC
            self._has_failed = True
            return False
        self._has_failed = False
        self._due_at = now + _BUSY_INTERVAL_SEC if is_busy else 0.0
        return count > 0

    def _piece(self) -> int:
        writer = self._writer
        if self._run is not None and not self._run.is_of(writer.days.manifests):
            self._end()
        if self._run is None:
            self._run = Replay(
                writer.fallback,
                writer.places,
                writer.days.instance,
                writer.settings,
                beat=writer.beat,
                grip=writer.days.grip,
                manifests=writer.days.manifests,
            )
        count = self._run.step(_PIECE_BYTES)
        if count == 0:
            self._finish()
        return count

    def _leftover_piece(self) -> int:
        return self._writer.leftovers.step(_PIECE_BYTES, self._writer.days)

    def hear(self, rung: bytes) -> None:
        """Look at once whether it can go on, when a command asks for that."""
        if bell.REPLAY in rung:
            self.hurry()

    def hurry(self) -> None:
        """Look at once whether it can go on."""
        self._writer.delivery.hurry()
        self._due_at = 0.0
        self._has_failed = False

    def _finish(self) -> None:
        self._end()
        self._writer.pump.retreat.has_rows = False
        self._writer.announcer.replayed(self._writer.fallback)

    def _end(self) -> None:
        if self._run is not None:
            self._ended += self._run.done
            self._run.close()
            self._run = None
