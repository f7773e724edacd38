"""
``python -m bench.query``: the same questions to this library and to others, over the same day.

Ours, DuckDB and polars are asked in a Python of their own, and give the time of the question alone and the
memory they needed; for commands the time from start to end counts, and their memory is shown as no less than
the bench itself has (some 30 MiB). In each round everybody is asked once,
and medians are shown; `x` and `x cpu` are time and CPU time divided by those of the row `ours`. Goals are
judged by CPU time: it says the same on a machine that does other things. All have to give the same answer:
where one does not, that is said, and the exit status is 1.
"""

import argparse
import platform
import statistics
import sys
from itertools import chain
from pathlib import Path

from bench.procs import processor
from bench.query.asking import Asked, CannotAnswer, ask, forget, is_same, remembered
from bench.query.data import Data, made, real
from bench.query.questions import QUESTIONS, Subject, is_installed, questions

GOALS = {"selective": ("grep -c", 1.3), "aggregate": ("duckdb", 1.2)}
"""What ours may take at most, in times of another row."""
LOOK_UPS = ("by session", "by trace", "5 minutes")
LOOK_UP_GAIN = 10


def main() -> int:
    """Make the day, ask, print a table per question."""
    parser = argparse.ArgumentParser("python -m bench.query", description=__doc__)
    parser.add_argument("--mb", type=int, default=300, help="size of the day of made records")
    parser.add_argument("--git", type=Path, metavar="PATH", help="ask about the history of this repository")
    parser.add_argument("--commits", type=int, default=0, help="of it, the newest ones; 0 means all")
    parser.add_argument("--only", nargs="*", default=QUESTIONS, choices=QUESTIONS, metavar="QUESTION")
    parser.add_argument("--beside", nargs="*", metavar="PEER", help="such as: 'grep -c' jq; all if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp/pipeline-bench-query"))
    parser.add_argument("--cold", action="store_true", help="drop the files from the page cache each time")
    options = parser.parse_args()
    data = real(options.dir, options.git, options.commits) if options.git else made(options.dir, options.mb)
    cold = [data.day.parent, data.plain] if options.cold else []
    print(introduction(data, options), flush=True)
    answers_differ = False
    for title in options.only:
        chosen = {
            name: subject
            for name, subject in questions(data)[title].items()
            if options.beside is None or name.startswith("ours") or name in options.beside
        }
        found, notes = asked_in_turns(chosen, options.rounds, cold)
        wrong = differing(found)
        answers_differ |= bool(wrong)
        print("\n".join(chain(table(title, found), notes, wrong)), flush=True)
    return int(answers_differ)


def introduction(data: Data, options: argparse.Namespace) -> str:
    """Say what is measured, and on what."""
    lines = [f"{data.about}, {data.day.stat().st_size / 1e6:,.0f} MB"]
    if options.cold:
        for place in (data.day.parent, data.plain):
            forget(str(place))
        lines.append(
            "cold: before each question the files are synced and dropped from the page cache"
            f" (in it after that: {remembered(data.day)}); what the disk itself remembers is not known"
        )
    else:
        lines.append("warm: the files are in the page cache")
    lines.append(f"{processor()}, Python {platform.python_version()}; median of {options.rounds}, in turns")
    return "\n".join(lines)


def asked_in_turns(
    subjects: dict[str, Subject], rounds: int, cold: list[Path]
) -> tuple[dict[str, list[Asked]], list[str]]:
    """Ask everybody once a round; return what came out, and a line for each who could not answer."""
    found: dict[str, list[Asked]] = {name: [] for name in subjects if is_installed(subjects[name])}
    notes = [f"  {name:14} is not installed" for name in subjects if name not in found]
    for _ in range(rounds):
        for name in list(found):
            try:
                found[name].append(ask(subjects[name], cold))
            except CannotAnswer as error:
                del found[name]
                notes.append(f"  {name:14} cannot answer: {error}")
    return found, notes


def differing(found: dict[str, list[Asked]]) -> list[str]:
    """Say who answers otherwise than ours."""
    ours = found["ours"][0].answer
    return [
        f"  ANSWERS DIFFER: ours {str(ours)[:200]}, {name} {str(one.answer)[:200]}"
        for name, times in found.items()
        for one in times
        if not is_same(ours, one.answer)
    ]


def table(title: str, found: dict[str, list[Asked]]) -> list[str]:
    """Return the rows of a question, and whether its goal is met."""
    medians = {
        name: [statistics.median(column) for column in zip(*map(Asked.measured, times), strict=True)]
        for name, times in found.items()
    }
    ours_took, ours_cpu, _ = medians["ours"]
    lines = [f"\n{title:16} {'ms':>10} {'cpu ms':>9} {'MiB':>6} {'x':>8} {'x cpu':>8}"]
    for name, (took, cpu, peak) in medians.items():
        ratios = f"{took / ours_took:8.2f} {cpu / ours_cpu:8.2f}"
        lines.append(f"  {name:14} {took * 1e3:10.1f} {cpu * 1e3:9.1f} {peak:6.0f} {ratios}")
    if title in GOALS and GOALS[title][0] in medians:
        peer, times = GOALS[title]
        ratio = ours_cpu / medians[peer][1]
        lines.append(f"  goal: at most {times} x {peer}: {ratio:.2f}, {_judged(ratio <= times)}")
    if title in LOOK_UPS and "grep -c" in medians:
        gain = medians["grep -c"][1] / ours_cpu
        lines.append(
            f"  goal: {LOOK_UP_GAIN} x faster than grep: {gain:.1f}, {_judged(gain >= LOOK_UP_GAIN)}"
        )
    return lines


def _judged(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
