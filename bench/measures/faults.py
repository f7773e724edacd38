"""What is lost, and how long it takes, when something is killed or stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

from bench.measures.latency import percentiles
from bench.peer import Peer
from bench.procs import alive
from bench.record import STEADY_RATE, bytes_written, emit_many, emit_paced, settled_tally, tally
from bench.subjects import create


def killed(subject: Peer, directory: Path, *, count: int, quiet: float) -> dict[str, float]:
    """Count what never reaches the file when the app dies by SIGKILL right after the last of ``count`` calls.

    The app kills itself: its exit status proves that the last call had returned, and nothing ran in between.
    Whoever writes for it lives on, and is given until no byte has come for ``quiet`` seconds.

    Before that, in a directory of its own, it is given a record with three secrets, and told to finish: a
    peer masks when none of them can be read in its files.
    """
    masks = _masks(subject, directory / "secrets")
    job = json.dumps({"subject": subject.name, "directory": str(directory), "count": count})
    status = subprocess.run([sys.executable, "-m", "bench.measures.faults", job], check=False).returncode
    if status != -signal.SIGKILL:
        raise RuntimeError(f"the app ended with status {status}, not by its own SIGKILL")
    found = settled_tally(directory, quiet)
    lost = count - found.distinct
    return {"masks": masks, "survives": lost == 0, "lost": lost, "twice": found.lines - found.distinct}


def _masks(subject: Peer, directory: Path) -> bool:
    """Whether a secret under its name, one in a text and one in a header stay out of the files."""
    directory.mkdir()
    subject.setup(directory)
    key = "sk-ant-api03-" + "Zq7" * 10
    subject.call(
        "login", password="correct-horse", note=f"the key is {key}",
        headers={"Authorization": "Bearer 0a1b2c3d4e5f60718293"},
    )  # fmt: skip
    subject.finish()
    subject.close()
    written = b"".join(path.read_bytes() for path in directory.glob("*.jsonl"))
    if b"login" not in written:
        raise RuntimeError("the record with the secrets is in no file")
    return not any(secret in written for secret in (b"correct-horse", key.encode(), b"0a1b2c3d4e5f60718293"))


def _victim(subject: str, directory: str, count: int) -> None:
    peer = create(subject)
    peer.setup(Path(directory))
    emit_many(peer.call, count)
    os.kill(os.getpid(), signal.SIGKILL)


def stopped_writer(subject: Peer, directory: Path, *, seconds: float) -> dict[str, float]:
    """Emit at a steady rate while the writer is stopped by SIGSTOP: the caller's times, and any loss."""
    subject.setup(directory)
    emit_many(subject.call, STEADY_RATE)
    writer = subject.worker_pids()["writer"]
    samples = array("q")
    os.kill(writer, signal.SIGSTOP)
    try:
        emitted = emit_paced(subject.call, STEADY_RATE, seconds, samples, STEADY_RATE)
    finally:
        if alive(writer):
            os.kill(writer, signal.SIGCONT)
    continued = time.perf_counter()
    subject.finish()
    drained = time.perf_counter() - continued
    found = tally(directory)
    subject.close()
    return percentiles(samples) | {"drain_s": drained, "missing": STEADY_RATE + emitted - found.distinct}


def killed_writer(subject: Peer, directory: Path, *, pause: float) -> dict[str, float]:
    """Time how long after SIGKILL of the writer bytes are appended again while records come.

    One kill in the life of a pipeline: one that is killed again and again is waited for longer each time.
    """
    subject.setup(directory)
    emitted = 0
    stop = threading.Event()

    def produce() -> None:
        nonlocal emitted
        while not stop.is_set():
            emitted += emit_paced(subject.call, STEADY_RATE, 0.1, array("q"), emitted)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        time.sleep(pause)
        seconds = _kill_and_wait(subject.worker_pids()["writer"], directory)
    finally:
        stop.set()
        thread.join()
    subject.finish()
    found = tally(directory)
    subject.close()
    return {
        "back_s": seconds,
        "worst_s": seconds,
        "missing": emitted - found.distinct,
        "twice": found.lines - found.distinct,
    }


def _kill_and_wait(writer: int, directory: Path, timeout: float = 30.0) -> float:
    os.kill(writer, signal.SIGKILL)
    killed_at = time.perf_counter()
    while alive(writer):
        time.sleep(0.0005)
    size = bytes_written(directory)
    while bytes_written(directory) == size:
        if time.perf_counter() - killed_at > timeout:
            raise TimeoutError(f"nothing was appended for {timeout} s after the writer's death")
        time.sleep(0.002)
    return time.perf_counter() - killed_at


if __name__ == "__main__":
    _victim(**json.loads(sys.argv[1]))
