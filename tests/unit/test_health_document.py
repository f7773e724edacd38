"""
Health from facts.

Each reason by itself, the worst status of all, and the same as Prometheus text that parses.
"""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from pipeline.health import exposition
from pipeline.health.reasons import DEGRADED, FAILING, OK, REASONS, status_of
from pipeline.health.snapshot import Facts, WorkerView, compose, reasons
from pipeline.limits import MIB
from pipeline.queue.depth import Depth
from pipeline.settings import Settings

QUOTA = 100 * MIB
SAMPLE = re.compile(
    r'^(?P<name>[a-z_]+)(?:\{(?P<labels>[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*)\})?'
    r" (?P<value>-?[0-9.e+]+)$"
)


def facts(**changes: Any) -> Facts:
    """Return the facts of a pipeline that is well, with some changes."""
    well = Facts(
        settings=Settings(queue_max_mb=QUOTA / MIB, queue_size=1000, worker_memory_max_mb=100),
        writer=WorkerView("writer", 11, "running", 0.1, 0, 30 * MIB),
        supervisor=WorkerView("supervisor", 10, "running", 0.0, 0, 30 * MIB),
        depth=Depth(),
        said={
            "state": "writing",
            "counts": {"written": 5, "durable": 5, "bytes": 900, "batches": 2, "append_failures": 0},
            "dropped": {"queue_full": 2, "low_level": 1},
            "disk_free_bytes": 10_000 * MIB,
            "place": "memory",
        },
    )
    return replace(well, **changes)


def writer(**changes: Any) -> WorkerView:
    """Return a writer that is well, with some changes."""
    return replace(facts().writer, **changes)


def said(**changes: Any) -> dict[str, Any]:
    """Return what a writer says that is well, with some changes."""
    return facts().said | changes


CASES = [
    ("writer_down", {"writer": writer(state="down")}),
    ("writer_boot_failed", {"writer": writer(state="boot_failed")}),
    ("writer_not_responding", {"writer": writer(heartbeat_age_sec=2.1)}),
    ("writer_not_responding", {"writer": writer(heartbeat_age_sec=9.9)}),
    ("heartbeat_stale", {"writer": writer(heartbeat_age_sec=10.1)}),
    ("heartbeat_stale", {"writer": writer(state="stopped", heartbeat_age_sec=60.0)}),
    ("writer_stuck", {"stuck": [WorkerView("writer", 12, "stuck", kernel_state="D")]}),
    ("writer_restarted", {"writer": writer(crashed_age_sec=9.0)}),
    ("append_lock_taken", {"said": said(append_error="pid 7 holds it", append_lock_holder="pid 7")}),
    ("append_failing", {"said": said(append_error="[Errno 28] No space left on device")}),
    ("fallback_in_use", {"said": said(fallback={"rows": 1})}),
    ("fallback_failing", {"said": said(fallback={"rows": 0, "error": "full"})}),
    ("fallback_same_mount", {"said": said(fallback={"rows": 0, "is_same_mount": True})}),
    ("manifest_late", {"said": said(manifest_error="read-only")}),
    ("state_dir_unwritable", {"said": said(checkpoint_error="read-only")}),
    ("disk_nearly_full", {"said": said(disk_free_bytes=99 * MIB)}),
    ("queue_full", {"depth": Depth(memory_bytes=QUOTA - MIB)}),
    ("queue_full", {"depth": Depth(memory_bytes=QUOTA // 2, disk_bytes=QUOTA // 2)}),
    ("queue_pressed", {"depth": Depth(memory_bytes=81 * MIB)}),
    ("queue_deep", {"depth": Depth(records=801)}),
    ("records_dropped", {"said": said(dropped_age_sec=59.0)}),
    ("unknown_lane_version", {"depth": Depth(unknown_lanes=1)}),
    ("unknown_lane_version", {"said": said(unknown_lanes=1)}),
    ("memory_high", {"writer": writer(rss_bytes=81 * MIB)}),
    ("memory_high", {"supervisor": WorkerView("supervisor", 10, "running", 0.0, 0, 81 * MIB)}),
    ("settings_rejected", {"complaints": ["queue_size: no"]}),
    ("health_port_taken", {"is_port_taken": True}),
]


@pytest.mark.smoke
def test_a_pipeline_that_is_well_has_no_reason() -> None:
    """And says ok."""
    document = compose(facts())
    assert (document["status"], document["reasons"]) == (OK, [])


@pytest.mark.parametrize(
    ("code", "changes"), CASES, ids=[f"{code}-{number}" for number, (code, _) in enumerate(CASES)]
)
def test_each_fact_is_its_own_reason_and_no_other(code: str, changes: dict[str, Any]) -> None:
    """One thing is wrong, and one code says so, with the status that the list gives it."""
    document = compose(facts(**changes))
    assert document["reasons"] == [code]
    assert document["status"] == REASONS[code].status


@pytest.mark.parametrize(
    "changes",
    [
        {"writer": writer(heartbeat_age_sec=1.9)},
        {"writer": writer(state="down", heartbeat_age_sec=50.0)},
        {"writer": writer(crashed_age_sec=10.1)},
        {"depth": Depth(memory_bytes=79 * MIB, records=800)},
        {"said": said(dropped_age_sec=60.1)},
        {"said": said(disk_free_bytes=None)},
        {"said": {}},
    ],
)
def test_a_reason_clears_at_its_bound(changes: dict[str, Any]) -> None:
    """Below it there is none, and a writer that is down has no heartbeat to be late."""
    assert set(reasons(facts(**changes))) <= {"writer_down"}


def test_the_worst_reason_decides() -> None:
    """Degraded beside failing is failing."""
    assert status_of([]) == OK
    assert status_of(["memory_high"]) == DEGRADED
    assert status_of(["memory_high", "writer_down", "queue_deep"]) == FAILING


def test_the_document_is_json_and_counts_what_waits() -> None:
    """`emitted` is what is written and what still waits."""
    document = compose(facts(depth=Depth(records=7, bytes=900, producers={"a", "b"})))
    assert json.loads(json.dumps(document)) == document
    assert document["counts"]["emitted"] == 12
    assert document["queue"]["lanes"] == 2


def samples(text: str) -> dict[str, dict[str, float]]:
    """
    Parse Prometheus text strictly.

    HELP and TYPE before the samples of a metric, each metric in one piece.
    """
    found: dict[str, dict[str, float]] = {}
    current = ""
    described: set[str] = set()
    for line in text.splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP "):
            assert words[2] not in described, f"{words[2]} comes twice"
            described.add(words[2])
            current = words[2]
            assert words[3].endswith(".")
        elif line.startswith("# TYPE "):
            assert words[2] == current
            assert words[3] in ("counter", "gauge")
            assert current.endswith("_total") == (words[3] == "counter")
        else:
            match = SAMPLE.match(line)
            assert match, line
            assert match["name"] == current
            labels = match["labels"] or ""
            assert labels not in found.setdefault(current, {}), f"{line} comes twice"
            found[current][labels] = float(match["value"])
    assert text.endswith("\n")
    return found


@pytest.mark.parametrize(("code", "changes"), [("", {}), *CASES])
def test_the_exposition_parses_and_says_the_same(code: str, changes: dict[str, Any]) -> None:
    """Every metric of the table, whatever is wrong; one for each reason and each status."""
    document = compose(facts(**changes))
    found = samples(exposition.render(document))
    on = {labels for labels, value in found["pipeline_reason"].items() if value}
    assert on == ({f'reason="{code}"'} if code else set())
    assert len(found["pipeline_reason"]) == len(REASONS)
    assert sum(found["pipeline_status"].values()) == 1
    assert found["pipeline_status"][f'status="{document["status"]}"'] == 1


def test_counts_in_the_exposition_are_exact() -> None:
    """A counter of billions is written out and not rounded to six digits."""
    document = compose(facts(said=said(counts={"written": 12_345_678_901, "durable": 1, "bytes": 2**53 - 1})))
    text = exposition.render(document)
    assert "pipeline_records_written_total 12345678901\n" in text
    assert f"pipeline_written_bytes_total {2**53 - 1}\n" in text


def test_a_document_of_a_supervisor_that_knows_nothing_yet_is_rendered() -> None:
    """Before the writer has said a word."""
    found = samples(exposition.render(compose(facts(said={}, writer=WorkerView("writer")))))
    assert "pipeline_records_written_total" not in found
    assert found["pipeline_worker_up"] == {'role="supervisor"': 1.0, 'role="writer"': 0.0}
