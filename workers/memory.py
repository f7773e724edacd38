"""How much memory a worker takes, and what it does about it before it asks for a successor."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from pipeline.host import clock, processes
from pipeline.limits import MIB, PRESSURE_AT

if TYPE_CHECKING:
    from pipeline.delivery.pump import Pump
    from pipeline.settings import Settings

_LOOK_SEC: Final = 2.0
_BATCH_BYTES_MIN: Final = 64 * 1024


class Memory:
    """Looked at now and then; near the limit garbage is collected and batches shrink."""

    def __init__(self, settings: Settings) -> None:
        self.is_too_big = False
        """Whether only a new process helps."""
        self._limit = settings.worker_memory_max_mb * MIB
        self._batch_bytes_max = settings.batch_max_bytes
        self._looked_at = 0.0

    def mind(self, pump: Pump) -> None:
        """Shrink the pump's batches near the limit, and let them grow again below."""
        if clock.monotonic() - self._looked_at < _LOOK_SEC:
            return
        self._looked_at = clock.monotonic()
        if processes.resident_bytes() > self._limit * PRESSURE_AT:
            gc.collect()
            pump.batch_bytes_max = max(_BATCH_BYTES_MIN, pump.batch_bytes_max // 2)
        else:
            pump.batch_bytes_max = self._batch_bytes_max
        self.is_too_big = processes.resident_bytes() > self._limit
