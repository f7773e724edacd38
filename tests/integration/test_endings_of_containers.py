"""An application that is PID 1 of a pid namespace: its end is the end of all processes there, ours too."""

import os
import signal
import sys
from pathlib import Path

import pytest
from support.apps import App, Site
from support.waiting import until

pytestmark = pytest.mark.faults

SCRIPT = """
    import os, signal, sys, time
    from stage import emit, say, start, start_in_thread

    way, handler, thread = sys.argv[1:]
    assert os.getpid() == 1

    def mine(number, frame):
        emit("handled")
        sys.exit(40 + number)

    if handler == "before":
        signal.signal(signal.SIGTERM, mine)
    start() if thread == "main" else start_in_thread()
    if handler == "after":
        signal.signal(signal.SIGTERM, mine)
    for index in range(2000):
        emit(f"record {index}")
    say("ready")
    if way == "sys_exit":
        sys.exit(3)
    if way == "exception":
        raise ValueError("of the application")
    if way == "os_exit":
        os._exit(4)
    if way != "return":
        time.sleep(60)
"""


def contained(site: Site, *arguments: str) -> App:
    """Start the application as PID 1 of a namespace."""
    command = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, str(site.script(SCRIPT))]
    return site.command([*command, *arguments])


def first_process_of(app: App) -> int:
    """Return the pid, as seen from here, of the process that is PID 1 in there."""
    children = Path(f"/proc/{app.pid}/task/{app.pid}/children")
    return int(until(children.read_text, "a child of unshare").split()[0])


@pytest.mark.parametrize(
    ("way", "handler", "thread", "status"),
    [
        ("return", "none", "main", 0),
        ("return", "none", "other", 0),
        ("sys_exit", "none", "main", 3),
        ("exception", "none", "main", 1),
        ("sigterm", "none", "main", 128 + signal.SIGTERM),
        ("sigterm", "before", "main", 40 + signal.SIGTERM),
        ("sigterm", "after", "main", 40 + signal.SIGTERM),
        ("sigterm", "after", "other", 40 + signal.SIGTERM),
        ("sigint", "none", "main", 128 + signal.SIGINT),
    ],
)
def test_pid_1_waits_until_all_is_in_the_files(way, handler, thread, status, site: Site) -> None:
    """When PID 1 ends so do our processes, so its end waits, bounded, and then is the right one."""
    app = contained(site, way, handler, thread)
    app.expect("ready")
    if way in ("sigterm", "sigint"):
        os.kill(first_process_of(app), signal.SIGTERM if way == "sigterm" else signal.SIGINT)
    assert app.wait() == status, app.error_text()
    until(lambda: not site.workers(), "the end of the namespace")
    site.check()


@pytest.mark.parametrize("way", ["os_exit", "sigkill"])
def test_what_a_killed_container_left_is_delivered_by_the_next_one(way, site: Site) -> None:
    """The next start on the same directory, in another namespace again, adopts the lanes of the dead one."""
    app = contained(site, way, "none", "main")
    app.expect("ready")
    if way == "sigkill":
        os.kill(first_process_of(app), signal.SIGKILL)
    assert app.wait() != 0
    until(lambda: not site.workers(), "the end of the namespace")
    again = contained(site, "return", "none", "main")
    assert again.wait() == 0, again.error_text()
    # The second container ends with its PID 1, which may be before its own end is told.
    ends = {end["action_type"] for end in site.check_ends(site.check(), live=1).values()}
    assert "producer_died" in ends
