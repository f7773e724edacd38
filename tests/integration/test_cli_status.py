"""`pipeline status`: how it is, told to people and to scripts."""

import json
import os
import re
import signal

import pytest
from support.apps import Site
from support.commands import ask, call, service, start
from support.waiting import until

from pipeline.health.reasons import REASONS


@pytest.mark.smoke
def test_page_shows_workers_queue_and_files(site: Site) -> None:
    """A healthy pipeline is one page: both workers with their pids, the queue, the counts, the day's file."""
    with service(site) as run:
        call(site, "record", stdin=b"one\ntwo\n")
        page = call(site, "status").stdout
        assert page.splitlines()[0] == f"ok  {site.log_dir}"
        assert re.search(rf"^supervisor +{run.pid} +running", page, re.MULTILINE)
        assert re.search(rf"^writer +{site.writer()} +running +\d+\.\d s ago", page, re.MULTILINE)
        assert re.search(r"^mode +a service", page, re.MULTILINE)
        assert site.files()[0].name in page
        assert re.search(r"^records +\d+ emitted, \d+ written", page, re.MULTILINE)
        assert "\x1b" not in page
        call(site, "stop")


def test_json_is_the_document_of_the_health_endpoint(site: Site) -> None:
    """A script gets the same fields from the command and from /health."""
    with service(site):
        assert set(ask(site, "status")) == set(site.health())
        call(site, "stop")


def test_reason_is_told_with_its_meaning_and_its_remedy(site: Site) -> None:
    """A killed writer is degraded with exit code 0, and the page says what that means and what to do."""
    with service(site):
        os.kill(site.writer(), signal.SIGKILL)
        site.until_reason("writer_restarted")
        page = call(site, "status").stdout
        assert page.startswith("degraded")
        assert f"writer_restarted: {REASONS['writer_restarted'].meaning}" in page
        assert REASONS["writer_restarted"].remedy in page
        call(site, "stop")


def test_stopped_supervisor_is_failing_and_not_absent(site: Site) -> None:
    """A supervisor that does not answer is there all the same: exit code 1, and its pid."""
    with service(site) as run:
        run.kill(signal.SIGSTOP)
        try:
            answer = ask(site, "status", status=1)
        finally:
            run.kill(signal.SIGCONT)
        assert answer["last_error"] == f"the supervisor, pid {run.pid}, does not answer"
        call(site, "stop")


def test_without_a_pipeline_it_says_so(site: Site) -> None:
    """Nothing runs: exit code 3, a page, and nothing is made."""
    page = call(site, "status", status=3).stdout
    assert page.startswith(f"not running  {site.log_dir}")
    assert ask(site, "status", status=3)["reasons"] == ["supervisor_down"]
    assert not site.log_dir.exists()
    assert not os.listdir(site.root)


def test_log_shows_what_the_workers_said(site: Site) -> None:
    """--log prints the last lines of workers.log, also when nothing runs any more."""
    call(site, "status", "--log", status=3)
    with service(site):
        call(site, "stop")
    lines = call(site, "status", "--log").stdout.splitlines()
    assert any("started" in line for line in lines)
    assert call(site, "status", "--log", "--lines", "1").stdout.splitlines() == lines[-1:]


def test_log_cannot_command_the_terminal(site: Site) -> None:
    """Control characters in workers.log are shown as escapes."""
    site.places.workers_log.parent.mkdir(parents=True)
    site.places.workers_log.write_bytes(b"\x1b[2Jgone\n")
    assert call(site, "status", "--log").stdout == "\\x1b[2Jgone\n"


def test_colours_are_for_terminals_that_want_them(site: Site) -> None:
    """On a terminal the status is coloured; NO_COLOR turns that off."""
    plain = start(site, "status", on_tty=True, TERM="xterm", NO_COLOR="1")
    assert plain.wait() == 3
    assert not any("\x1b" in line for line in plain.told)
    coloured = start(site, "status", on_tty=True, TERM="xterm", NO_COLOR=None)
    assert coloured.wait() == 3
    assert any("\x1b[" in line for line in coloured.told)


def test_watch_shows_it_again_until_interrupted(site: Site) -> None:
    """--watch prints a page at each interval; Ctrl+C is the way out and exits with 0."""
    app = start(site, "status", "--watch", "--interval", "0.1", "--json")
    for _ in range(3):
        assert json.loads(app.expect('{"status":') and app.told[-1])["status"] == "failing"
    app.kill(signal.SIGINT)
    assert app.wait() == 0
    until(lambda: app.process.poll() is not None, "its end")
