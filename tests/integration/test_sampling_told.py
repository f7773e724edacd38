"""Sampling and limits with real processes: what was left out is counted outside of them, and told."""

import json
import logging.handlers
import queue
import signal
from collections import Counter
from pathlib import Path

import pytest
from support.apps import Site
from support.waiting import until

from pipeline.emitter import Emitter
from pipeline.paths import create_runtime, places_for
from pipeline.queueing import QueueFace
from pipeline.settings import Settings

APP = """
    import json, os, sys
    import pipeline
    from stage import hear, say

    rules = {"sample_rates": {"DEBUG": 0.2}, "rate_limits": {"poll": 5}}
    pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], **rules)
    kept = {"log": 0, "poll": 0}
    for index in range(500):
        kept["log"] += pl.emit("log", level="DEBUG", message=f"line {index}") > 0
        pl.emit("log", level="ERROR", message=f"error {index}")
        kept["poll"] += pl.emit("poll") > 0
    say("kept", json.dumps(kept))
    hear()
"""


def told(site: Site) -> Counter[str]:
    """Return what the stream says was left out, by reason."""
    counts: Counter[str] = Counter()
    for record in site.of_type("records_sampled"):
        counts[record["reason"]] += record["count"]
    return counts


def test_what_was_left_out_is_told_to_the_last_record_at_a_normal_end(site: Site) -> None:
    """Kept and told make up what was emitted; kept records carry their rate; verify finds no gap."""
    app = site.app(APP)
    kept = json.loads(app.expect("kept"))
    app.tell("end")
    app.wait()
    site.until_ended()
    lines = [record for record in site.of_type("log") if record["level"] == "DEBUG"]
    assert len(lines) == kept["log"]
    assert {record["sample_rate"] for record in lines} == {0.2}
    assert 50 < len(lines) < 150
    assert sum(record["level"] == "ERROR" for record in site.of_type("log")) == 500
    assert told(site) == {"sampled": 500 - kept["log"], "rate_limited": 500 - kept["poll"]}
    (producer,) = {record["producer"] for record in lines}
    numbers = [record["action_number"] for record in site.records() if record["producer"] == producer]
    assert numbers == list(range(1, len(numbers) + 1))
    assert site.of_type("records_dropped") == []


def test_a_kill_takes_less_than_half_of_the_count_with_it(site: Site) -> None:
    """Counts are stored outside at the 1st, 2nd, 4th, 8th … and once a second."""
    app = site.app(APP)
    kept = json.loads(app.expect("kept"))
    until(lambda: sum(site.health()["left_out"].values()) > 500, "health tells more than half of it")
    app.kill(signal.SIGKILL)
    app.wait()
    site.until_ended()
    assert (500 - kept["log"]) / 2 < told(site)["sampled"] <= 500 - kept["log"]


def test_the_face_of_a_queue_takes_what_is_left_out_for_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A QueueHandler is not told that the queue is full when a line was sampled away."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    places = places_for(tmp_path / "logs", "")
    create_runtime(places)
    emitter = Emitter(places, Settings(sample_rates={"INFO": 0.0}))
    face = QueueFace(emitter, is_enabled=True)
    handler = logging.handlers.QueueHandler(face)  # type: ignore[arg-type]
    monkeypatch.setattr(handler, "handleError", lambda _line: pytest.fail("the line was refused"))
    handler.handle(logging.makeLogRecord({"msg": "x", "levelname": "INFO"}))
    face.put({"action_type": "log", "level": "INFO"})
    assert emitter.refused() == {"sampled": 2}
    assert emitter.was_left_out()
    assert emitter.emit("log", level="WARNING") == 1
    assert not emitter.was_left_out()
    emitter.close()
    with pytest.raises(queue.Full):
        face.put_nowait({"action_type": "log"})
