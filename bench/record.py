"""The one record everybody writes, the loops that emit it, and the count of what arrived.

The call is written out in each loop with literal keywords, because that is what an application's line looks
like; a wrapper would add the price of one more Python frame to everybody and so make the slow look better.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array

Call = Callable[..., object]
"""``call(event, **fields)``: what an application calls, as directly as the subject allows."""

STEADY_RATE = 2_000
"""Records a second wherever a measure says "at a steady rate"."""

_SESSION = "s-5f0c1d2e9a7b"
_CALL_ID = "toolu_01Bench8fQ2vXk"
_COMMAND = "rg --json -n 'def emit' src tests | head -40"
_SEQUENCE = re.compile(rb'"sequence": ?(\d+)')


def emit_many(call: Call, count: int, first: int = 0) -> None:
    """Emit ``count`` records as fast as possible, numbered from ``first``."""
    for i in range(first, first + count):
        call(
            "tool_call", session_id=_SESSION, tool_name="bash", tool_call_id=_CALL_ID, status="ok",
            args={"command": _COMMAND, "timeout": 120}, exit_code=0, duration_ms=12.75, sequence=i,
        )  # fmt: skip


def emit_timed(call: Call, count: int, samples: "array[int]", first: int = 0) -> None:
    """As `emit_many`, and append what each call took, in nanoseconds with the clock's own price in it."""
    clock = time.perf_counter_ns
    append = samples.append
    for i in range(first, first + count):
        start = clock()
        call(
            "tool_call", session_id=_SESSION, tool_name="bash", tool_call_id=_CALL_ID, status="ok",
            args={"command": _COMMAND, "timeout": 120}, exit_code=0, duration_ms=12.75, sequence=i,
        )  # fmt: skip
        append(clock() - start)


def emit_paced(call: Call, rate: int, seconds: float, samples: "array[int]", first: int = 0) -> int:
    """Emit ``rate`` records a second in bursts every 2 ms; return how many that were."""
    tick = 0.002  # pacing by itself costs about 1 % of a core
    started = time.monotonic()
    done = 0
    while (elapsed := time.monotonic() - started) < seconds:
        due = int(elapsed * rate) + 1
        emit_timed(call, due - done, samples, first + done)
        done = due
        time.sleep(max(0.0, started + elapsed + tick - time.monotonic()))
    return done


def clock_overhead_ns() -> int:
    """Take the median of what two neighbouring reads of the clock say."""
    clock = time.perf_counter_ns
    gaps = sorted(-(clock() - clock()) for _ in range(20_000))
    return gaps[len(gaps) // 2]


@dataclass(frozen=True)
class Tally:
    """What the files hold: whole lines with our record in it, and how many different ones those are."""

    lines: int
    distinct: int
    bytes: int


def tally(directory: Path) -> Tally:
    """Count the records in every ``*.jsonl`` file of a directory; an unfinished last line does not count."""
    lines, seen, size = 0, set[bytes](), 0
    for path in sorted(directory.glob("*.jsonl")):
        data = path.read_bytes()
        found = _SEQUENCE.findall(data[: data.rfind(b"\n") + 1])
        lines, size = lines + len(found), size + len(data)
        seen.update(found)
    return Tally(lines, len(seen), size)


def bytes_written(directory: Path) -> int:
    """Sum up the sizes of the ``*.jsonl`` files of a directory."""
    return sum(path.stat().st_size for path in directory.glob("*.jsonl"))


def settled_tally(directory: Path, quiet: float, timeout: float = 30.0) -> Tally:
    """Take the tally once no byte has arrived for ``quiet`` seconds."""
    give_up = time.monotonic() + timeout
    size, since = -1, time.monotonic()
    while time.monotonic() < give_up and time.monotonic() - since < quiet:
        if (now := bytes_written(directory)) != size:
            size, since = now, time.monotonic()
        time.sleep(0.02)
    return tally(directory)
