"""What the commands exit with: one table for all of them, and the reference page is made from it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """The exit codes by name."""

    DONE = 0
    BAD_NEWS = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_POSSIBLE = 4
    DEFECT = 70
    HUNG_UP = 129
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


EXIT_CODES: Final[dict[int, str]] = {
    Exit.DONE: "Done, and nothing is wrong. `status`: ok or degraded.",
    Exit.BAD_NEWS: "The command ran, and its answer is bad: `verify` has findings, `account` does not "
    "balance, `demo` lost something, `mask scan` found something, `log` could not read a file, `cleanup` "
    "had to leave a file as it was, `status` is failing, or what was asked for was not reached within "
    "`--timeout`.",
    Exit.USAGE: "The command was given something it cannot use; the message says what to try.",
    Exit.NOT_RUNNING: "No pipeline runs over this log directory.",
    Exit.NOT_POSSIBLE: "The command could not do its work here: no permission, no usable directory, no "
    "interpreter for the workers, or a service that runs already.",
    Exit.DEFECT: "A defect of this program; the traceback says where. Please report it.",
    Exit.HUNG_UP: "Ended by SIGHUP. `record` has handed over everything it had read.",
    Exit.INTERRUPTED: "Ended by Ctrl+C (SIGINT). `record` has handed over everything it had read.",
    Exit.PIPE_CLOSED: "Whoever read our output went away.",
    Exit.TERMINATED: "Ended by SIGTERM. `record` has handed over everything it had read.",
}
"""Each code with its meaning."""
