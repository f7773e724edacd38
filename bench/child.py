"""One measurement in one fresh process, so that nobody inherits another's heap, threads or handlers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TIMEOUT = 300.0

Outcome = dict[str, Any]
"""The numbers of one run, or ``{"skipped": sentence}``, or ``{"failed": sentence}``."""


def measure(name: str, subject: str, options: dict[str, Any], base: Path) -> Outcome:
    """Run one measurement in a process (and session) of its own and remove what it left."""
    home = Path(tempfile.mkdtemp(prefix=f"{name}-{subject}-", dir=base))
    logs = home / "logs"
    logs.mkdir()
    job = json.dumps({"name": name, "subject": subject, "options": options, "home": str(home)})
    with (home / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.child", job],
            stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        status = _wait(process)
    outcome = _outcome(home, status)
    _remove(home)
    return outcome


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    """Wait, then end whatever of its session outlived it, such as the writer of an app that was killed."""
    try:
        status = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        status = None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    return status


def _remove(home: Path) -> None:
    """Workers may still be closing their files; what cannot be removed now is left to the run's own end."""
    shutil.rmtree(home, ignore_errors=True)
    if home.exists():
        time.sleep(0.5)
        shutil.rmtree(home, ignore_errors=True)


def _outcome(home: Path, status: int | None) -> Outcome:
    result = home / "result.json"
    if result.exists():
        return dict(json.loads(result.read_text()))
    if status is None:
        return {"failed": f"no result after {TIMEOUT:.0f} s"}
    lines = (home / "stderr").read_text(errors="replace").strip().splitlines()
    return {"failed": lines[-1] if lines else f"ended with status {status}"}


def _main(name: str, subject: str, options: dict[str, Any], home: str) -> None:
    from bench.measures import MEASURES
    from bench.subjects import create

    directory = Path(home)
    outcome: Outcome
    try:
        outcome = MEASURES[name](create(subject), directory / "logs", **options)
    except ImportError as error:
        outcome = {"skipped": f"{error}"}
    temporary = directory / "result.tmp"
    temporary.write_text(json.dumps(outcome))
    temporary.replace(directory / "result.json")


if __name__ == "__main__":
    _main(**json.loads(sys.argv[1]))
