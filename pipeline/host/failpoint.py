"""
Named places where a test kills the process.

`PIPELINE_FAILPOINT=name[:skip[:times]][,…]` kills with SIGKILL when the place is reached for the (skip+1)th
time in a process, in at most `times` processes (default 1). `PIPELINE_FAILPOINT_LOG` is a file that gets one
line for each kill, and is how processes know how often the place has killed already. Without the variable a
place costs one function call.
"""

from __future__ import annotations

import os
import signal
from typing import Final

_SPEC: Final = os.environ.get("PIPELINE_FAILPOINT", "")
_LOG: Final = os.environ.get("PIPELINE_FAILPOINT_LOG", "")
IS_ARMED: Final = bool(_SPEC)


def _parsed(spec: str) -> dict[str, list[int]]:
    """Return [how often still to pass, how often to kill] by name."""
    aims: dict[str, list[int]] = {}
    for part in filter(None, spec.split(",")):
        name, skip, times = (part + "::").split(":")[:3]
        aims[name] = [int(skip or 0), int(times or 1)]
    return aims


_aims: Final = _parsed(_SPEC)


def reach(name: str) -> None:
    """Die here when the test asks for it."""
    if IS_ARMED and name in _aims:
        _die_when_due(name)


def is_aimed_at(name: str) -> bool:
    """Whether this place is one that kills, so that a write there is done by halves first."""
    return IS_ARMED and name in _aims and _kills(name) < _aims[name][1]


def _die_when_due(name: str) -> None:
    aim = _aims[name]
    if aim[0] > 0:
        aim[0] -= 1
    elif _kills(name) < aim[1]:
        _note(name)
        os.kill(os.getpid(), signal.SIGKILL)


def _kills(name: str) -> int:
    try:
        with open(_LOG, encoding="utf-8") as log:
            return sum(line.strip() == name for line in log)
    except OSError:
        return 0


def _note(name: str) -> None:
    if _LOG:
        with open(_LOG, "a", encoding="utf-8") as log:
            log.write(name + "\n")
