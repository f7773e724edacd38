"""
``python -m bench.query``: the same questions to this library and to others, over the same day.

Ours, DuckDB and polars are asked in a Python of their own, and give the time of the question alone and the
memory they needed; for commands the time from start to end counts. Each is asked several times, and
the median is shown; `x` is the CPU time divided by that of the row `ours`, and goals are judged by it, too:
it says the same on a machine that does other things.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

from bench.query.generate import DAY, write_day

IN_PYTHON = """
import json, resource, sys, time
{setup}
begun, cpu = time.perf_counter(), time.process_time()
answer = {question}
took, cpu = time.perf_counter() - begun, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([took, cpu, peak, str(answer)[:60]]))
"""
ENGINE = """
from pipeline import LogQueryEngine
engine = LogQueryEngine({place!r})
engine.limit(1).execute()
engine.limit(1).count()"""
AGGREGATE = "SELECT action_type, count(*), avg(duration_ms) FROM {table} GROUP BY 1 ORDER BY 1"
GOALS = {"selective": ("grep -c", 1.3), "aggregate": ("duckdb", 1.2)}
"""What ours may take at most, in times of another row."""
LOOK_UPS = ("by session", "by trace", "5 minutes")
LOOK_UP_GAIN = 10


def main() -> int:
    """Make the day, ask, print a table per question."""
    parser = argparse.ArgumentParser("python -m bench.query", description=__doc__)
    parser.add_argument("--mb", type=int, default=300, help="size of the day")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="QUESTION", help="such as: aggregate 'tail 50'"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/pipeline-bench-query"))
    parser.add_argument("--cold", action="store_true", help="drop the page cache before each question (root)")
    options = parser.parse_args()
    day = write_day(options.dir / f"{options.mb}", options.mb)
    print(
        f"{day.stat().st_size / 1e6:.0f} MB, {'cold' if options.cold else 'warm'}, median of {options.rounds}"
    )
    for title, subjects in questions(day).items():
        if options.only and title not in options.only:
            continue
        print(table(title, {name: asked(subject, options) for name, subject in subjects.items()}), flush=True)
    return 0


def questions(day: Path) -> dict[str, dict[str, object]]:
    """Return by question the subjects that are installed: argument vectors, or (setup, expression)."""
    with day.open() as file:
        sample = json.loads(list(islice(file, 20))[-1])
    session, trace = sample["session_id"], sample["trace_id"]
    plain = day.parent / "without-manifest"
    plain.mkdir(exist_ok=True)
    if not (plain / day.name).exists():
        (plain / day.name).hardlink_to(day)
    ours, indexed = ENGINE.format(place=str(plain)), ENGINE.format(place=str(day.parent))
    indexed += (
        "\nimport duckdb\nfrom pipeline.query.cuts import Cuts\nfrom pipeline.query.pruning import refresh"
        "\nfrom pipeline.query.sources import sources\nroot = engine.log_dir"
        "\nfor source in sources(root, '', '', Cuts(root)): refresh(root, source)"
    )
    session_field = f'"session_id":"{session}"'
    found = {
        "selective": {
            "ours": (ours, f"engine.filter(session_id={session!r}).count()"),
            **commands(day, session_field, f".session_id=={json.dumps(session)}"),
            **frames(day, f"session_id = '{session}'"),
        },
        "errors": {
            "ours": (ours, "engine.filter(status='error').count()"),
            "grep -c": ["grep", "-cE", '"status":"error"|_error","action_number"', str(day)],
            "jq": ["jq", "-c", 'select(.status=="error")', str(day)],
            **frames(day, "status = 'error'"),
        },
        "aggregate": {
            "ours": (indexed, f"engine.sql({AGGREGATE.format(table='records')!r}).fetchall()"),
            "ours, group_by": (indexed, "engine.group_by('action_type')"),
            **aggregates(day),
        },
        "by session": {
            "ours": (indexed, f"engine.filter(session_id={session!r}).count()"),
            "grep -c": ["grep", "-c", session_field, str(day)],
        },
        "by trace": {
            "ours": (indexed, f"engine.filter(trace_id={trace!r}).count()"),
            "grep -c": ["grep", "-c", f'"trace_id":"{trace}"', str(day)],
        },
        "5 minutes": {
            "ours": (indexed, f"engine.filter(since='{DAY}T14:30', until='{DAY}T14:35').count()"),
            "grep -c": ["grep", "-cE", f'^."timestamp":"{DAY}T14:3[0-4]', str(day)],
        },
        "tail 50": {
            "ours": (ours, "len(engine.tail(50).execute())"),
            "tail -n 50": ["tail", "-n", "50", str(day)],
        },
        "every record": {
            "ours": (ours, "engine.count()"),
            "ours, sorted": (ours, "sum(1 for _ in engine.order_by_time().iter())"),
        },
    }
    return {
        title: {
            name: one for name, one in subjects.items() if not isinstance(one, list) or shutil.which(one[0])
        }
        for title, subjects in found.items()
    }


def commands(day: Path, text: str, program: str) -> dict[str, object]:
    """Return what others ask on the command line."""
    return {
        "grep -c": ["grep", "-c", text, str(day)],
        "rg -c": ["rg", "-c", "-F", text, str(day)],
        "jq": ["jq", "-c", f"select({program})", str(day)],
        "lnav": ["lnav", "-n", "-c", f":filter-in {text}", str(day)],
    }


def frames(day: Path, condition: str) -> dict[str, object]:
    """Return what libraries of tables are asked."""
    found: dict[str, object] = {}
    if has("duckdb"):
        question = f"SELECT count(*) FROM read_ndjson('{day}') WHERE {condition}"
        found["duckdb"] = ("import duckdb", f"duckdb.sql({question!r}).fetchall()")
    if has("polars"):
        field, _, value = condition.partition(" = ")
        scan = f"pl.scan_ndjson({str(day)!r}, infer_schema_length=20000).filter(pl.col({field!r}) == {value})"
        found["polars"] = ("import polars as pl", f"{scan}.select(pl.len()).collect().item()")
    return found


def aggregates(day: Path) -> dict[str, object]:
    """Return the aggregate by others."""
    found: dict[str, object] = {}
    if has("duckdb"):
        select = AGGREGATE.format(table=f"read_ndjson('{day}')")
        found["duckdb"] = ("import duckdb", f"duckdb.sql({select!r}).fetchall()")
    if has("polars"):
        scan = f"pl.scan_ndjson({str(day)!r}, infer_schema_length=20000).group_by('action_type')"
        found["polars"] = ("import polars as pl", f"{scan}.agg(pl.len(), pl.mean('duration_ms')).collect()")
    return found


def has(name: str) -> bool:
    """Tell whether a module is installed."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def asked(subject: object, options: argparse.Namespace) -> list[list[float]]:
    """Ask a subject several times: (seconds, seconds of CPU, MiB)."""
    return [ask(subject, is_cold=options.cold) for _ in range(options.rounds)]


def ask(subject: object, *, is_cold: bool) -> list[float]:
    """Ask once."""
    if is_cold:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("1")
    if isinstance(subject, list):
        begun = time.perf_counter()
        # Not to /dev/null: grep sees that and stops at the first hit.
        process = subprocess.Popen(subject, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while process.stdout.read(1 << 20):
            pass
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        return [time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
    setup, question = subject
    program = IN_PYTHON.format(setup=setup, question=question)
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout
    return json.loads(output.splitlines()[-1])[:3]  # DuckDB shows its progress before it


def table(title: str, found: dict[str, list[list[float]]]) -> str:
    """Return the rows of a question, and whether its goal is met."""
    medians = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in found.items()
    }
    ours = medians["ours"][1]
    lines = [f"\n{title:16} {'ms':>10} {'cpu ms':>9} {'MiB':>6} {'x':>7}"]
    for name, (took, cpu, peak) in medians.items():
        lines.append(f"  {name:14} {took * 1e3:10.1f} {cpu * 1e3:9.1f} {peak:6.0f} {cpu / ours:7.2f}")
    if title in GOALS and GOALS[title][0] in medians:
        peer, times = GOALS[title]
        ratio = ours / medians[peer][1]
        lines.append(
            f"  goal: at most {times} x {peer}: {ratio:.2f}, {'met' if ratio <= times else 'MISSED'}"
        )
    if title in LOOK_UPS:
        gain = medians["grep -c"][1] / ours
        is_met = "met" if gain >= LOOK_UP_GAIN else "MISSED"
        lines.append(f"  goal: {LOOK_UP_GAIN} x faster than grep: {gain:.1f}, {is_met}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
