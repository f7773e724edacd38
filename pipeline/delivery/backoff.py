"""
When a failed batch is tried again, and when its file is given up: exponential backoff by tenacity.

tenacity decides how long and how often; the waiting is the writer's own, whose loop goes on meanwhile:
heartbeat, health and shutdown do not stop for a retry.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import tenacity
from tenacity.wait import wait_base

from pipeline.delivery.faults import heals_by_waiting

if TYPE_CHECKING:
    from tenacity import RetryCallState

_LONGEST_SEC: Final = 16.0
_JITTER: Final = 0.25
RETRY_SEC_MAX: Final = 5.0
"""A batch that is this long without a home goes to the fallback, whatever retries are left."""


class _Jittered(wait_base):
    """Another wait, with up to a quarter more: writers of one volume do not come back in step."""

    def __init__(self, wait: wait_base) -> None:
        self._wait = wait

    def __call__(self, retry_state: RetryCallState) -> float:
        return self._wait(retry_state) * random.uniform(1.0, 1.0 + _JITTER)  # noqa: S311 - no secret


class Backoff:
    """The retries of one batch; `reset` for the next. Times are seconds of one monotonic clock."""

    def __init__(self, retry_max: int) -> None:
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(retry_max + 1),
            wait=_Jittered(tenacity.wait_exponential(multiplier=1, max=_LONGEST_SEC)),
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew, with a batch that has not failed."""
        self._state = tenacity.RetryCallState(self._retrying, None, (), {})
        self._failed_at: float | None = None
        self.failures = 0
        self.retry_at = 0.0
        """When the next attempt is due."""
        self.is_exhausted = False
        """Whether the batch should go elsewhere."""

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failed_at is not None

    def failed(self, error: BaseException, now: float) -> None:
        """Note a failed attempt."""
        self.failures += 1
        self._failed_at = now if self._failed_at is None else self._failed_at
        self.retry_at = now + self._retrying.wait(self._state)
        has_ended = bool(self._retrying.stop(self._state))
        self.is_exhausted = has_ended or (self.failures > 1 and not heals_by_waiting(error))
        self._state.prepare_for_next_attempt()

    def is_given_up(self, now: float, *, is_pressed: bool) -> bool:
        """Whether to stop waiting: out of retries or of time, or the queue needs the room."""
        if self._failed_at is None:
            return False
        return self.is_exhausted or is_pressed or now - self._failed_at >= RETRY_SEC_MAX
