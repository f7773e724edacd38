"""How long `pipeline log` takes to answer over a directory of 400 days, most of which it must not read."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.peer import Peer

_LOG = "from pipeline.cli import main; main()"
_WAYS = {
    "bare": ["-c", "pass"],
    "import": ["-c", "import pipeline"],
    "help": ["-c", _LOG, "log", "--help"],
    "hour": ["-c", _LOG, "log", "--since", "1h"],
    "errors": ["-c", _LOG, "log", "--since", "1h", "--status", "error"],
    "tail": ["-c", _LOG, "log", "--tail", "50"],
    "jsonl": ["-c", _LOG, "log", "--tail", "50", "--format", "jsonl"],
}
_BLOCK_LINES = 3300
"""About 1 MiB, as the writer's blocks are."""
_DAY_BYTES = 256 << 20
"""Mostly of holes: 400 days look like 100 GB, and whoever reads one of them is seen at once."""


def log_start(_subject: Peer, directory: Path, *, count: int, days: int, rounds: int) -> dict[str, float]:
    """
    Take milliseconds of the clock and of CPU over a bare interpreter, medians of turns.

    `first` is a call for the last hour that finds no index of today's file.
    """
    _write(directory, count, days)
    env = {**os.environ, "PIPELINE_LOG_DIR": str(directory), "PIPELINE_SETTINGS_FILE": ""}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    _timed(_WAYS["hour"], env)
    shutil.rmtree(directory / ".pipeline" / "index", ignore_errors=True)
    found = dict(zip(("first_ms", "first_cpu_ms"), _timed(_WAYS["hour"], env), strict=True))
    turns = [{name: _timed(way, env) for name, way in _WAYS.items()} for _ in range(rounds)]
    for name in _WAYS:
        wall, cpu = (statistics.median(turn[name][kind] for turn in turns) for kind in (0, 1))
        found |= {f"{name}_ms": wall, f"{name}_cpu_ms": cpu}
    bare = found["bare_ms"], found["bare_cpu_ms"]
    for name in ("first", *_WAYS.keys() - {"bare"}):
        found[f"{name}_ms"] -= bare[0]
        found[f"{name}_cpu_ms"] -= bare[1]
    return found


def _write(directory: Path, count: int, days: int) -> None:
    """Write today as records up to now, with its manifest, and the days before as holes between two lines."""
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    catalog = []
    for day in range(1, days):
        start = midnight - timedelta(days=day)
        with (directory / f"{start.date()}.jsonl{'.zst' if day > 7 else ''}").open("wb") as file:
            file.write(_record(start, 1))
            file.truncate(_DAY_BYTES)
            file.seek(_DAY_BYTES)
            file.write(b"\n" + _record(start + timedelta(hours=23.99), 2))
        catalog.append({"name": f"{start.date()}.jsonl", "bytes": _DAY_BYTES, "records": 600_000})
    (directory / "metadata.json").write_text(json.dumps({"version": 1, "files": catalog}))
    name, manifests = f"{now.date()}.jsonl", directory / ".pipeline" / "manifests"
    manifests.mkdir(parents=True)
    with (directory / name).open("wb") as file, (manifests / f"{name}.manifest").open("w") as manifest:
        for first in range(1, count + 1, _BLOCK_LINES):
            numbers = range(first, min(first + _BLOCK_LINES, count + 1))
            data = b"".join(_record(midnight + (now - midnight) * n / count, n) for n in numbers)
            entry = {
                "serial": first,
                "file": name,
                "kind": "block",
                "offset": file.tell(),
                "length": len(data),
            }
            digest = hashlib.sha256(data).hexdigest()
            manifest.write(json.dumps(entry | {"lines": len(numbers), "digest": digest}) + "\n")
            file.write(data)


def _record(moment: datetime, number: int) -> bytes:
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = f'{{"timestamp":"{stamp}","action_type":"tool_call","action_number":{number}'
    return f'{head},"producer":"3k9mw2q8xv0a","tool_name":"bash","content":"{"x" * 200}"}}\n'.encode()


def _timed(way: list[str], env: dict[str, str]) -> tuple[float, float]:
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *way], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, way
    return (time.perf_counter() - started) * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3
