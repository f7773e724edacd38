"""
The ground of one crash: a log directory, a runtime root, the processes over them, and the judgement.

Every process of a round carries the round's runtime root in its environment, which is how all of them are
found, orphans included.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support import oracle
from support.ledger import Ledger
from support.unpacking import content
from support.waiting import until

from pipeline.verification import account, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

TESTS = Path(__file__).resolve().parents[1]
HANG_SEC = float(os.environ.get("CRASH_HANG_SEC", "90"))
"""Nothing takes that long; what does, hangs."""
_ENVIRONMENT = {
    key: value for key, value in os.environ.items() if not key.startswith(("PIPELINE_", "PYTEST_"))
}
"""Taken once: pytest changes its own while grounds in other threads start applications."""
SUCCESSOR = 23
"""The source that emits after the crash."""
_ROLES = {
    b"strace": "tracer",
    b"supervisor": "supervisor",
    b"writer": "writer",
    b"keeper": "keeper",
    b"producers.py": "app",
    b"spawn_main": "spawned",
    b"resource_tracker": "tracker",
}


@dataclass
class Plan:
    """What the application of a round does."""

    main: list[int] = field(default_factory=lambda: [0])
    """Sources in threads of the main process."""
    forked: list[list[int]] = field(default_factory=lambda: [[1]])
    """Sources of each forked child."""
    spawned: list[list[int]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    failpoint: str = ""
    aim: str = "workers"
    """Whose fail points are armed: producers, workers or all."""
    seed: int = 1
    burst: int = 20
    pause_sec: float = 0.004
    small_chars: int = 300
    big_chars: int = 20_000
    big_share: float = 0.01
    durable_share: float = 0.0
    """How many records are emitted with durable=True."""
    records: int = 0
    """How many records each source emits; 0: until it is told to stop."""
    critical_every: int = 0
    """Every nth record of a source is an error; 0: none."""
    age_sec: int = 0
    """How far in the past the producers' clocks are."""
    closes: bool = True
    close_timeout_sec: float = 60.0


class Ground:
    """One log directory with everything over it; a context manager that ends and removes all of it."""

    def __init__(self, home: Path, *, root_parent: str = "/dev/shm", ledger: Ledger | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.log_dir = Path(os.path.realpath(home)) / "logs"
        self.kill_log = home / "kills"
        self.fallback_dir = home / "fallback"
        self.root = Path(tempfile.mkdtemp(prefix="pipeline-crash-", dir=root_parent))
        self.ledger = ledger or Ledger.create()
        self.foreign: set[bytes] = set()
        self.has_lost_power = False
        """Whether what was not on the disk may be gone."""
        self.may_end_open = False
        """Whether somebody removed what would prove how a producer ended."""
        self.has_tampered = False
        """Whether the test changed what was stored, so that the manifests rightly say so."""
        self.moved_to: Path | None = None
        """Where files are moved that leave."""
        self.exits = {0, -signal.SIGKILL}
        """How an application may end."""
        self._errors = (home / "stderr").open("w+b")
        self._apps: list[subprocess.Popen[bytes]] = []
        self._critical_every = 0

    # What runs

    def start(self, plan: Plan, *, prefix: tuple[str, ...] = (), root: str = "") -> subprocess.Popen[bytes]:
        """Start the application; `root` is a runtime root of its own below the ground's."""
        self._critical_every = max(self._critical_every, plan.critical_every)
        given = asdict(plan) | {"ledger": self.ledger.path, "log_dir": str(self.log_dir)}
        app = subprocess.Popen(
            [*prefix, sys.executable, str(TESTS / "support" / "producers.py"), json.dumps(given)],
            env=self.env(root),
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            cwd="/",
        )
        self._apps.append(app)
        return app

    def env(self, root: str = "") -> dict[str, str]:
        """Return the environment of all that runs here: the test's, without anything of another pipeline."""
        env = dict(_ENVIRONMENT)
        env["PIPELINE_RUNTIME_ROOT"] = str(self.root / root)
        env["PIPELINE_FAILPOINT_LOG"] = str(self.kill_log)
        env["PIPELINE_FALLBACK_DIR"] = str(self.fallback_dir)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH", ""), str(TESTS)]))
        return env

    def pids(self, role: str = "") -> list[int]:
        """Return the living processes of this round, of one role or all."""
        for app in self._apps:
            app.poll()
        return sorted(pid for pid, found in self._found().items() if role in ("", found))

    def kill(self, role: str, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to every process of a role ("" is all of them)."""
        pids = self.pids(role)
        for pid in pids:
            _send(pid, number)
        return pids

    def kill_children(self) -> None:
        """Kill the producers that are not the main process."""
        mains = {app.pid for app in self._apps}
        for pid in {*self.pids("app"), *self.pids("spawned")} - mains:
            _send(pid, signal.SIGKILL)

    def one(self, role: str) -> int:
        """Return the process of a role, once there is one."""
        if role == "supervisor":  # several may have been started at once; one stays
            path = self.runtime_dir() / "supervisor.json"
            self.until(path.exists, "a supervisor")
            return json.loads(path.read_bytes())["pid"]
        return self.until(lambda: self.pids(role), f"a {role}")[0]

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait for something of this round; a failure tells everything that is known."""

        def holds_or_failed() -> Any:
            codes = [app.poll() for app in self._apps]
            assert set(codes) <= {None, *self.exits}, f"an application failed: {codes}"
            return holds()

        try:
            return until(holds_or_failed, what, HANG_SEC)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from None

    # What happened

    def all_kills(self) -> list[str]:
        """Return the fail points that have killed, in order."""
        return self.kill_log.read_text().split() if self.kill_log.exists() else []

    def kills(self, name: str) -> int:
        """Return how often a fail point has killed."""
        return self.all_kills().count(name)

    def until_killed(self, name: str, times: int = 1) -> None:
        """Wait until a fail point has killed so often."""
        self.until(lambda: self.kills(name) >= times, f"{times} kills at {name}")

    def until_accepted(self, count: int) -> None:
        """Wait until so many records of this round are accepted."""
        self.until(lambda: self.begun() >= count, f"{count} records")

    def until_stored(self, count: int = 1) -> None:
        """Wait until so many lines are in the files."""
        self.until(lambda: self.lines() >= count, f"{count} stored lines")

    def begun(self) -> int:
        """Return how many records were begun by all sources."""
        return sum(row.begun for row in self.ledger.rows())

    def lines(self) -> int:
        """Return how many lines are in the files."""
        if not self.log_dir.is_dir():
            return 0
        return sum(content(path).count(b"\n") for path in oracle.files_in(self.log_dir))

    def ends(self) -> list[dict[str, Any]]:
        """Return the records that tell of the end of a producer of the application."""
        lines = [line for path in oracle.files_in(self.log_dir) for line in content(path).split(b"\n")]
        records = [json.loads(line) for line in lines if b'"last_action_number"' in line]
        return [record for record in records if record.get("role") == "app"]

    def runtime_dir(self) -> Path:
        """Return the runtime directory, once it is there."""
        found = self.until(lambda: sorted(self.root.glob("pipeline-*/*/home.json")), "a runtime directory")
        return found[0].parent

    def day_file(self) -> Path:
        """Return the newest day file, once there is one."""
        found = self.until(lambda: sorted(self.log_dir.glob("*.jsonl")), "a day file")
        return max(found, key=lambda path: path.stat().st_mtime_ns)

    def told(self) -> str:
        """Return what helps to understand a failure: processes, kills, workers.log, stderr."""
        parts = [f"processes {self._found()}"]
        for path in (self.kill_log, self.log_dir / ".pipeline" / "workers.log", Path(self._errors.name)):
            text = path.read_text(errors="replace")[-3000:] if path.exists() else ""
            parts.append(f"--- {path.name}\n{text}")
        return "\n".join(parts)

    # How it ends

    def finish(
        self, *, starts: bool = True, records: int = 25, settings: dict[str, Any] | None = None
    ) -> None:
        """Stop the producers, start once more, and wait until all is drained and everybody gone."""
        self.end_producers()
        if not starts:
            self.until_alone()
            return
        self.ledger.resume()
        plan = Plan(main=[SUCCESSOR], forked=[], records=records, settings=settings or {}, pause_sec=0.0)
        successor = self.start(plan)
        code = successor.wait(HANG_SEC)
        assert code == 0, f"the application after the crash ended with {code}; {self.told()}"
        self.until_alone()

    def end_producers(self) -> None:
        """Stop the sources, and wait until all processes with sources are gone."""
        self.ledger.stop()
        self.until(lambda: not [*self.pids("app"), *self.pids("spawned")], "the end of the producers")

    def until_alone(self) -> None:
        """Wait until no process of this round is left."""
        self.until(lambda: not self.pids(), "the end of all processes")

    def judge(self) -> oracle.Verdict:
        """Compare files and ledger, and look for what was left behind."""
        rows = self.ledger.rows()
        verdict = oracle.judge(
            self.log_dir,
            rows,
            self.foreign,
            moved_to=self.moved_to,
            after_power_loss=self.has_lost_power,
            critical_every=self._critical_every,
        )
        if not self.foreign and not self._renamed():
            report = verify(self.log_dir)
            of_manifests = {"digests", "chain", "catalog"} if self.has_tampered else set()
            found = [f.sentence for f in report.findings if f.check not in of_manifests]
            if found:
                verdict.blame("verify found", found)
            if report.open and not self.may_end_open:
                verdict.blame("verify cannot prove the end of", map(self._last_record_of, report.open))
        self._balance(verdict)
        verdict.faults += self._leftovers()
        return verdict

    def check(self, *, unacknowledged_max: int = 0) -> oracle.Verdict:
        """Judge, and fail with everything that is known."""
        verdict = self.judge()
        assert not verdict.faults, "\n".join([*verdict.faults, self.told()])
        assert verdict.accepted > 0, f"nothing was accepted; {self.told()}"
        assert verdict.unacknowledged <= unacknowledged_max, f"{verdict}; {self.told()}"
        return verdict

    def close(self) -> None:
        """End whatever still runs, and take everything away."""
        while self.pids():
            for pid in self.pids():
                _send(pid, signal.SIGKILL)
        for app in self._apps:
            app.wait(HANG_SEC)
        shutil.rmtree(self.root, ignore_errors=True)
        self._errors.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self) -> dict[int, str]:
        mark = b"PIPELINE_RUNTIME_ROOT=" + os.fsencode(self.root)
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes():
                    found[int(name)] = _role_of(Path(f"/proc/{name}/cmdline").read_bytes())
            except OSError:
                continue
        return found

    def _balance(self, verdict: oracle.Verdict) -> None:
        """Blame what `pipeline account` finds; files that somebody renamed it does not know."""
        if self._renamed():
            return
        faulty = account(self.log_dir).faulty
        if self.may_end_open:
            faulty = [one for one in faulty if one.emitted is not None]
        if faulty:
            verdict.blame("account does not balance", [one.sentence for one in faulty])

    def _renamed(self) -> list[str]:
        names = [path.name for path in oracle.files_in(self.log_dir)]
        return [name for name in names if not name.endswith((".jsonl", ".jsonl.zst", ".jsonl.gz"))]

    def _may_stay(self, draft: Path) -> bool:
        """Whether a power cut may leave it until there is another checkpoint."""
        return self.has_lost_power and draft.name == ".checkpoint.json.new"

    def _last_record_of(self, producer: str) -> str:
        lines = [
            line for path in oracle.files_in(self.log_dir) for line in content(path).decode().split("\n")
        ]
        return [line[:200] for line in lines if f'"producer":"{producer}"' in line][-1]

    def _leftovers(self) -> list[str]:
        """Return what a finished pipeline leaves behind and should not."""
        left = [str(path) for path in self.root.rglob("*")]
        belongings = self.log_dir / ".pipeline"
        left += [str(path) for kind in ("seg", "taken") for path in belongings.rglob(f"*.{kind}")]
        left += [str(path) for path in (belongings / "lanes").glob("*/*")]
        left += [str(path) for path in belongings.rglob(".*") if path.is_file() and not self._may_stay(path)]
        left += [f"a lock on {path}" for path in belongings.glob("*.lock") if _is_locked(path)]
        return [f"left behind: {left}"] if left else []


def _role_of(command: bytes) -> str:
    words = command.replace(b"/", b" ").replace(b"(", b" ").replace(b"\0", b" ").split()
    if command.startswith(b"/bin/sh"):
        return "shell"
    if b"workers" not in words and {b"supervisor", b"writer", b"keeper"} & set(words):
        return "other"
    return next((role for word, role in _ROLES.items() if word in words), "other")


def _is_locked(path: Path) -> bool:
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
