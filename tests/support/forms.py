"""Day files in each form that a day can have: plain, packed, in parts, half written."""

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import zstandard

FORMS = ("plain", "zst", "gz", "parts", "half", "twins", "frames")
"""What `write_day` can make of the same lines."""


def record(number: int, at: str, action_type: str, producer: str = "3k9m3k9m3k9m", **fields: Any) -> dict:
    """Return a record as the pipeline makes it."""
    common = {"timestamp": at, "action_type": action_type, "action_number": number, "producer": producer}
    return common | fields


def line_of(one: dict) -> bytes:
    """Return its line, newline included."""
    return orjson.dumps(one) + b"\n"


def write_day(log_dir: Path, period: str, lines: Sequence[bytes], form: str = "plain") -> None:
    """Write one day's lines, in order, in one of `FORMS`."""
    log_dir.mkdir(exist_ok=True)
    day = log_dir / f"{period}.jsonl"
    data = b"".join(lines)
    if form == "plain":
        day.write_bytes(data)
    elif form == "half":  # the last line is being written just now
        day.write_bytes(data + b'{"timestamp":"2025-11-21T23:59:59.000000Z","action_type":"tool_ca')
    elif form == "zst":
        day.with_name(f"{day.name}.zst").write_bytes(zstandard.compress(data))
    elif form == "gz":
        day.with_name(f"{day.name}.gz").write_bytes(gzip.compress(data))
    elif form == "frames":
        day.with_name(f"{day.name}.zst").write_bytes(frames_of(cut(lines, 3)))
    elif form == "twins":  # packing has begun: half of a copy stands beside the plain file
        day.write_bytes(data)
        packed = zstandard.compress(data)
        day.with_name(f"{day.name}.zst").write_bytes(packed[: len(packed) // 2])
    else:
        for part, piece in enumerate(cut(lines, 3)):
            name = f"{period}.{part}.jsonl" if part else day.name
            (log_dir / name).write_bytes(b"".join(piece))


def cut(lines: Sequence[bytes], pieces: int) -> list[Sequence[bytes]]:
    """Cut lines into so many pieces, some of which may be empty."""
    size = -(-len(lines) // pieces)
    return [lines[start * size : (start + 1) * size] for start in range(pieces)]


def frames_of(pieces: Iterable[Sequence[bytes]]) -> bytes:
    """Return zstd frames, one a piece, and a skippable one behind them as a seek table is."""
    frames = [zstandard.compress(b"".join(piece)) for piece in pieces]
    return b"".join(frames) + b"\x5e\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"seek"


def write_manifest(log_dir: Path, name: str, pieces: Iterable[Sequence[bytes]]) -> Path:
    """Write what the pipeline's manifest would say of a plain file that is made of these pieces."""
    entries: list[dict[str, Any]] = [{"serial": 1, "file": name, "kind": "begin", "offset": 0}]
    for piece in filter(None, pieces):
        data, last = b"".join(piece), entries[-1]
        offset = last["offset"] + last.get("length", 0)
        block = {
            "serial": len(entries) + 1,
            "file": name,
            "kind": "block",
            "offset": offset,
            "length": len(data),
        }
        digest = hashlib.sha256(data).hexdigest()
        entries.append(block | {"lines": len(piece), "producers": {}, "digest": digest})
    path = log_dir / ".pipeline" / "manifests" / f"{name}.manifest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(line_of, entries)))
    return path
