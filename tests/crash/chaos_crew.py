"""The four applications of a chaos soak: two plain ones, one that forks, one that waits for the disk."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from support.ground import SUCCESSOR, Plan

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from support.ground import Ground

SOURCES_MAX = 1 << 13
RECORDS_MAX = 1 << 13
"""Of one source; the application then ends by itself, and another one comes in its place."""
_DAY_SEC = 24 * 3600
_END_SEC = 90.0


@dataclass
class Member:
    """One of them, again and again."""

    name: str
    plan: Callable[[random.Random, Callable[[], int]], Plan]
    app: subprocess.Popen[bytes] | None = None
    sources: list[int] = field(default_factory=list)
    lives: int = 0
    start_at: float = 0.0
    end_by: float = 0.0


def _plain(dice: random.Random, source: Callable[[], int]) -> Plan:
    """Bursts, and now and then an application whose clock is a day behind."""
    age = dice.choice([0, 0, 0, 0, _DAY_SEC])
    return Plan(main=[source()], forked=[], burst=60, pause_sec=0.4, age_sec=age)


def _forking(dice: random.Random, source: Callable[[], int]) -> Plan:
    """Children that come and go; some end without a word, as `os._exit` does."""
    children = [[source()] for _ in range(dice.randint(1, 3))]
    records = dice.randrange(50, 500)
    return Plan(main=[source()], forked=children, burst=20, pause_sec=0.2, records=records)


def _durable(_: random.Random, source: Callable[[], int]) -> Plan:
    return Plan(main=[source(), source()], forked=[], burst=4, pause_sec=0.1, durable_share=0.3)


class Crew:
    """All four; who ends is followed by a new one."""

    def __init__(self, ground: Ground, seed: int, settings: dict[str, Any]) -> None:
        """Take the settings of all their pipelines."""
        self.settings = settings
        self._ground = ground
        self._seed = seed
        self._next_source = SUCCESSOR
        self.members = [
            Member("plain", _plain),
            Member("plain2", _plain),
            Member("forking", _forking),
            Member("durable", _durable),
        ]

    def tend(self) -> None:
        """Start who is missing; AssertionError when one ended as it must not, or does not end."""
        for member in self.members:
            code = member.app.poll() if member.app else 0
            if code is None:
                late = member.end_by and time.monotonic() > member.end_by
                assert not late, f"{member.name} does not end; {self._ground.told()}"
                continue
            assert code in self._ground.exits, f"{member.name} ended with {code}; {self._ground.told()}"
            if member.start_at == 0.0 and member.app is not None:
                member.start_at = time.monotonic() + random.Random(f"{self._seed}/{member.lives}").random()
            if time.monotonic() >= member.start_at:
                self._start(member)

    def kill_one(self, number: int) -> None:
        """Kill one application, or one process of it."""
        dice = random.Random(number)
        pids = self.pids_of(dice.choice(self.members))
        chosen = pids if dice.random() < 0.5 else pids[:1] if dice.random() < 0.5 else pids[-1:]
        self._send(chosen, signal.SIGKILL)

    def pids_of(self, member: Member) -> list[int]:
        """Return its living processes, the first one first."""
        own = {self._ground.ledger.row(source).pid for source in member.sources}
        living = set(self._ground.pids("app")) | set(self._ground.pids("spawned"))
        first = [member.app.pid] if member.app else []
        return [pid for pid in dict.fromkeys([*first, *own]) if pid in living]

    def stop_one(self, number: int) -> list[int]:
        """Let one application stand still; returns its processes."""
        pids = self.pids_of(random.Random(number).choice(self.members))
        self._send(pids, signal.SIGSTOP)
        return pids

    def end_all(self) -> None:
        """Tell all to end, as a service manager does; new ones come by themselves."""
        for member in self.members:
            if member.app and member.app.poll() is None:
                self._send([member.app.pid], signal.SIGTERM)
                member.end_by = time.monotonic() + _END_SEC

    def _start(self, member: Member) -> None:
        dice = random.Random(f"{self._seed}/{member.name}/{member.lives}")
        member.sources = []
        plan = member.plan(dice, lambda: self._source(member))
        member.app = self._ground.start(replace(plan, settings=plan.settings | self.settings))
        member.lives += 1
        member.start_at = member.end_by = 0.0

    def _source(self, member: Member) -> int:
        self._next_source += 1
        assert self._next_source < SOURCES_MAX, "the ledger has no row left"
        member.sources.append(self._next_source)
        return self._next_source

    @staticmethod
    def _send(pids: list[int], number: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
