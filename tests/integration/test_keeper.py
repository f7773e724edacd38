"""The keeper at work: started when files are due, in nobody's way, and ended at any moment."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.apps import App, Site
from support.archive import DAYS, at_rest
from support.noted import unknown_blocks
from support.packing import archive, day_files
from support.rig import Rig
from support.unpacking import content
from support.waiting import until

from pipeline import launch
from pipeline.host import clock
from pipeline.keeping import report
from pipeline.keeping.cleaning import Cleaner
from pipeline.paths import places_for
from pipeline.query import index
from pipeline.query.blocks import blocks_of
from pipeline.settings import Settings
from pipeline.storage.fence import keeper_lock_of
from pipeline.verification import account, verify

HOLDING = """
    import json, sys
    from stage import emit, hear, say, start
    start(**json.loads(sys.argv[1]))
    emit("first")
    say("ready")
    while (word := hear()) not in ("end", ""):
        for index in range(int(word)):
            emit(f"{word} {index}")
        say("emitted")
"""
PACKED = [f"{day}.zst" for day in DAYS]
pytestmark = pytest.mark.timeout(400)
PATIENCE_SEC = 90.0
"""The keeper is the lowest of all: on a machine that has much to do, a second of its work takes long."""


@pytest.fixture(scope="module")
def old_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a log directory with three days of long ago, written by the real writer."""
    return at_rest(tmp_path_factory.mktemp("old"), archive)


@pytest.fixture
def site(tmp_path: Path, old_days: Path) -> Iterator[Site]:
    """Give a site over these days, that ends with the test."""
    with Site(tmp_path / "site") as site:
        shutil.copytree(old_days, site.log_dir)
        yield site


def start(site: Site, settings: dict[str, object] | None = None, **env: str) -> App:
    """Start an application and wait for it."""
    app = site.app(HOLDING, json.dumps({"retention_days": 0} | (settings or {})), **env)
    app.expect("ready")
    return app


def end(site: Site, app: App) -> None:
    """End the application; nothing of ours is left then, and nothing is lost."""
    app.tell("end")
    assert app.wait() == 0, app.error_text()
    site.until_ended(PATIENCE_SEC)
    assert not verify(site.log_dir).findings
    assert account(site.log_dir).ok


def until_packed(site: Site, packed: list[str] = PACKED) -> None:
    """Wait until these files are packed, and the plain ones are gone."""
    until(
        lambda: day_files(site.log_dir)[: len(packed)] == packed, f"{day_files(site.log_dir)}", PATIENCE_SEC
    )


def test_days_of_long_ago_are_packed_while_records_come(site: Site, old_days: Path) -> None:
    """At the start of a pipeline; what cannot be packed stays, and health tells of both."""
    with (site.log_dir / DAYS[1]).open("r+b") as file:
        file.write(b"[")
    app = start(site)
    app.tell("500")
    packed = [f"{DAYS[0]}.zst", DAYS[1], f"{DAYS[2]}.zst"]
    until_packed(site, packed)
    app.expect("emitted")
    until(
        lambda: "keeper" not in [worker["role"] for worker in site.health()["workers"]],
        "its end",
        PATIENCE_SEC,
    )
    until(lambda: site.health()["keeper"].get("state") == "done", "word of its end", PATIENCE_SEC)
    keeper, reasons = site.health()["keeper"], site.health()["reasons"]
    assert (keeper["packed"]["files"], keeper["error"]) == (2, "")
    assert [stayed["file"] for stayed in keeper["stayed"]] == [DAYS[1]]
    assert "keeper_failing" not in reasons
    assert b"pipeline_keeper_packed_files_total 2\n" in site.get("/metrics")[1]
    assert not site.places.runtime(launch.KEEPER_WANTED).exists()
    shutil.copy(old_days / DAYS[1], site.log_dir)
    end(site, app)
    for name in (packed[0], packed[2]):
        assert content(site.log_dir / name) == (old_days / name.removesuffix(".zst")).read_bytes()


def test_a_keeper_that_is_killed_is_followed_by_another(site: Site) -> None:
    """It is seen in health, and clears; what was left of its work is finished."""
    log = site.home / "kills"
    env = {"PIPELINE_FAILPOINT": "keeper.pack.renamed", "PIPELINE_FAILPOINT_LOG": str(log)}
    app = start(site, **env)
    until(log.exists, "a kill", PATIENCE_SEC)
    site.until_reason("keeper_failing")
    site.until_reason("keeper_failing", holds=False, timeout_sec=PATIENCE_SEC)
    until_packed(site)
    assert log.read_text().split() == ["keeper.pack.renamed"]
    end(site, app)


def test_a_wish_for_a_keeper_outlives_the_supervisor(site: Site) -> None:
    """Killed when it has just started one, it takes that one along, and its successor starts another."""
    env = {"PIPELINE_FAILPOINT": "supervisor.keeper_started", "PIPELINE_FAILPOINT_LOG": str(site.home / "k")}
    app = start(site, **env)
    until_packed(site)
    assert (site.home / "k").exists()
    end(site, app)


def test_a_pipeline_ends_without_waiting_for_a_keeper_that_hangs(site: Site) -> None:
    """One works at a time, and as the lowest of all; one that does not move when it should end is killed."""
    lock = keeper_lock_of(site.places)
    assert lock.try_acquire()
    busy = site.home / "busy"
    busy.mkdir()
    command = ["sh", "-c", f"touch {busy}/begun; while [ -d {busy} ]; do sleep 0.1; done; exit 1", "{path}"]
    app = start(site, {"retention_days": 1, "expiry": "command", "expiry_command": command})
    until(lambda: site.workers("keeper"), "a keeper", PATIENCE_SEC)
    until(lambda: not site.workers("keeper"), "its end before somebody else's", PATIENCE_SEC)
    assert not report.load(site.places)
    lock.close()
    until((busy / "begun").exists, "a keeper at work", PATIENCE_SEC)
    [keeper] = site.workers("keeper")
    os.kill(keeper, signal.SIGSTOP)
    process = psutil.Process(keeper)
    assert (process.nice(), process.ionice().ioclass) == (19, psutil.IOPRIO_CLASS_IDLE)
    assert Path(f"/proc/{keeper}/oom_score_adj").read_text() == "500\n"
    site.signal_supervisor(signal.SIGTERM)
    until(lambda: not site.workers(), "the end of our processes", 20)
    shutil.rmtree(busy)  # ends the command, which nobody waits for
    app.tell("end")
    app.wait()
    assert not verify(site.log_dir).findings


def long_day(rig: Rig) -> None:
    """Let the real writer write a day that is long enough for an index, and end."""
    producer = rig.producer()
    rig.start_writer()
    for tag in range(700):
        rig.emit(producer, tag, size=2000)
        if tag % 10 == 0:
            rig.step()
    rig.close_producer(producer)
    rig.drain()
    rig.writer.stop_own_lane("stopped")
    rig.kill_writer()


def test_a_day_that_is_over_has_its_index_before_anybody_asks(tmp_path: Path) -> None:
    """Made by the keeper at the next start of a pipeline, though nothing has to be packed or to leave."""
    with Site(tmp_path / "site") as site:
        shutil.copytree(at_rest(tmp_path, long_day), site.log_dir)
        app = start(site, {"compression": "none"})
        path = index.path_of(site.log_dir, DAYS[0])
        until(path.exists, "an index", PATIENCE_SEC)
        until(lambda: report.load(site.places)["state"] == "done", "its end", PATIENCE_SEC)
        assert len(blocks_of(site.log_dir, DAYS[0])) > 1
        assert unknown_blocks(site.log_dir)[DAYS[0]] == 0
        end(site, app)


def test_what_is_due_follows_the_settings(
    old_days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the age of its period; nothing where nothing is to be packed, and today's file never."""
    monkeypatch.setenv("PIPELINE_RUNTIME_ROOT", str(tmp_path))
    places = places_for(old_days)
    today = f"{clock.wall_text()[:10]}.jsonl"
    (old_days / today).touch()

    def due(**settings: object) -> list[str]:
        found = Settings(**{"retention_days": 0, "min_free_mb": 0} | settings)
        return [step.file.name for step in Cleaner(places, found).due()]

    assert due() == DAYS
    assert due(compress_after_days=0) == DAYS
    assert due(compress_after_days=36_500) == []
    assert due(compression="none") == []
    (old_days / f"{DAYS[0]}.gz").touch()
    assert due(compression="none") == DAYS[:1]  # somebody was killed there
    (old_days / f"{DAYS[0]}.gz").unlink()
    (old_days / today).unlink()
