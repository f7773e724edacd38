"""Health of an outage, as the writer says it: the breaker, what was tried again, what came back."""

import errno
from typing import Any

from support.outage_rig import Disk, all_there, begun, held, run
from support.rig import Rig

from pipeline.cli import health_page
from pipeline.delivery import breaker
from pipeline.health import exposition, snapshot
from pipeline.health.snapshot import Facts, WorkerView
from pipeline.queue.depth import Depth
from workers import statement


def health(rig: Rig) -> dict[str, Any]:
    """Return the health document that a supervisor makes of what the rig's writer says."""
    writer, supervisor = WorkerView("writer", 1, "running"), WorkerView("supervisor", 1, "running")
    return snapshot.compose(Facts(rig.settings, writer, supervisor, Depth(), said=statement.of(rig.writer)))


def page(document: dict[str, Any]) -> str:
    """Return what `pipeline status` shows of it."""
    return "\n".join(health_page.lines(document, "logs"))


def test_health_shows_the_breaker_on_its_way_through_an_outage(rig: Rig, disk: Disk) -> None:
    """Closed with failures in a row, open with its next probe, closed again; retries are counted."""
    emitter = begun(rig)
    well = health(rig)
    assert (well["breaker"]["state"], well["breaker"]["failures"]) == ("closed", 0)
    assert "breaker" not in page(well)
    disk.refuses["write"] = errno.EIO
    rig.emit(emitter, 10)
    run(rig, 2)
    failing = health(rig)
    assert (failing["breaker"]["state"], failing["breaker"]["probe_in_sec"]) == ("closed", None)
    assert failing["breaker"]["failures"] == failing["counts"]["append_failures"] >= 2
    assert failing["counts"]["retried"] == failing["counts"]["append_failures"] - 1
    tags = iter(range(100, 10_000))
    run(rig, 60, lambda: rig.emit(emitter, next(tags)))
    is_open = health(rig)
    assert (is_open["breaker"]["state"], is_open["breaker"]["failures"]) == ("open", 10)
    assert 0 < is_open["breaker"]["state_age_sec"] < 60
    assert 0 <= is_open["breaker"]["probe_in_sec"] <= 60
    assert 'pipeline_breaker_state{state="open"} 1\n' in exposition.render(is_open)
    assert 'pipeline_breaker_state{state="closed"} 0\n' in exposition.render(is_open)
    assert f"pipeline_retried_total {is_open['counts']['retried']}\n" in exposition.render(is_open)
    assert "10 failed attempts in a row, the next probe in " in page(is_open)
    in_store = held(rig)
    disk.refuses.clear()
    run(rig, 61)
    all_there(rig)
    again = health(rig)
    assert (again["breaker"]["state"], again["breaker"]["failures"]) == ("closed", 0)
    assert again["breaker"]["state_age_sec"] < 61
    assert again["counts"]["replayed"] >= in_store > 0
    assert again["counts"]["quarantined"] == 0


def test_a_damaged_row_is_counted_as_quarantined_and_not_as_replayed(rig: Rig, disk: Disk) -> None:
    """One row of the store is not what its checksum says; the others come back."""
    emitter = begun(rig)
    rig.writer.delivery.leave("somebody says so")
    for tag in (10, 11):
        rig.emit(emitter, tag)
        rig.step()
    before = held(rig)
    rig.writer.fallback.change(
        lambda conn: conn.execute("UPDATE slices SET data = CAST(data || X'59' AS BLOB) WHERE id = 1")
    )
    run(rig, 30)
    counts = health(rig)["counts"]
    assert (counts["quarantined"], counts["replayed"]) == (1, before - 1)
    assert "pipeline_rows_quarantined_total 1\n" in exposition.render(health(rig))


def test_the_states_of_the_breaker_are_those_that_the_metric_knows() -> None:
    """Health lies below delivery and has the names by itself."""
    assert exposition.BREAKER_STATES == (breaker.CLOSED, breaker.OPEN, breaker.HALF_OPEN)
