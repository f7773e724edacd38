"""The tables: absolute numbers, the ratio to ours, and the goals with met or missed."""

from collections.abc import Iterable, Sequence

from bench.child import Outcome
from bench.goals import GOALS, Verdict
from bench.metrics import METRICS, Metric
from bench.plan import Step

REFERENCE = "ours"


def table(step: Step, outcomes: dict[str, Outcome]) -> str:
    """One step: a row a subject; a ratio stands behind its number as ``x ours``."""
    metrics = METRICS[step.measure]
    header = [""] + [cell for metric in metrics for cell in _heads(metric)]
    rows, notes = [], []
    for subject, outcome in outcomes.items():
        if reason := outcome.get("failed"):
            notes.append(f"  {subject} FAILED: {reason}")
            continue
        reference = outcomes.get(REFERENCE, {})
        rows.append([subject] + [cell for metric in metrics for cell in _cells(metric, outcome, reference)])
    body = _aligned([header, *rows]) if rows else []
    return "\n".join([f"\n{step.title}  [{step.name}]", *body, *notes])


def goals(results: dict[str, dict[str, Outcome]]) -> str:
    """Each goal of design section 5 that this run has measured."""
    rows = [["goal", "limit", "measured", ""]]
    for goal in GOALS:
        verdict = goal.judge(results)
        if verdict is not None:
            rows.append([goal.text, goal.limit_text(), _number(verdict.value, 3), _word(verdict)])
    if len(rows) == 1:
        return "\nNo goal of ours was measured in this run."
    return "\n".join(["\ngoals", *_aligned(rows)])


def _word(verdict: Verdict) -> str:
    return "met" if verdict.met else "MISSED"


def _heads(metric: Metric) -> Iterable[str]:
    return (metric.label, "x ours") if metric.ratio else (metric.label,)


def _cells(metric: Metric, outcome: Outcome, reference: Outcome) -> Iterable[str]:
    value = outcome.get(metric.key)
    yield "-" if value is None else metric.text(value)
    if metric.ratio:
        ours = reference.get(metric.key)
        yield f"{value / ours:.2f}" if ours and value is not None else "-"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Put the first column to the left, numbers to the right, a rule below the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  "
        + "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    return [lines[0], "  " + "─" * (len(lines[0]) - 2), *lines[1:]]
