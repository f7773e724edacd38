"""Writers that hang: what is waited for, and who works meanwhile."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from support.waiting import until

if TYPE_CHECKING:
    from support.obeying import StateSite

FATE_SEC = 60.0


def until_durable(site: StateSite) -> None:
    """Wait until something is known to be on the disk."""
    until(lambda: site.health()["counts"].get("durable"), "durable records")


def until_stuck(site: StateSite, pid: int) -> None:
    """Wait until health names this writer as stuck, in the state that it is in, beside the one that works."""
    health = site.until_reason("writer_stuck", timeout_sec=FATE_SEC)
    stuck = [worker for worker in health["workers"] if worker["state"] == "stuck"]
    assert [(worker["pid"], worker["kernel_state"]) for worker in stuck] == [(pid, "D")]


def until_gone(pid: int) -> None:
    """Wait for the end of a process."""
    until(lambda: not os.path.exists(f"/proc/{pid}"), f"the end of {pid}", FATE_SEC)


def stand_in(site: StateSite) -> int:
    """Return the writer that works beside stuck ones, once it does."""
    until(lambda: site.health()["state"] == "writing", "a writer that writes")
    return site.writer()


def kill(site: StateSite, role: str) -> None:
    """
    Kill a worker, and wait until health is another supervisor's to tell, if it is that one.

    One that is killed with a thread in the kernel still takes connections, and answers none.
    """
    pid = getattr(site, role)()
    os.kill(pid, signal.SIGKILL)
    path = site.places.runtime("supervisor.json")
    until(lambda: json.loads(path.read_bytes())["pid"] != pid, "the address of another supervisor", FATE_SEC)


def is_more_in_fallback(site: StateSite, than: int) -> bool:
    """Whether the store holds more records than at another time."""
    return site.health()["fallback"].get("records", 0) > than
