"""A process that forks a child for each piece of work: a kill costs a fork, not an interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILED = 9
"""What a child exits with whose work raised."""


def serve(work: Callable[..., object]) -> None:
    """Do the work in a child for each line of standard input, and print how it ended: the nursery itself."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _end(work, *json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def aim(home: str, spec: str) -> None:
    """Let fail points kill this process; those that did are in the file `kills`."""
    failpoint.IS_ARMED, failpoint._aims, failpoint._LOG = bool(spec), failpoint._parsed(spec), f"{home}/kills"


@contextmanager
def nursery(code: str, runtime_root: Path) -> Iterator[Callable[..., int]]:
    """
    Give a function that has the work done and returns how it ended, as `Popen.returncode` does.

    `code` ends with `serve(work)`; what the function is given goes to `work` as JSON has it.
    """
    tests = str(Path(__file__).parents[1])
    env = os.environ | {"PIPELINE_RUNTIME_ROOT": str(runtime_root), "PYTHONPATH": tests}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def have_done(*given: object) -> int:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield have_done
        process.stdin.close()


def _end(work: Callable[..., object], *given: object) -> None:
    try:
        work(*given)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except BaseException:  # noqa: BLE001 - the forked copy of a test process must end here
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)
