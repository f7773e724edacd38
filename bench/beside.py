"""
What a process that emits sees of a neighbour: windows with it and without, in turns, in one run.

A neighbour is held by SIGSTOP and let go for its windows alone, so nothing else differs between two windows
that follow each other: the same processes, files, caches and minute. In each round every neighbour has one
window, in an order that is drawn; a row compares it with the window of the same round in which nobody was
let go. `nobody` stands twice, so one row shows what the machine does by itself; and a process that competes
at the same priority is one more, to show that the bench sees it when there is something to see.
"""

import contextlib
import math
import os
import random
import signal
import statistics
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, fields

from bench.ours import Ours
from bench.procs import alive, cpu_seconds
from bench.record import STEADY_RATE, emit_many, emit_paced

STEADY_SEC = 0.6
BURST = 40_000
NOBODY, AGAIN = "nobody", "nobody, again"


@dataclass(frozen=True)
class Window:
    """
    What was measured while one neighbour ran.

    All in µs. p50, p99: of one emit() at a steady rate. A record, of many as fast as it goes: `burst` on the
    clock of the caller, `cpu` of its processor, `stored` from the first call until all are in the file.
    """

    p50: float
    p99: float
    burst: float
    cpu: float
    stored: float


class Neighbour:
    """A process that runs only while it is let go; `cpu` and `seconds` are of these times."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.cpu = self.seconds = 0.0
        os.kill(pid, signal.SIGSTOP)

    @contextlib.contextmanager
    def let_go(self) -> Iterator[None]:
        """Let it run inside."""
        cpu, began = cpu_seconds(self.pid), time.perf_counter()
        os.kill(self.pid, signal.SIGCONT)
        try:
            yield
        finally:
            if alive(self.pid):
                os.kill(self.pid, signal.SIGSTOP)
                self.cpu += cpu_seconds(self.pid) - cpu
            self.seconds += time.perf_counter() - began

    def release(self) -> None:
        """Let it run from now on, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    @property
    def share(self) -> float:
        """How much of a processor it had."""
        return self.cpu / self.seconds if self.seconds else 0.0


def rounds(
    subject: Ours, neighbours: dict[str, Neighbour], count: int, seed: int = 1
) -> list[dict[str, Window]]:
    """Return the windows by neighbour of each round; there are fewer when a neighbour ends."""
    drawn, found = random.Random(seed), []
    for _ in range(count):
        order = [NOBODY, AGAIN, *neighbours]
        drawn.shuffle(order)
        one = {}
        for name in order:
            with neighbours[name].let_go() if name in neighbours else contextlib.nullcontext():
                one[name] = window(subject)
        if not all(alive(neighbour.pid) for neighbour in neighbours.values()):
            break
        found.append(one)
    return found


def window(subject: Ours) -> Window:
    """Emit steadily, then at once, then wait for the file."""
    samples: array[int] = array("q")
    emit_paced(subject.call, STEADY_RATE, STEADY_SEC, samples)
    began, cpu = time.perf_counter(), time.thread_time()
    emit_many(subject.call, BURST)
    burst, cpu = time.perf_counter() - began, time.thread_time() - cpu
    subject.finish()
    stored = time.perf_counter() - began
    times = sorted(samples)
    return Window(
        p50=times[len(times) // 2] / 1e3,
        p99=times[len(times) * 99 // 100] / 1e3,
        burst=burst / BURST * 1e6,
        cpu=cpu / BURST * 1e6,
        stored=stored / BURST * 1e6,
    )


def table(found: list[dict[str, Window]]) -> list[str]:
    """Return the rows: medians of `nobody`, and ratios to it with the interval of their median."""
    names = [field.name for field in fields(Window)]
    heads = ("p50", "p99", "burst", "CPU of it", "stored")
    lines = [f"{'µs':18}" + "".join(f"{head:>19}" for head in heads)]
    medians = [statistics.median(getattr(one[NOBODY], name) for one in found) for name in names]
    lines.append(f"{NOBODY:18}" + "".join(f"{median:19.2f}" for median in medians))
    for neighbour in [AGAIN, *sorted(found[0].keys() - {NOBODY, AGAIN})]:
        columns = [
            [getattr(one[neighbour], name) / getattr(one[NOBODY], name) for one in found] for name in names
        ]
        cells = [f"x {middle:.2f} [{low:.2f}-{high:.2f}]" for middle, low, high in map(spread, columns)]
        lines.append(f"{neighbour:18}" + "".join(f"{cell:>19}" for cell in cells))
    return lines


def spread(ratios: list[float]) -> tuple[float, float, float]:
    """Return the median, and between which values it is with 95 % (by ranks: no distribution is assumed)."""
    ordered, count = sorted(ratios), len(ratios)
    reach = 0.98 * math.sqrt(count)
    low, high = max(0, math.floor(count / 2 - reach)), min(count - 1, math.ceil(count / 2 + reach))
    return statistics.median(ordered), ordered[low], ordered[high]
