"""
``python -m bench.packing``: how small days become, how fast, and what that costs those who emit meanwhile.

Two tables. The first packs one day of realistic records (bench/query/generate.py says how they are
distributed) with each codec. For the second, thirty such days are packed by the keeper of a running
pipeline, while this process emits at a steady rate and in a burst; in turns with the same without a keeper.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.ours import Ours, end_workers
from bench.query.generate import DAY, write_day
from bench.record import STEADY_RATE, emit_many, emit_paced
from pipeline.keeping.codecs import codec_of
from pipeline.keeping.packing import Packing, pieces
from pipeline.paths import places_for

DAYS = 30
DOCUMENTS = "5:1 to 10:1"
"""The ratio that the documents expect."""


def main() -> int:
    """Make the day, pack it, pack thirty beside a producer, print both tables."""
    parser = argparse.ArgumentParser("python -m bench.packing", description=__doc__)
    parser.add_argument("--mb", type=int, default=100, help="size of a day")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of emitting in each turn")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/pipeline-bench-packing"))
    options = parser.parse_args()
    day = write_day(options.dir / f"{options.mb}", options.mb)
    print(f"A day of {day.stat().st_size / 1e6:.0f} MB; the documents expect {DOCUMENTS}\n")
    print(f"{'codec':8} {'ratio':>7} {'MB/s':>7} {'CPU s/GB':>9}   codec alone, MB/s")
    for compression in ("zstd", "gzip"):
        print(_codec_row(day, compression), flush=True)
    print(f"\n{DAYS} days packed while a process emits, median of {options.rounds} turns")
    print(f"{'':16} {'p50 µs':>8} {'p99 µs':>8} {'p99.9 µs':>9} {'burst/s':>9} {'drain s':>8} {'packed':>7}")
    turns = [
        (name, _turn(day, name, options)) for _ in range(options.rounds) for name in ("alone", "with keeper")
    ]
    for name in ("alone", "with keeper"):
        found = [row for its, row in turns if its == name]
        p50, p99, p999, burst, drain, packed = (
            statistics.median(column) for column in zip(*found, strict=True)
        )
        print(f"{name:16} {p50:8.2f} {p99:8.1f} {p999:9.1f} {burst:9,.0f} {drain:8.2f} {packed:7.0f}")
    return 0


def _codec_row(day: Path, compression: str) -> str:
    with tempfile.TemporaryDirectory(dir=day.parent.parent) as home:
        logs = _copies(day, Path(home) / "logs", [DAY])
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


def _turn(day: Path, name: str, options: argparse.Namespace) -> tuple[float, ...]:
    """Return p50, p99, p99.9 of emit() in µs, records/s of a burst, seconds to drain it, files packed."""
    with tempfile.TemporaryDirectory(dir=options.dir) as home:
        begin = datetime.now(UTC).date() - timedelta(days=DAYS + 10)
        days = [str(begin + timedelta(days=number)) for number in range(DAYS)]
        logs = _copies(day, Path(home) / "logs", days)
        subject = Ours()
        how = {"compression": "zstd" if name == "with keeper" else "none", "max_total_size_mb": 1 << 20}
        subject.settings = Ours.settings | how | {"retention_days": 0}
        subject.setup(logs)
        while name == "with keeper" and not _is_packing(logs):
            time.sleep(0.1)
        samples: array[int] = array("q")
        emit_paced(subject.call, STEADY_RATE, options.seconds, samples)
        began = time.perf_counter()
        emit_many(subject.call, 200_000)
        burst = 200_000 / (time.perf_counter() - began)
        began = time.perf_counter()
        subject.finish()
        drain = time.perf_counter() - began
        packed = len(list(logs.glob("*.zst")))
        subject.close()
        end_workers(logs)
    times = sorted(samples)
    places = (len(times) // 2, len(times) * 99 // 100, len(times) * 999 // 1000)
    return *(times[place] / 1e3 for place in places), burst, drain, packed


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
