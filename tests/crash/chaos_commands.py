"""Commands that a person runs in the middle of a chaos soak, and what they may answer."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from support.commands import PIPELINE
from support.ground import HANG_SEC

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.ground import Ground

_ARGUMENTS = {
    "verify": ["verify", "--json"],
    "status": ["status", "--json"],
    "replay": ["replay-fallback", "--json"],
}
_SANE = {"verify": {0}, "status": {0, 1, 3}, "replay": {0, 1}}
"""Exit codes while the log directory can be read; `status` is 3 between two supervisors."""
_SANE_WHILE_AWAY = {"verify": {0, 1, 2}, "status": {0, 1, 3, 4}, "replay": {0, 1, 4}}
_HANG_SEC = 120.0


def run(ground: Ground, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, and return its answer in JSON."""
    return subprocess.run(
        [*PIPELINE, *command, "--json", "--dir", str(ground.log_dir)],
        env=ground.env(),
        capture_output=True,
        check=False,
        timeout=HANG_SEC,
    )


@dataclass
class _Run:
    """One command that runs."""

    name: str
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    err: IO[bytes]
    since: float
    started_at: float
    is_away: bool
    """Whether the log directory was away at any moment of it."""
    has_store: bool = True
    """Whether the fallback store was well all the time: without room beside it SQLite cannot read it."""


class Commands:
    """All that were run; `faults` tells of those that answered what they must not."""

    def __init__(self, ground: Ground, found: Callable[[], object]) -> None:
        """`found` is called when one answered what it must not."""
        self._found = found
        self.codes: Counter[str] = Counter()
        self.faults: list[str] = []
        self._ground = ground
        self._running: list[_Run] = []

    def start(self, name: str) -> None:
        """Start one, and leave it running."""
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed by _judge
        process = subprocess.Popen(
            [*PIPELINE, *_ARGUMENTS[name], "--dir", str(self._ground.log_dir)],
            env=self._ground.env(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd="/",
        )
        self._running.append(_Run(name, process, out, err, time.monotonic(), time.time(), is_away=False))

    def poll(self, *, is_away: bool, has_store: bool = True) -> None:
        """Judge those that have ended."""
        for run in list(self._running):
            run.is_away |= is_away
            run.has_store &= has_store
            code = run.process.poll()
            if code is None and time.monotonic() - run.since > _HANG_SEC:
                run.process.kill()
                code = run.process.wait()
                self.faults.append(f"{run.name} hung for {_HANG_SEC:g} s")
            if code is not None:
                self._running.remove(run)
                self._judge(run, code)

    def finish(self) -> None:
        """Wait for all."""
        while self._running:
            self.poll(is_away=False)
            time.sleep(0.02)

    def close(self) -> None:
        """End those that still run."""
        for run in self._running:
            run.process.kill()
            run.process.wait()
            run.out.close()
            run.err.close()

    def _judge(self, run: _Run, code: int) -> None:
        with run.out, run.err:
            run.out.seek(0)
            run.err.seek(0)
            out, err = run.out.read().decode(), run.err.read().decode()
        self.codes[f"{run.name}={code}"] += 1
        if code == -signal.SIGKILL:  # the soak kills everything now and then
            return
        sane = (_SANE_WHILE_AWAY if run.is_away else _SANE)[run.name]
        is_excused = run.name == "verify" and not run.has_store and _is_of_store(out)
        if (code not in sane and not is_excused) or "Traceback" in err:
            since = time.strftime("%H:%M:%S", time.gmtime(run.started_at))
            said = f"{self._shortened(run.name, out)} {err[-2000:]}"
            self.faults.append(f"{run.name} of {since} ended with {code}: {said}")
            self._found()

    @staticmethod
    def _shortened(name: str, out: str) -> str:
        if name != "verify":
            return out[-2000:]
        try:
            report = json.loads(out)
        except ValueError:
            return out[-2000:]
        return json.dumps({"counts": report.get("counts"), "findings": report.get("findings", [])[:10]})


def _is_of_store(out: str) -> bool:
    """Whether all that `verify` found is a fallback store that cannot be read."""
    try:
        findings = json.loads(out)["findings"]
    except (ValueError, KeyError):
        return False
    return {(one["kind"], one["check"]) for one in findings} == {("unreadable", "fallback")}
