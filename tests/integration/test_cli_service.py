"""`pipeline run`, `stop`, `flush`, `reload`: the pipeline in an operator's hands."""

import json
import os
import signal
from pathlib import Path

import pytest
from support.apps import Site
from support.commands import EMIT_UNTIL_TOLD, PIPELINE, ask, call, end, service, start
from support.waiting import until


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains_the_service_and_it_exits_with_0(site: Site, number: int) -> None:
    """A service ends by SIGTERM or Ctrl+C with everything written, and leaves no process behind."""
    with service(site) as app:
        call(site, "record", stdin=b"".join(b"%d\n" % i for i in range(1000)))
        app.kill(number)
        assert app.wait() == 0
    assert len(site.of_type("message")) == 1000
    assert site.of_type("pipeline_stopped")
    assert not site.workers()
    call(site, "verify")


def test_service_takes_over_from_an_application_without_losing_a_record(site: Site) -> None:
    """An app-started supervisor goes, the service comes, and the application notices nothing."""
    app = site.app(EMIT_UNTIL_TOLD)
    app.expect("ready")
    old = site.supervisor()
    with service(site, "--health-port", "0") as run:
        assert site.supervisor() == run.pid != old
        until(lambda: site.health()["counts"].get("written", 0) > 10, "records written by the service")
        assert end(app) == len(site.accepted())
        call(site, "stop")
        assert run.wait() == 0
    site.check()
    call(site, "verify")


def test_second_service_is_refused(site: Site) -> None:
    """Two services would end each other in turns: the second one says who runs, and exits with 4."""
    with service(site) as run:
        result = call(site, "run", status=4)
        assert f"pid {run.pid}" in result.stderr
        assert "Try: " in result.stderr
        call(site, "stop")


def test_settings_of_the_service_come_from_options_environment_and_file(site: Site, tmp_path: Path) -> None:
    """The option goes before the environment, that before the file; a wrong value is one line."""
    file = tmp_path / "pipeline.toml"
    file.write_text('[logging]\nqueue_max_mb = 8\nlanes = "nowhere"\nhealth_host = "127.0.0.2"\n')
    options = ("--settings-file", str(file), "--health-host", "127.0.0.3")
    with service(site, *options, PIPELINE_QUEUE_MAX_MB="16") as run:
        document = site.health()
        assert document["address"].startswith("127.0.0.3:")
        assert document["queue"]["quota_bytes"] == 16 << 20
        assert "settings_rejected" in document["reasons"]
        call(site, "stop")
        run.wait()
        assert "Warning: lanes: 'nowhere' is not one of auto, memory, disk" in run.error_text()
    assert "lanes" in call(site, "run", *options, "--strict", status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--settings-file", "/nowhere/pipeline.toml"), "the settings file cannot be read"),
        (("--health-port", "70000"), "70000"),
        (("--health-prot", "1"), "--health-port"),
    ],
)
def test_service_that_cannot_be_meant_is_a_usage_error(
    site: Site, arguments: tuple[str, ...], words: str
) -> None:
    """A wrong option or an unreadable file starts nothing."""
    assert words in call(site, "run", *arguments, status=2).stderr
    assert not site.workers()


def test_stop_holds_producers_back_until_the_next_service(site: Site) -> None:
    """After `stop` an attached application goes on, starts nothing, and the next `run` writes what waited."""
    with service(site, PIPELINE_DRAIN_TIMEOUT_SEC="0.5"):
        app = site.app(EMIT_UNTIL_TOLD, "attach")
        app.expect("ready")
        until(lambda: len(site.accepted()) > 50, "records")
        answer = ask(site, "stop")
        assert answer["stopped"]
    before = len(site.accepted())
    until(lambda: len(site.accepted()) > before + 200, "records while nobody writes")
    assert not site.workers()
    status = ask(site, "status", status=3)
    assert status["held_back"]
    assert status["queue"]["records"] > 0
    with service(site):
        end(app)
        call(site, "flush")
        call(site, "stop")
    site.check()
    call(site, "verify")


def test_stop_says_when_it_was_not_over_in_time(site: Site) -> None:
    """With a producer that stays, a service waits; `stop --timeout` gives the waiting up with exit code 1."""
    with service(site):
        app = site.app(EMIT_UNTIL_TOLD, "attach")
        app.expect("ready")
        assert ask(site, "stop", "--timeout", "0.3", status=1)["stopped"] is False
        end(app)
        until(lambda: not site.workers(), "the end of the service")
    site.check()


def test_flush_brings_everything_emitted_before_to_the_disk(site: Site) -> None:
    """What was accepted when `flush` began is durable when it ends, although the next sync is far away."""
    with service(site, PIPELINE_FSYNC_INTERVAL_SEC="3600"):
        app = site.app(EMIT_UNTIL_TOLD, "attach")
        app.expect("ready")
        until(lambda: len(site.accepted()) > 100, "records")
        before = site.accepted()
        answer = ask(site, "flush")
        assert answer["flushed"]
        assert answer["waiting"] == []
        stored = {(record.get("tag"), record["action_number"]) for record in site.records()}
        assert set(before) <= stored
        until(lambda: site.health()["counts"]["durable"] >= len(before), "the writer to say the same")
        end(app)
        call(site, "stop")


def test_flush_says_who_is_behind_when_nobody_writes(site: Site) -> None:
    """With the writer stopped `flush` ends at its timeout with exit code 1 and names the lane."""
    with service(site):
        os.kill(site.writer(), signal.SIGSTOP)
        call(site, "record", "--timeout", "0", stdin=b"waits\n", status=1)
        answer = ask(site, "flush", "--timeout", "0.3", status=1)
        assert answer["waiting"]
        assert set(answer["waiting"]) <= set(os.listdir(site.places.lanes_dir))
        os.kill(site.writer(), signal.SIGCONT)
        assert ask(site, "flush")["flushed"]
        call(site, "stop")


def test_flush_does_not_stop_a_service_whose_sigusr1_drains(site: Site) -> None:
    """With sigusr1 = drain the signal means stop, so `flush` has to ask in another way."""
    with service(site, PIPELINE_SIGUSR1="drain") as run:
        call(site, "record", stdin=b"one\n")
        assert ask(site, "flush")["flushed"]
        assert run.process.poll() is None
        call(site, "stop")


def test_reload_replaces_the_writer_and_takes_new_settings(site: Site, tmp_path: Path) -> None:
    """New settings are published, a successor writes with them, and no record is lost meanwhile."""
    file = tmp_path / "pipeline.toml"
    file.write_text("queue_max_mb = 32\nhealth_port = 1\n")
    with service(site) as run:
        app = site.app(EMIT_UNTIL_TOLD, "attach")
        app.expect("ready")
        before = site.writer()
        answer = call(site, "reload", "--settings-file", str(file))
        assert "changed: queue_max_mb, health_port" in answer.stdout
        assert "health_port takes effect at the next start" in answer.stderr
        assert site.writer() != before
        assert run.process.poll() is None
        assert site.health()["queue"]["quota_bytes"] == 32 << 20
        end(app)
        call(site, "stop")
    site.check()


def test_reload_with_a_wrong_value_changes_nothing(site: Site, tmp_path: Path) -> None:
    """A file that cannot be used is refused as a whole, and the writer stays."""
    file = tmp_path / "pipeline.toml"
    file.write_text("queue_max_mb = 32\nfsync_interval_sec = -1\n")
    with service(site):
        before = site.writer()
        result = call(site, "reload", "--settings-file", str(file), status=2)
        assert "fsync_interval_sec: -1" in result.stderr
        assert site.writer() == before
        assert site.health()["queue"]["quota_bytes"] == 1 << 30
        call(site, "stop")


@pytest.mark.parametrize("name", ["stop", "flush", "reload"])
def test_command_without_a_pipeline_exits_with_3(site: Site, name: str) -> None:
    """There is nothing to act upon, and nothing is made."""
    result = call(site, name, status=3)
    assert "no pipeline runs" in result.stderr
    assert "Try: pipeline run" in result.stderr
    assert not site.log_dir.exists()


def test_service_with_its_own_state_directory_is_found_by_its_log_directory(
    site: Site, tmp_path: Path
) -> None:
    """The commands need not be told a state_dir that the service was started with."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"state_dir": str(tmp_path / "state")}))
    run = start(site, "run", "--settings-file", str(settings))
    until(lambda: ask_quietly(site) == "ok", "a service with a state directory of its own")
    call(site, "stop")
    assert run.wait() == 0


def ask_quietly(site: Site) -> str:
    """Return the status, empty while nobody runs."""
    app = site.command([*PIPELINE, "status", "--json", "--dir", str(site.log_dir)])
    try:
        return json.loads(app.told[-1])["status"] if app.wait() == 0 else ""
    finally:
        app.close()
