"""The one interface of everybody who is measured."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bench.record import Call


def json_line(created: float, event: object, fields: Mapping[str, Any]) -> bytes:
    """Encode what each peer writes: timestamp, action_type, fields."""
    stamp = datetime.fromtimestamp(created, UTC)
    return orjson.dumps({"timestamp": stamp, "action_type": event, **fields})


class Peer:
    """One way to get records into a file.

    ``shared`` says that forked producers use what their parent set up (a queue); else each sets up its own.
    """

    name = ""
    shared = False
    call: Call

    def setup(self, directory: Path) -> None:
        """Get ready to write ``*.jsonl`` in that directory."""
        raise NotImplementedError

    def leave(self) -> None:
        """In a forked producer that shares its parent's queue: hand over what this process still holds."""

    def finish(self) -> None:
        """Return once every record is in the file."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop what is still running after `finish`."""

    def worker_pids(self) -> dict[str, int]:
        """Name the processes that work for us, by role."""
        return {}


class Nothing(Peer):
    """Writes nothing: shows what the measuring itself costs."""

    def setup(self, _directory: Path) -> None:
        """Make a call that takes the same arguments."""

        def call(event: str, **fields: object) -> None:
            pass

        self.call = call

    def finish(self) -> None:
        """Nothing to do."""
