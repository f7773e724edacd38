"""
Where the next batch goes, and what is done when it cannot go there.

A batch that its file refuses is tried again with backoff, while the writer's loop goes on. One that stays
without a home goes to the fallback (`Backoff.is_given_up`); the next one tries the files anew, until the
breaker opens. From then on batches go to the fallback at once, and the log directory is probed: a probe is a
file that is written, synced and removed there, with the append lock held and every cut mark worked off.

Invariants                                                              integration/test_outage_in_process.py
    E1  While files and fallback both refuse, nothing moves: records stay in the queue.
    E2  No attempt sleeps: what waits is a time to come back at, and the loop goes on.
    E3  Without the append lock no file is touched.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pipeline.delivery import recovery
from pipeline.delivery.backoff import Backoff
from pipeline.delivery.breaker import HALF_OPEN, OPEN, Breaker
from pipeline.errors import FallbackError, LaneError
from pipeline.host import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.pump import Pump
    from pipeline.settings import Settings

_RETRY_SEC: Final = 1.0
"""Between two tries of a fallback that refuses, and of a sync."""


class Delivery:
    """
    Delivers by way of a pump.

    `probe` raises OSError while the log directory cannot take a file, `is_pressed` says that the queue needs
    the room, `note` takes a line for the workers' log, `beat` is the heartbeat.
    """

    def __init__(
        self,
        pump: Pump,
        settings: Settings,
        *,
        probe: Callable[[], None],
        is_pressed: Callable[[], bool],
        note: Callable[[str], None],
        beat: Callable[[], None],
    ) -> None:
        self.pump = pump
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_probe_sec)
        self.backoff = Backoff(settings.retry_max)
        self.error = ""
        """Why files refuse, empty while they do not."""
        self.fallback_error = ""
        self.failures = 0
        self.retries = 0
        self.is_hurried = False
        """Whether the writer stops soon: nothing is waited for."""
        self._settings = settings
        self._began_at = clock.monotonic()
        self._probe = probe
        self._is_pressed = is_pressed
        self._note = note
        self._beat = beat
        self._fallback_at = 0.0
        self._looked_at = self._began_at

    @property
    def is_away(self) -> bool:
        """Whether batches go to the fallback without a try."""
        return self.breaker.state == OPEN

    @property
    def may_replay(self) -> bool:
        """Whether files take records, so that the fallback's may come to them."""
        return not self.error and not self.is_away and self.pump.retreat.may_touch_files

    def deliver(self) -> bool:
        """Bring one batch to where it can go now; whether there was one and it got there."""
        now = clock.monotonic()
        if self.is_away and not self._is_back(now):
            return self._deliver_to_fallback(now)
        if self.backoff.is_failing and self._gives_up(now):
            return self._give_up(now)
        if self.backoff.is_failing and now < self.backoff.retry_at:
            return False
        return self._deliver_to_files(now)

    def sync(self) -> bool:
        """Make durable what is written; whether that worked."""
        try:
            self.pump.sync()
        except (OSError, LaneError) as error:
            self._failed(error, clock.monotonic())
            return False
        return True

    def leave(self, reason: str) -> None:
        """Open the breaker: this writer may not touch the files for now."""
        self.error = reason
        self.breaker.open(clock.monotonic())

    def hurry(self) -> None:
        """Look at once whether the log directory is well again, where it was not."""
        self.breaker.hurry()
        if self.error:
            self._looked_at = -math.inf

    def about_breaker(self) -> dict[str, Any]:
        """Return what health says of the breaker; `probe_in_sec` is None unless it is open."""
        now, breaker = clock.monotonic(), self.breaker
        return {
            "state": breaker.state,
            "state_age_sec": round(now - max(breaker.since, self._began_at), 3),
            "failures": breaker.failures,
            "probe_in_sec": round(max(0.0, breaker.probe_at - now), 3) if self.is_away else None,
        }

    def look(self) -> None:
        """See, while nothing is written, that something could be: health turns before a record fails."""
        self.pump.retreat.forget_removed()
        now = clock.monotonic()
        due = self._settings.breaker_probe_sec if self.error else self._settings.probe_interval_sec
        if self.is_away or self.backoff.is_failing or now - self._looked_at < due:
            return
        self._looked_at = now
        try:
            self._probe()
        except OSError as error:
            self._set_error(error)
            return
        self._worked()

    def _deliver_to_files(self, now: float) -> bool:
        if self.backoff.is_failing:
            self.retries += 1
        try:
            self._make_ready()
            has_moved = self.pump.deliver()
        except (OSError, LaneError, FallbackError) as error:
            self._failed(error, now)
            return False
        if has_moved or self.breaker.state == HALF_OPEN:
            self._looked_at = now
            self._worked()
        elif self.backoff.is_failing:  # what failed is in the fallback, or was only a sync
            self.backoff.reset()
        return has_moved

    def _make_ready(self) -> None:
        """Settle what the last failure left open, before the next append."""
        retreat = self.pump.retreat
        retreat.settle_store()
        retreat.end()
        if self.pump.needs_files:
            recovery.by_files(self.pump, self._beat)
        if self.pump.page.open_intent() is not None:
            self._end_open_batch()
        recovery.settle_manifests(self.pump, self._beat)

    def _end_open_batch(self) -> None:
        self.pump.days.grip.check()
        if not self.pump.resume():
            if self.pump.page.is_trusted:
                self.pump.retreat.take_back()
            else:
                recovery.by_files(self.pump, self._beat)

    def _gives_up(self, now: float) -> bool:
        return self.is_hurried or self.backoff.is_given_up(now, is_pressed=self._is_pressed())

    def _give_up(self, now: float) -> bool:
        """Bring the batch that files refuse to the fallback, and begin anew with the next one."""
        if now < self._fallback_at:
            return False
        has_moved = self._deliver_to_fallback(now)
        if not self.fallback_error:
            self.backoff.reset()
        return has_moved

    def _deliver_to_fallback(self, now: float) -> bool:
        if now < self._fallback_at:
            return False
        try:
            self.pump.retreat.leave()
            has_moved = self.pump.retreat.deliver(self.error)
        except (OSError, LaneError, FallbackError) as error:
            self._fallback_failed(error, now)
            return False
        if self.fallback_error:
            self._note("the fallback takes records again")
        self.fallback_error = ""
        return has_moved

    def _fallback_failed(self, error: Exception, now: float) -> None:
        if str(error) != self.fallback_error:
            self._note(f"the fallback refuses too: {error}")
        self.fallback_error = str(error)
        self._fallback_at = now + _RETRY_SEC
        if not self.is_away:  # both are down: files are tried at intervals, like the fallback
            self.backoff.reset()
            self.backoff.failed(error, now)

    def _is_back(self, now: float) -> bool:
        """Probe an open breaker when that is due; whether the files may be tried."""
        if not self.breaker.is_probe_due(now):
            return False
        try:
            self._probe()
        except OSError as error:
            self._set_error(error)
            self.breaker.probed(now, works=False)
            return False
        self._note("the log directory takes files again; trying a batch")
        self.breaker.probed(now, works=True)
        self.backoff.reset()
        return True

    def _failed(self, error: Exception, now: float) -> None:
        self.failures += 1
        self._set_error(error)
        self.backoff.failed(error, now)
        was_away = self.is_away
        self.breaker.failed(now)
        if self.is_away and not was_away:
            self._note(f"breaker open after {self.breaker.failures} failures in a row: {error}")

    def _set_error(self, error: Exception) -> None:
        if str(error) != self.error:
            self._note(f"cannot append: {error}")
        self.error = str(error)

    def _worked(self) -> None:
        if self.error:
            self._note("appending works again")
        if self.pump.retreat.cuts:
            self.pump.retreat.cut_marked()  # not only when a probe comes by: the writer may end before
        self.error = ""
        self.breaker.worked(clock.monotonic())
        self.backoff.reset()
