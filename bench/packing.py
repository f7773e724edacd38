"""
``python -m bench.packing``: how small days become, how fast, and what that costs those who emit meanwhile.

Two tables. The first packs a day with each codec: one of realistic records (bench/query/generate.py says how
they are distributed), and with `--git PATH` one of real ones (bench/query/history.py). For the second, the
keeper of a running pipeline packs thirty such days, while this process emits: bench/beside.py says how.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.beside import Neighbour, rounds, table
from bench.ours import Ours, end_workers
from bench.procs import processor
from bench.query.data import real
from bench.query.generate import write_day
from pipeline.keeping.codecs import codec_of
from pipeline.keeping.packing import Packing, pieces
from pipeline.paths import places_for

DAYS = 30
RIVAL = """
import sys, zstandard
data = open(sys.argv[1], "rb").read(32 << 20)
while True:
    zstandard.compress(data, 3)
"""
"""Does what the keeper does most, at the priority of everybody."""
DOCUMENTS = "5:1 to 10:1"
"""The ratio that the documents expect."""


def main() -> int:
    """Make the days, pack them, pack thirty beside a producer, print both tables."""
    parser = argparse.ArgumentParser("python -m bench.packing", description=__doc__)
    parser.add_argument("--mb", type=int, default=100, help="size of a day")
    parser.add_argument("--git", type=Path, metavar="PATH", help="pack the history of this repository, too")
    parser.add_argument(
        "--rounds", type=int, default=40, help="at most; it ends with the last of thirty days"
    )
    parser.add_argument("--only", choices=("codecs", "beside"))
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/pipeline-bench-packing"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nobody stays behind, held
    day = write_day(options.dir / f"{options.mb}", options.mb)
    print(f"{processor()}, Python {platform.python_version()}")
    if options.only != "beside":
        _codecs(day, "made records")
        if options.git:
            _codecs(real(options.dir, options.git).day, "real records, of a repository")
    if options.only != "codecs":
        _beside(day, options)
    return 0


def _codecs(day: Path, about: str) -> None:
    size = day.stat().st_size / 1e6
    print(f"\nA day of {size:.0f} MB of {about}; the documents expect {DOCUMENTS}")
    print(f"{'codec':8} {'ratio':>7} {'MB/s':>7} {'CPU s/GB':>9}   codec alone, MB/s")
    for compression in ("zstd", "gzip"):
        print(_codec_row(day, compression), flush=True)


def _codec_row(day: Path, compression: str) -> str:
    with tempfile.TemporaryDirectory(dir=day.parent.parent) as home:
        logs = _copies(day, Path(home) / "logs", [day.name.removesuffix(".jsonl")])
        run = Packing(places_for(logs), day.name, compression)
        began, cpu = time.perf_counter(), time.process_time()
        for _ in run.steps():
            pass
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    codec, began = codec_of(compression), time.perf_counter()
    with day.open("rb") as file:
        for piece in pieces(file.fileno()):
            codec.piece(piece)
    alone = time.perf_counter() - began
    megabytes = run.before / 1e6
    ratio = f"{run.before / run.after:.1f}:1"
    speed = f"{megabytes / took:7.0f} {cpu / megabytes * 1e3:9.1f}"
    return f"{compression:8} {ratio:>7} {speed}   {megabytes / alone:.0f}"


def _beside(day: Path, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.dir) as home:
        begin = datetime.now(UTC).date() - timedelta(days=DAYS + 10)
        logs = _copies(day, Path(home) / "logs", [str(begin + timedelta(days=n)) for n in range(DAYS)])
        os.sync()
        subject = Ours()
        subject.settings = Ours.settings | {"max_total_size_mb": 1 << 20, "retention_days": 0}
        subject.setup(logs)
        rival = subprocess.Popen([sys.executable, "-c", RIVAL, str(day)])
        neighbours = {"the keeper": Neighbour(_keeper(subject, logs)), "zstd, no nice": Neighbour(rival.pid)}
        try:
            found = rounds(subject, neighbours, options.rounds)
        finally:
            rival.kill()
            rival.wait()
            neighbours["the keeper"].release()
        packed = len(list(logs.glob("*.zst")))
        subject.close()
        end_workers(logs)
    print(f"\n{DAYS} such days packed while a process emits: {len(found)} rounds, {packed} packed meanwhile")
    for name, neighbour in neighbours.items():
        print(f"{name}: {neighbour.share:.0%} of a processor in its windows")
    print("times of those of the same round with nobody; in brackets where the median is with 95 %")
    print("\n".join(table(found)))


def _keeper(subject: Ours, logs: Path) -> int:
    """Wait until the keeper is at work, and return its pid."""
    while not _is_packing(logs):
        time.sleep(0.05)
    return subject.worker_pids()["keeper"]


def _is_packing(logs: Path) -> bool:
    """Tell whether a keeper is at work: on a busy machine its first file takes long."""
    return any(logs.glob("*.zst")) or any((logs / ".pipeline" / "packing").glob("*"))


def _copies(day: Path, logs: Path, days: list[str]) -> Path:
    """Return a directory with the day under these names, each with its manifest."""
    manifests = logs / ".pipeline" / "manifests"
    manifests.mkdir(parents=True)
    entries = day.parent / ".pipeline" / "manifests" / f"{day.name}.manifest"
    for name in days:
        shutil.copy(day, logs / f"{name}.jsonl")
        text = entries.read_text().replace(f'"{day.name}"', f'"{name}.jsonl"')
        (manifests / f"{name}.jsonl.manifest").write_text(text)
    return logs


if __name__ == "__main__":
    raise SystemExit(main())
