"""
Which ordinary records are kept when there are too many: sampling by a rate, and limits per second.

Nothing is left out unless a setting says so. Records that are critical (level ERROR or above, status error,
`*_error`, `critical_action_types`) and those of `audit_action_types` are always kept. What is kept of a
sampled kind carries its `sample_rate`, so that counts can be scaled back: each stands for 1 / sample_rate.

A rule is found by the most specific name that a record has: its logger (`logger:urllib3`, with all loggers
below it), its action type, its level. A record without a level is never sampled by level.

Records of one trace are kept or left out together, in every process: what decides is the trace_id, compared
with the rate as OpenTelemetry's TraceIdRatioBased sampler does it (the lower 64 bits, as the W3C recommends
random ones there). A trace that is kept at one rate is kept at every higher one.
"""

from __future__ import annotations

import random
import threading
import zlib
from typing import TYPE_CHECKING, Any, Final

from pipeline.host import clock
from pipeline.records import importance

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.settings import Settings

SAMPLED: Final = "sampled"
RATE_LIMITED: Final = "rate_limited"
LOGGER: Final = "logger:"
_TRACE_CHARS: Final = 32
_FINDINGS_MAX: Final = 4096


class Sampler:
    """Judges records of one process. Its limits are this process's own: no two share anything."""

    def __init__(
        self,
        rates: Mapping[str, float],
        limits: Mapping[str, float],
        critical_types: Collection[str] = (),
        audit_types: Collection[str] = (),
    ) -> None:
        self._rates = dict(rates)
        self._buckets = {name: Bucket(per_sec) for name, per_sec in limits.items()}
        self._critical_types = frozenset(critical_types)
        self._audit_types = frozenset(audit_types)
        self._chance = random.Random()  # noqa: S311 - not a secret; and never the application's own generator
        self._last = threading.local()
        self._found: dict[tuple[str, Any, Any], tuple[float, Bucket | None]] = {}

    @classmethod
    def of(cls, settings: Settings) -> Sampler | None:
        """Return the sampler that the settings ask for, None where they ask for none."""
        if not settings.sample_rates and not settings.rate_limits:
            return None
        return cls(
            settings.sample_rates,
            settings.rate_limits,
            settings.critical_action_types,
            settings.audit_action_types,
        )

    def reason_against(self, action_type: str, fields: dict[str, Any]) -> str:
        """
        Return why a record is left out, "" when it is kept.

        A kept record of a sampled kind gets the field `sample_rate`; `fields` is changed for that.
        """
        self._last.reason = reason = self._judge(action_type, fields)
        return reason

    @property
    def last_reason(self) -> str:
        """The answer for this thread's last record."""
        return getattr(self._last, "reason", "")

    def reseed(self) -> None:
        """Draw other numbers than the process this one was forked from."""
        self._chance.seed()

    def _judge(self, action_type: str, fields: dict[str, Any]) -> str:
        rate, bucket = self._rule_for(action_type, fields)
        if rate == 1.0 and bucket is None:
            return ""
        if action_type in self._audit_types or importance.is_critical(
            action_type, fields, self._critical_types
        ):
            return ""
        if rate < 1.0:
            if not self._is_chosen(rate, fields.get("trace_id")):
                return SAMPLED
            fields["sample_rate"] = rate
        return "" if bucket is None or bucket.take() else RATE_LIMITED

    def _is_chosen(self, rate: float, trace_id: object) -> bool:
        if isinstance(trace_id, str) and trace_id:
            return _fraction_of(trace_id) < rate
        return self._chance.random() < rate

    def _rule_for(self, action_type: str, fields: Mapping[str, Any]) -> tuple[float, Bucket | None]:
        names = action_type, fields.get("logger"), fields.get("level")
        try:
            rule = self._found.get(names)
        except TypeError:  # a logger or level that is no text
            return 1.0, None
        if rule is None:
            rule = self._rate(*names), self._bucket(*names)
            if len(self._found) < _FINDINGS_MAX:
                self._found[names] = rule
        return rule

    def _rate(self, action_type: str, logger: object, level: object) -> float:
        for name in _names(action_type, logger, level):
            if name in self._rates:
                return self._rates[name]
        return 1.0

    def _bucket(self, action_type: str, logger: object, level: object) -> Bucket | None:
        for name in _names(action_type, logger, level):
            if name in self._buckets:
                return self._buckets[name]
        return None


class Bucket:
    """A token bucket: `per_sec` records a second on average, and as many at once after a quiet second."""

    __slots__ = ("_at", "_per_sec", "_size", "_tokens")

    def __init__(self, per_sec: float) -> None:
        self._per_sec = per_sec
        self._size = max(1.0, per_sec)
        self._tokens = self._size
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Whether one more fits now. Two threads at once may let one too many through, and never block."""
        now = clock.monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_sec)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def _names(action_type: str, logger: object, level: object) -> list[str]:
    """Return the names a rule for the record may have, the most specific first."""
    names = []
    if isinstance(logger, str):
        parts = logger.split(".")
        names = [LOGGER + ".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    names.append(action_type)
    if isinstance(level, str):
        names.append(level.upper())
    return names


def _fraction_of(trace_id: str) -> float:
    """Return where in [0, 1) a trace falls: the same in every process."""
    if len(trace_id) == _TRACE_CHARS:
        try:
            return int(trace_id[16:], 16) / 2.0**64
        except ValueError:
            pass
    return zlib.crc32(trace_id.encode("utf-8", "replace")) / 2.0**32
