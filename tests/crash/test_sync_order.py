"""
The order of what has to be on the disk, seen from outside: strace tells what is asked of the kernel.

A kill never shows a missing fsync, since the page cache outlives every process; only the order of the calls
does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from crash.points import on_disk, rolling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.ground import Ground, Plan

_CALLS = "fsync,fdatasync,unlink,unlinkat,write,writev,pwritev,pwrite64,rename,renameat,renameat2,openat"
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")
_DAY = re.compile(r'[<"]([^<>"]*/\d{4}-\d\d-\d\d(?:\.\d+)?\.jsonl)[>"]')


@dataclass
class Disk:
    """What is known to be on the disk while the calls are read in order."""

    log_dir: str
    dirty: set[str] = field(default_factory=set)
    nameless: set[str] = field(default_factory=set)
    """Day files whose name was not synced since a process opened them."""
    unknown_to_checkpoint: bool = False
    """Whether a file was synced after the last checkpoint was begun."""
    checkpoint_is_named: bool = True
    unlinked: int = 0
    faults: list[str] = field(default_factory=list)

    def read(self, pid: str, call: str, rest: str) -> None:
        """Take one call into account."""
        day = _DAY.search(rest)
        if call == "openat" and day and "O_CREAT" in rest:
            self.nameless.add(day[1])
        elif call in ("write", "writev", "pwritev", "pwrite64") and day:
            self.dirty.add(day[1])
        elif call in ("fsync", "fdatasync") and day:
            self.dirty.discard(day[1])
            self.unknown_to_checkpoint = True
        elif call == "fsync" and f"<{self.log_dir}>" in rest:
            self.nameless.clear()
        elif call == "fsync" and f"<{self.log_dir}/.pipeline>" in rest:
            self.checkpoint_is_named = True
        elif call.startswith("rename") and '/checkpoint.json"' in rest:
            self.unknown_to_checkpoint, self.checkpoint_is_named = False, False
        elif call == "unlink" and '.taken"' in rest:
            self.unlinked += 1
            self._judge(f"{pid} {call}({rest}")

    def _judge(self, what: str) -> None:
        if self.dirty:
            self.faults.append(f"{what}: not synced: {self.dirty}")
        if self.nameless:
            self.faults.append(f"{what}: the directory is not synced since {self.nameless} was opened")
        if self.unknown_to_checkpoint or not self.checkpoint_is_named:
            self.faults.append(f"{what}: no durable checkpoint tells of what was synced")


def read_trace(trace: Path, log_dir: Path) -> Disk:
    """Read what strace wrote down."""
    disk = Disk(str(log_dir))
    if not trace.exists():
        return disk
    for line in trace.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match and "= -1 E" not in line:
            disk.read(*match.groups())
    return disk


@pytest.mark.parametrize(
    ("lanes", "kill"),
    [
        pytest.param("memory", "", id="memory"),
        pytest.param("disk", "writer.sync.before_directory", id="disk-creator-killed"),
        pytest.param("disk", "", id="disk", marks=pytest.mark.soak),
        pytest.param(
            "memory", "writer.sync.before_directory", id="memory-creator-killed", marks=pytest.mark.soak
        ),
    ],
)
def test_a_segment_is_unlinked_only_after_the_file_and_its_directory_were_synced(
    ground: Ground, tmp_path: Path, need_tool: Callable[[str], str], lanes: str, kill: str
) -> None:
    """Data, its directory, the checkpoint and its directory: then the release."""
    plan: Plan = rolling() if lanes == "memory" else on_disk(rolling())
    plan = replace(plan, failpoint=kill, pause_sec=0.02, burst=8)
    trace = tmp_path / "trace"
    tool = [need_tool("strace"), "-f", "-y", "-qq", "--seccomp-bpf", "-s", "200", "-o", str(trace)]
    ground.start(plan, prefix=(*tool, "-e", f"trace={_CALLS}"))
    ground.until(lambda: read_trace(trace, ground.log_dir).unlinked >= 3, "three released segments")
    ground.finish(starts=False)
    ground.check()
    disk = read_trace(trace, ground.log_dir)
    assert not disk.faults, "\n".join(disk.faults[:10])
    assert ground.kills("writer.sync.before_directory") == bool(kill)
