"""
A chaos soak: everything goes wrong at random for a while, and in the end nothing is lost or twice.

By hand, as root: `python tests/crash/chaos.py --seconds 1200 --seed 7`; `--plan` only prints what would
happen when. Four applications emit over a small file system of its own; `chaos_schedule` says what happens
to it, to them and to the workers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.chaos_commands import Commands, run
from crash.chaos_crew import RECORDS_MAX, SOURCES_MAX, Crew
from crash.chaos_evidence import Evidence
from crash.chaos_keeping import Keepers, clean, settings_of
from crash.chaos_schedule import AWAY, Event, schedule
from crash.chaos_summary import stored_in, summary
from crash.chaos_volume import FallbackTrouble, VolumeTrouble
from support import oracle
from support.ground import Ground
from support.ledger import Ledger
from support.volumes import MIB, Volumes, volumes_below

from pipeline.storage import fallback_reader
from pipeline.verification.live import find_lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.oracle import Verdict

_TICK_SEC = 0.02
_AWAY_SEC = 3.0
"""How long after the volume is back a command may still have seen it away."""
_ROLES = {"writer": ["writer"], "supervisor": ["supervisor"], "both": ["writer", "supervisor"]}


class Soak:
    """One soak over a mounted volume."""

    def __init__(
        self,
        ground: Ground,
        volumes: Volumes,
        seed: int,
        seconds: float,
        until: float | None = None,
        *,
        keeps_all: bool = False,
    ) -> None:
        """`until` ends it earlier; with `keeps_all` no file is rotated, packed, or let go."""
        self.ground = ground
        self.seed = seed
        self.seconds = seconds
        self._until = min(until or seconds, seconds)
        self.events: Counter[str] = Counter()
        self.drained_sec: list[float] = []
        self.descriptors_max = 0
        self.verdict = oracle.Verdict()
        self.stored: Counter[str] = Counter()
        self.volume = volumes.disk("volume", size=64 * MIB + int(seconds * 0.2 * MIB))
        self.trouble = VolumeTrouble(ground, self.volume)
        self.fallback = FallbackTrouble(volumes.memory("fallback", "size=64m,mode=700"))
        self.moved_to = ground.moved_to = volumes.place / "moved"
        self.keepers = Keepers(ground)
        self.crew = Crew(ground, seed, settings_of(seed, self.moved_to, keeps_all=keeps_all))
        self.evidence = Evidence(volumes.place, ground)
        self.commands = Commands(ground, self.evidence.keep_first)
        below = random.Random(f"{seed}/place").choice(["", "logs"])
        ground.log_dir = self.volume.point / below
        ground.exits.add(-signal.SIGTERM)
        self._stopped: list[int] = []
        self._began = time.monotonic()
        self._away_at = self._drained_at = self._healed_at = -1e9
        self._looked_at = 0.0

    # What happens

    def play(self) -> None:
        """Let everything happen that the schedule says."""
        self._began = time.monotonic()
        pending = [one for one in schedule(self.seed, self.seconds) if one.at <= self._until]
        ends: dict[str, tuple[float, Callable[[], None]]] = {}
        while self._now() < self._until or ends:
            for track in [track for track, (end, _) in ends.items() if end <= self._now()]:
                self.evidence.note(f"{track} heals")
                ends.pop(track)[1]()
            while pending and pending[0].at <= self._now():
                event = pending.pop(0)
                if event.track in ends:  # a machine that is late: one track has one trouble at a time
                    ends.pop(event.track)[1]()
                undone = self._strike(event)
                if event.seconds:
                    ends[event.track] = (self._now() + event.seconds, undone)
            self._tend()
            time.sleep(_TICK_SEC)  # the pace of the soak, and no waiting for anything

    def _strike(self, event: Event) -> Callable[[], None]:
        """Begin a trouble; returns what ends it."""
        self.events[event.kind] += 1
        self.evidence.note(event)
        if event.track == "volume":
            with self._counting_failures(event):
                self.trouble.begin(event.kind, event.number)
            return self._heal
        if event.track == "fallback":
            with self._counting_failures(event):
                self.fallback.begin(event.kind)
            return self.fallback.heal
        if event.track == "keeper":
            return self.keepers.doom(event.number)
        if event.track == "stop":
            return self._stop(event)
        if event.track == "command":
            self.commands.start(event.kind)
        elif event.kind == "remove_queue":
            self._remove_queue()
        else:
            self._kill(event)
        return lambda: None

    @contextmanager
    def _counting_failures(self, event: Event) -> Iterator[None]:
        """Go on without a trouble that could not be made."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self.events[f"{event.kind} (not possible)"] += 1
            self._note(f"{event}: {error}")

    def _kill(self, event: Event) -> None:
        victim = event.kind.removeprefix("kill_")
        if victim == "producer":
            self.crew.kill_one(event.number)
        elif victim == "all":
            self.ground.kill("")
        elif event.kind == "restart_apps":
            self.crew.end_all()
        else:
            for role in _ROLES[victim]:
                self.ground.kill(role)

    def _stop(self, event: Event) -> Callable[[], None]:
        victim = event.kind.removeprefix("stop_")
        if victim == "producer":
            pids = self.crew.stop_one(event.number)
        else:
            pids = [pid for role in _ROLES[victim] for pid in self.ground.kill(role, signal.SIGSTOP)]

        def go_on() -> None:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        return go_on

    def _remove_queue(self) -> None:
        """`rm -r` of the runtime directory, once it holds nothing of the dead."""
        if not self._is_quiet():
            self.events["remove_queue (not quiet)"] += 1
            return
        self.ground.may_end_open = True  # the writer's own lane went too
        shutil.rmtree(self.ground.runtime_dir(), ignore_errors=True)

    def _is_quiet(self) -> bool:
        with suppress(OSError):
            return not self.trouble.kind and self._in_fallback() == 0 and not self._queued()
        return False

    def _queued(self) -> frozenset[str]:
        """Return the producers that are dead, and have a lane."""
        before = os.environ.get("PIPELINE_RUNTIME_ROOT")
        os.environ["PIPELINE_RUNTIME_ROOT"] = str(self.ground.root)
        try:
            return find_lanes(self.ground.log_dir).queued
        finally:
            os.environ.pop("PIPELINE_RUNTIME_ROOT")
            if before is not None:
                os.environ["PIPELINE_RUNTIME_ROOT"] = before

    def _heal(self) -> None:
        was = self.trouble.kind
        self.trouble.heal()
        if was in AWAY:
            self._away_at = time.monotonic()
        self._healed_at = time.monotonic()

    # What is looked at meanwhile

    def _tend(self) -> None:
        self.crew.tend()
        self.keepers.tend()
        is_away = self.trouble.kind in AWAY or time.monotonic() - self._away_at < _AWAY_SEC
        self.commands.poll(is_away=is_away, has_store=not self.fallback.is_on)
        if time.monotonic() - self._looked_at > 0.5:
            self._looked_at = time.monotonic()
            self._look_for_drained()
            self._count_descriptors()
            self._tell()

    def _look_for_drained(self) -> None:
        """Note how long after the volume was healed nothing is in the fallback store any more."""
        if self._healed_at > self._drained_at and not self.trouble.kind and self._in_fallback() == 0:
            self._drained_at = time.monotonic()
            self.drained_sec.append(self._drained_at - self._healed_at)

    def _in_fallback(self) -> int:
        stores = self.ground.fallback_dir.glob("*/fallback*.db")
        found = [fallback_reader.summary(path) for path in stores]
        return sum(-1 if one is None else one.rows for one in found)

    def _count_descriptors(self) -> None:
        for role in ("writer", "supervisor"):
            for pid in self.ground.pids(role):
                with suppress(OSError):
                    self.descriptors_max = max(self.descriptors_max, len(os.listdir(f"/proc/{pid}/fd")))

    # How it ends

    def finish(self) -> None:
        """Heal everything, start once more, drain, and judge."""
        self.trouble.heal()
        self.fallback.heal()
        for pid in self.ground.pids():
            os.kill(pid, signal.SIGCONT)
        self.commands.finish()
        healed = time.monotonic()
        self.ground.finish(settings=self.crew.settings)
        self.drained_sec.append(time.monotonic() - healed)
        cleaned = clean(self.ground, self.moved_to)
        self.verdict = self.ground.judge()
        self.verdict.faults += [*self.commands.faults, *cleaned]
        self._judge_fallback()
        self._judge_account()
        self.stored = stored_in(self.ground.log_dir, self.moved_to)
        self.volume.unmount()  # not lazily: nobody has a descriptor there
        self._judge_below()
        self.volume.mount()

    def _judge_fallback(self) -> None:
        found = self._asked("replay-fallback", "--dry-run")
        if found.get("records") != 0:
            self.verdict.blame("the fallback store is not empty", [found])

    def _judge_account(self) -> None:
        """See that the account balances, unless somebody removed what a producer says of itself."""
        if not self.ground.may_end_open:
            self._asked("account")

    def _judge_below(self) -> None:
        """See that nothing was made below the mount point, where nobody finds it; a message may be there."""
        found = [path for path in self.volume.point.rglob("*") if path.is_file()]
        made = [str(path) for path in found if not path.name.startswith("workers.log")]
        if made:
            self.verdict.blame("made below the mount point", made)

    def _asked(self, *command: str) -> dict[str, object]:
        done = run(self.ground, *command)
        if done.returncode:
            self.verdict.blame(f"{command} ended with {done.returncode}", [done.stdout, done.stderr])
            return {}
        return json.loads(done.stdout)

    # What is told

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _note(self, text: str) -> None:
        print(f"\r{self._now():7.2f} {text}".ljust(100), flush=True)

    def _tell(self) -> None:
        if sys.stdout.isatty():
            now = f"{self._now():5.0f} of {self.seconds:g} s, {self.ground.begun():,} records"
            more = (
                f"fallback {self._in_fallback()} rows, {sum(self.events.values())} events {self.trouble.kind}"
            )
            print(f"\r{now}, {more}".ljust(100), end="", flush=True)


def soak(
    home: Path,
    seed: int,
    seconds: float,
    need_tool: Callable[[str], str],
    until: float | None = None,
    *,
    keeps_all: bool = False,
) -> Verdict:
    """Play one soak in a directory; AssertionError with all that is known when a promise was broken."""
    print(f"seed {seed}, {seconds:g} s, in {home}", flush=True)
    need_tool("losetup")
    with ExitStack() as stack:
        volumes = stack.enter_context(volumes_below(home, need_tool))
        ground = stack.enter_context(Ground(home, ledger=Ledger.create(SOURCES_MAX, RECORDS_MAX)))
        one = Soak(ground, volumes, seed, seconds, until, keeps_all=keeps_all)
        stack.callback(one.commands.close)
        try:
            one.play()
            one.finish()
            faults = "\n".join(one.verdict.faults)
        except (AssertionError, OSError) as error:
            faults = f"{type(error).__name__}: {error}"
        print(f"\n{summary(one)}", flush=True)
        if faults:
            raise AssertionError(f"{faults}\n{ground.told()}\n{_kept(one, home)}")
        return one.verdict


def _kept(one: Soak, home: Path) -> str:
    """Keep all that there is; returns how to look at it."""
    one.fallback.heal()
    one.ground.kill("", signal.SIGKILL)
    with suppress(OSError):
        one.trouble.heal()
    kept = one.evidence.keep("kept")
    logs = kept / "logs"
    return (
        f"kept: pipeline verify --dir {logs}; {logs}/.pipeline/workers.log; {kept}/runtime; {kept}/fallback;"
        f" {one.evidence.events}; {home}/first, when a command saw it"
    )


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        sys.exit(f"{name} is not installed; the soak breaks volumes with it")
    return found


def over_mutant(name: str, arguments: list[str]) -> int:
    """Play a soak over a copy of the library that has a mistake in it: the soak has to turn red."""
    import mutants  # a program beside this one

    (mutant,) = [one for one in mutants.MUTANTS if one.name == name]
    with tempfile.TemporaryDirectory(prefix="mutant-") as home:
        mutants.copy_packages(Path(home))
        mutants.apply(mutant, Path(home))
        env = os.environ | {"PYTHONPATH": home}
        return subprocess.run([sys.executable, __file__, *arguments], env=env, check=False).returncode


def main() -> int:
    """Play the soak that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--until", type=float, metavar="S", help="end after so much of the plan")
    parser.add_argument(
        "--keeps-all", action="store_true", help="one file a day, which is neither packed nor let go"
    )
    parser.add_argument("--plan", action="store_true", help="print what would happen when, and nothing else")
    parser.add_argument(
        "--mutant", metavar="NAME", help="play it over the library with a mistake of mutants.py"
    )
    given = parser.parse_args()
    if given.mutant:
        return over_mutant(given.mutant, ["--seconds", str(given.seconds), "--seed", str(given.seed)])
    if given.plan:
        print("\n".join(map(str, schedule(given.seed, given.seconds))))
        return 0
    if os.geteuid():
        sys.exit("mounting needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        soak(home, given.seed, given.seconds, _tool, given.until, keeps_all=given.keeps_all)
    except AssertionError as error:
        print(f"FAILED\n{error}\nseed {given.seed}; it is all in {home}")
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
