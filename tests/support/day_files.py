"""Day files as the writer makes them, written by hand: what a query is asked about."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = "2025-11-21"


def record(number: int, action_type: str = "tool_call", at: str = "14:32:15.123456", **fields: Any) -> bytes:
    """Return a line; `at` is a time of DAY, or a whole timestamp."""
    timestamp = at if "T" in at else f"{DAY}T{at}Z"
    common = {
        "timestamp": timestamp,
        "action_type": action_type,
        "action_number": number,
        "producer": fields.pop("producer", "3k9m00000001"),
    }
    return json.dumps(common | fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def write_day(log_dir: Path, lines: Iterable[bytes], name: str = f"{DAY}.jsonl") -> Path:
    """Write a file of these lines and return its path."""
    path = log_dir / name
    path.write_bytes(b"".join(lines))
    return path


def today() -> str:
    """Return today's date, in UTC."""
    return str(datetime.now(UTC).date())


def ago(**how_long: float) -> str:
    """Return the timestamp of this long ago."""
    return (datetime.now(UTC) - timedelta(**how_long)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
