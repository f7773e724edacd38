"""SIGUSR2 on the service: the settings are read again, whatever their file is like, and no record is lost."""

import json
import os
import signal
import subprocess
from pathlib import Path

from support.apps import Site
from support.commands import EMIT_UNTIL_TOLD, PIPELINE, call, end, service
from support.waiting import HANG_SEC, until

from pipeline.host import locks


def in_force(site: Site) -> dict[str, dict[str, object]]:
    """Return what `pipeline config show` says of the settings."""
    command = [*PIPELINE, "config", "show", "--json", "--dir", str(site.log_dir)]
    result = subprocess.run(command, env=site.env(), capture_output=True, timeout=HANG_SEC, check=True)
    found = json.loads(result.stdout)
    assert found["running"]
    return found["settings"]


def replaced(site: Site, before: int) -> bool:
    """Whether another writer writes."""
    return site.writer() != before


def test_sigusr2_reads_the_file_again_and_loses_nothing(site: Site, tmp_path: Path) -> None:
    """
    New values of the file are in force for the workers and for who joins; the option goes on before the file.

    What needs a new start is held back and named; records flow all the while.
    """
    file = tmp_path / "app.yaml"
    file.write_text("logging:\n  queue_max_mb: 16\n  drain_timeout_sec: 20\n")
    with service(site, "--settings-file", str(file), "--health-host", "127.0.0.3"):
        app = site.app(EMIT_UNTIL_TOLD, "attach")
        assert app.expect("ready") == "16.0"
        writer = site.writer()
        new = ["queue_max_mb: 32", "drain_timeout_sec: 5", "timezone: Asia/Tokyo", "health_host: ::1"]
        file.write_text("logging:\n" + "".join(f"  {line}\n" for line in new))
        site.signal_supervisor(signal.SIGUSR2)
        until(lambda: replaced(site, writer), "another writer")
        health = site.health()
        assert health["settings_need_restart"] == ["timezone"]
        assert health["queue"]["quota_bytes"] == 32 << 20
        assert "settings_rejected" not in health["reasons"]
        assert "need a new start: timezone" in call(site, "status").stdout
        shown = in_force(site)
        assert (shown["drain_timeout_sec"]["value"], shown["drain_timeout_sec"]["where"]) == (5.0, str(file))
        assert (shown["timezone"]["value"], shown["timezone"]["source"]) == ("UTC", "default")
        assert (shown["health_host"]["value"], shown["health_host"]["source"]) == ("127.0.0.3", "keyword")
        late = site.app(EMIT_UNTIL_TOLD, "attach")
        assert late.expect("ready") == "32.0"
        end(late)
        end(app)
        call(site, "stop")
    site.check()


def test_a_file_that_cannot_be_used_changes_nothing_until_it_is_mended(site: Site, tmp_path: Path) -> None:
    """It is told in health and by the command; the writer stays. A right one clears it."""
    file = tmp_path / "app.toml"
    file.write_text("drain_timeout_sec = 20\n")
    with service(site, "--settings-file", str(file)):
        writer = site.writer()
        file.write_text("drain_timeout_sec = 5\nlanes = 'ram'\n")
        site.signal_supervisor(signal.SIGUSR2)
        health = site.until_reason("settings_rejected")
        assert "lanes: 'ram'" in health["settings_rejected"][0]
        assert "nothing was changed" in call(site, "reload", status=2).stderr
        assert site.writer() == writer
        file.write_text("drain_timeout_sec = 5\n")
        assert "changed: drain_timeout_sec" in call(site, "reload").stdout
        assert site.writer() != writer
        site.until_reason("settings_rejected", holds=False)
        call(site, "stop")


def test_a_file_that_hangs_stops_nobody(site: Site, tmp_path: Path) -> None:
    """A killed writer has its successor, which writes; what is asked meanwhile is read afterwards."""
    file = tmp_path / "app.toml"
    file.write_text("drain_timeout_sec = 20\n")
    with service(site, "--settings-file", str(file)):
        writer = site.writer()
        file.unlink()
        os.mkfifo(file)
        site.signal_supervisor(signal.SIGUSR2)
        with file.open("w") as pipe:  # waits for its reader: there is one, and it waits from now on
            os.kill(writer, signal.SIGKILL)
            until(
                lambda: locks.holder(site.places.runtime("writer.lock")) not in (None, writer), "a successor"
            )
            writer = site.writer()
            call(site, "record", stdin=b"one\ntwo\n")
            file.unlink()
            file.write_text("drain_timeout_sec = 6\n")
            site.signal_supervisor(signal.SIGUSR2)
            pipe.write("drain_timeout_sec = 7\n")
        until(lambda: replaced(site, writer), "another writer")
        until(lambda: in_force(site)["drain_timeout_sec"]["value"] == 6.0, "what was asked for last")
        call(site, "stop")
    assert len(site.of_type("message")) == 2
