"""What travels between machines: ours divided by a peer's number of the same run; two runs compared."""

from bench.child import Outcome
from bench.metrics import METRICS, Metric
from bench.ours import OURS

Ratios = dict[str, float]
"""``"step metric ours/peer" -> ratio``."""


def of(results: dict[str, dict[str, Outcome]]) -> Ratios:
    """Every stable ratio that this run has both sides of; what is a ratio already stands for itself."""
    found: Ratios = {}
    for step, outcomes in results.items():
        for metric in METRICS[_measure(step)]:
            if metric.stable:
                found |= _of_metric(step, metric, outcomes)
    return found


def _of_metric(step: str, metric: Metric, outcomes: dict[str, Outcome]) -> Ratios:
    found: Ratios = {}
    for subject in OURS.keys() & outcomes.keys():
        ours = outcomes[subject].get(metric.key)
        if ours is None:
            continue
        if not metric.ratio:
            found[f"{step} {metric.key} {subject}"] = round(ours, 3)
            continue
        for peer, outcome in outcomes.items():
            if peer not in OURS and outcome.get(metric.key):
                found[f"{step} {metric.key} {subject}/{peer}"] = float(f"{ours / outcome[metric.key]:.3g}")
    return found


def compare(now: Ratios, baseline: Ratios, tolerance: float) -> tuple[str, int]:
    """Each ratio beside the baseline's, and how many are worse by more than the tolerance."""
    lines, worse = [f"\ncompared with the baseline, tolerance {tolerance:.0%}"], 0
    for key in sorted(now.keys() & baseline.keys()):
        change = _worsening(key, now[key], baseline[key])
        is_worse = change > tolerance
        worse += is_worse
        word = "WORSE" if is_worse else "better" if change < -tolerance else ""
        lines.append(f"  {key:<55} {baseline[key]:>9.3f} → {now[key]:>9.3f}  {word}")
    absent = len(baseline.keys() - now.keys())
    lines.append(
        f"  {worse} worse of {len(lines) - 1}; {absent} of the baseline were not measured in this run"
    )
    return "\n".join(lines), worse


def _worsening(key: str, now: float, before: float) -> float:
    """Tell by which share the ratio got worse: 0.3 is 30 % more of what should be small."""
    step, metric_key, _ = key.split(" ", 2)
    metric = next(each for each in METRICS[_measure(step)] if each.key == metric_key)
    if not now or not before:
        return 0.0
    return now / before - 1 if metric.better == "lower" else before / now - 1


def _measure(step: str) -> str:
    """Find the measure of a step whose name may say more, as ``emit-busy`` or ``producers-8``."""
    return step.partition("-")[0]
