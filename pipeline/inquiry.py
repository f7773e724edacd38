"""How the pipeline is, as a process of the application can find out: it asks the supervisor over HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pipeline import launch

if TYPE_CHECKING:
    from pipeline.emitter import Emitter
    from pipeline.paths import Places

_HEALTH_TIMEOUT_SEC = 2.0


def fetch_health(places: Places, timeout_sec: float = _HEALTH_TIMEOUT_SEC) -> dict[str, Any] | None:
    """Return the health document from the running supervisor, None when nobody answers."""
    import http.client
    import json

    address = launch.health_address(places)
    if not address or launch.supervisor_pid(places) is None:
        return None
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_sec)
    try:
        connection.request("GET", "/health")
        document = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return document if isinstance(document, dict) else None


def absent_health(places: Places) -> dict[str, Any]:
    """Return the health document of a pipeline whose supervisor does not answer."""
    from pipeline.queue import depth

    measured = depth.measure(places.lanes_dir).plus(depth.measure(places.disk_lanes_dir))
    return {
        "status": "failing",
        "reasons": ["supervisor_down"],
        "workers": [],
        "queue": measured.as_dict(),
        "counts": {},
        "last_error": "",
    }


def with_producer(document: dict[str, Any], emitter: Emitter, complaints: list[str]) -> dict[str, Any]:
    """Return a health document with what this process knows of itself."""
    from pipeline.health.reasons import status_of
    from pipeline.queue import layout

    document["producer"] = {
        "pid": os.getpid(),
        "producers": [appender.lane.producer for appender in emitter.appenders()],
        "emitted": sum(appender.last_number() for appender in emitter.appenders()),
        "refused": emitter.refused(),
        "late": emitter.late,
        **{what: emitter.counted(what) for what in layout.NAMED},
        "last_error": emitter.last_error,
    }
    extra = (["sync_late"] if emitter.late_recently() else []) + (["settings_rejected"] if complaints else [])
    document["reasons"] = list(dict.fromkeys([*document["reasons"], *extra]))
    document["status"] = status_of(document["reasons"])
    return document
