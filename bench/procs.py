"""What processes have used: CPU seconds and resident memory, read from the kernel; and on which processor."""

import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process.

    ``stat`` counts every thread that ever lived but in ticks of 10 ms; ``schedstat`` is exact but knows only
    the threads of now. The larger one is nearer to the truth.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    ticks = (int(fields[11]) + int(fields[12])) / _TICK
    return max(ticks, _exact_seconds(pid))


def _exact_seconds(pid: int) -> float:
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
    return total / 1e9


def cpu_by_role(workers: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds of this process and its reaped children as ``app``, and of each worker by role."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = cpu_seconds(os.getpid()) + reaped.ru_utime + reaped.ru_stime
    return {"app": own} | {role: cpu_seconds(pid) for role, pid in workers.items()}


def spent_since(before: Mapping[str, float], workers: Mapping[str, int]) -> dict[str, float]:
    """Return what each role used since `cpu_by_role` said ``before``, and the sum as ``all``.

    A worker that has been reaped since is in the app's number, as its child.
    """
    now = cpu_by_role(workers)
    spent = {role: now[role] - before[role] for role in before}
    for role in [role for role, pid in workers.items() if not alive(pid)]:
        spent["app"] += spent.pop(role)
    return spent | {"all": sum(spent.values())}


def alive(pid: int) -> bool:
    """Whether the process can still run an instruction: it exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resident_mb(pid: int) -> float:
    """RSS in MB; pages that processes share count in each of them."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def mapped_mb(pid: int, below: str) -> float:
    """Sum up the resident part of files mapped from below a directory, in MB."""
    total, counting = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            counting = below in line
        elif counting and first == "Rss:":
            total += int(line.split()[1])
    return total / 1024


def processor() -> str:
    """Return what the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
