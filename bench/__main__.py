"""``python -m bench``: measure, print, and where asked compare with the ratios of another run."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import plan, ratios, report
from bench.child import Outcome, measure
from bench.metrics import METRICS
from bench.subjects import SUBJECTS

Results = dict[str, dict[str, Outcome]]

EPILOG = """examples:
  python -m bench                                   everything, about twenty minutes
  python -m bench --quick                           a first look in under a minute
  python -m bench --only emit structlog ours        one measure, two subjects
  python -m bench --compare bench/baseline.json     exit status 1 where a ratio got worse
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps in turn, print each table as soon as it stands, then the goals and the comparison."""
    options = _parser().parse_args(arguments)
    steps = _chosen(list(plan.quick() if options.quick else plan.full()), options.only)
    print(_machine(options.dir), flush=True)
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.dir, ignore_cleanup_errors=True) as base:
        absent = _absent(steps, Path(base))
        for step in steps:
            subjects = [each for each in step.subjects if each not in absent]
            if not subjects:
                continue
            results[step.name] = _run(step, subjects, Path(base))
            print(report.table(step, results[step.name]), flush=True)
    print(report.goals(results), flush=True)
    if options.json:
        document = {"machine": _machine(options.dir), "quick": options.quick, "results": results}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.write_baseline:
        options.write_baseline.write_text(json.dumps(ratios.of(results), indent=1, sort_keys=True) + "\n")
    if not options.compare:
        return 0
    text, worse = ratios.compare(
        ratios.of(results), json.loads(options.compare.read_text()), options.tolerance
    )
    print(text)
    return 1 if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer calls, fewer peers, one repeat")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="only these measures or subjects"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="compare the ratios with those in FILE")
    parser.add_argument("--tolerance", type=float, default=0.3, help="how much worse is still the same (0.3)")
    parser.add_argument("--write-baseline", type=Path, metavar="FILE", help="write this run's ratios to FILE")
    parser.add_argument("--dir", type=Path, help="where the logs go; the default is the temporary directory")
    return parser


def _chosen(steps: list[plan.Step], names: list[str]) -> list[plan.Step]:
    measures = {step.name for step in steps} | {step.measure for step in steps}
    if unknown := set(names) - measures - set(SUBJECTS):
        raise SystemExit(
            f"unknown: {', '.join(sorted(unknown))}. Try: {', '.join([*sorted(measures), *SUBJECTS])}"
        )
    wanted, subjects = set(names) & measures, set(names) & set(SUBJECTS)
    return [
        replace(step, subjects=[each for each in step.subjects if not subjects or each in subjects])
        for step in steps
        if not wanted or {step.name, step.measure} & wanted
    ]


def _absent(steps: list[plan.Step], base: Path) -> set[str]:
    """Find who cannot be measured here, and print a sentence for each that says why."""
    wanted = [subject for subject in SUBJECTS if any(subject in step.subjects for step in steps)]
    reasons = {subject: measure("probe", subject, {}, base) for subject in wanted}
    absent = {subject: reason for subject, reason in reasons.items() if reason}
    for subject, reason in absent.items():
        print(f"  {subject} is skipped: {reason.get('skipped') or reason.get('failed')}", flush=True)
    return set(absent)


def _run(step: plan.Step, subjects: Sequence[str], base: Path) -> dict[str, Outcome]:
    """Everybody in turn, and that ``repeats`` times, so that a slow minute of the machine meets all alike."""
    runs: dict[str, list[Outcome]] = {subject: [] for subject in subjects}
    for _ in range(step.repeats):
        for subject, outcomes in runs.items():
            outcomes.append(measure(step.measure, subject, step.options_for(subject), base))
    return {subject: _folded(step.measure, outcomes) for subject, outcomes in runs.items()}


def _folded(name: str, outcomes: list[Outcome]) -> Outcome:
    """Fold the repeats; a failure among them is the answer, since a peer that sometimes fails has failed."""
    if failed := [each for each in outcomes if "failed" in each]:
        return failed[0]
    metrics = (metric for metric in METRICS[name] if metric.key in outcomes[0])
    return {metric.key: metric.of_repeats([each[metric.key] for each in outcomes]) for metric in metrics}


def _machine(directory: Path | None) -> str:
    where = directory or Path(tempfile.gettempdir())
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    inside: Iterable[list[str]] = (mount for mount in mounts if where.resolve().is_relative_to(mount[0]))
    filesystem = max(inside, key=lambda mount: len(mount[0]))[1]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · Python {platform.python_version()} · "
        f"{os.cpu_count()} CPUs · load {os.getloadavg()[0]:.1f} · logs on {filesystem}"
    )


if __name__ == "__main__":
    sys.exit(main())
