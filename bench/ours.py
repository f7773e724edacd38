"""The recorder itself, through its public face only."""

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from bench.peer import Peer

FLUSH_TIMEOUT = 120.0


class Ours(Peer):
    """``start_pipeline()`` with every default on, lanes in memory."""

    shared = True
    settings: ClassVar[dict[str, Any]] = {"lanes": "memory"}

    def setup(self, directory: Path) -> None:
        """Start, and wait for the workers. Imported here, so that the peers run without the library."""
        from pipeline import start_pipeline

        self.pipeline = start_pipeline(str(directory), **self.settings)
        self.call = self.pipeline.emit
        self.call("bench_started")
        self.finish()

    def leave(self) -> None:
        """Wait for its own records: a forked producer has a lane of its own."""
        self.finish()

    def finish(self) -> None:
        """``flush()``: all that this process emitted is in the files."""
        if not self.pipeline.flush(timeout=FLUSH_TIMEOUT):
            raise TimeoutError(f"flush() gave up after {FLUSH_TIMEOUT} s")

    def close(self) -> None:
        """Drain and detach; the workers then exit by themselves."""
        self.pipeline.close()

    def worker_pids(self) -> dict[str, int]:
        """Supervisor and writer, as health names them."""
        return {
            worker["role"]: worker["pid"] for worker in self.pipeline.health()["workers"] if worker["pid"]
        }


class OursDisk(Ours):
    """The same with lanes on disk: one ``write(2)`` per record, as in a container."""

    settings: ClassVar[dict[str, Any]] = {"lanes": "disk"}


class WithContext(Ours):
    """Inside a context of five fields, as a web request or a session of an agent has it."""

    def setup(self, directory: Path) -> None:
        """Bind the context to this thread."""
        from pipeline import bind

        super().setup(directory)
        bind(user_id="u-17", execution_id="e-4f1c", trace_id="0" * 31 + "1", span_id="0" * 15 + "1", host="a")


class Durable(Ours):
    """``durable=True`` at each call: it returns when the record is on the disk."""

    def setup(self, directory: Path) -> None:
        """Give the keyword to each call."""
        super().setup(directory)
        self.call = partial(self.call, durable=True)


def end_workers(log_dir: Path) -> None:
    """Stop a pipeline's processes now, and wait: what they would still do in quiet hours, nobody asks for."""
    from pipeline import launch
    from pipeline.paths import places_for

    places = places_for(log_dir)
    pid = launch.supervisor_pid(places)
    if pid:
        os.kill(pid, signal.SIGTERM)
    while launch.supervisor_pid(places) is not None:
        time.sleep(0.05)


def _with(**settings: Any) -> type[Ours]:
    return type("WithSettings", (Ours,), {"settings": Ours.settings | settings})


OURS: dict[str, type[Peer]] = {"ours": Ours, "ours-disk": OursDisk}
FEATURES: dict[str, type[Peer]] = {
    "no-masking": _with(mask_sensitive_data=False),
    "no-truncation": _with(truncate_large_output=False),
    "no-validation": _with(validation="off"),
    "none-of-them": _with(mask_sensitive_data=False, truncate_large_output=False, validation="off"),
    "scan-only": _with(mask_personal_data=True),
    "sampling": _with(sample_rates={"tool_call": 0.5}),
    "rate-limit": _with(rate_limits={"tool_call": 1e6}),
    "drop-low": _with(queue_full_strategy="drop_low"),
    "context": WithContext,
    "synchronous": _with(async_logging=False),
    "durable": Durable,
}
"""Ours with one feature off that is on by default, or on. `scan-only` has rules without fixed texts."""
