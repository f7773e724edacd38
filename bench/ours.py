"""The recorder itself, through its public face only."""

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


OURS: dict[str, type[Peer]] = {"ours": Ours, "ours-disk": OursDisk}
