"""`python -P -m workers ROLE …`: how the library starts the pipeline's own processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.paths import Places, places_at
from workers.policy import EXIT_CRASH


def main(arguments: list[str]) -> int:
    """Run one role and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="workers", description="The pipeline's own processes; not for use by hand."
    )
    parser.add_argument("role", choices=("supervisor", "writer", "keeper"))
    parser.add_argument("--log-dir", required=True)
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--service", action="store_true")
    parser.add_argument("--take-over", action="store_true")
    parser.add_argument("--cause", default="")
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--hangs", type=int, default=0)
    given = parser.parse_args(arguments)
    places = places_at(Path(given.log_dir), Path(given.state_dir))
    if given.role == "supervisor":
        return _supervise(places, given)
    if given.role == "keeper":
        return _keep(places)
    return _write(places, given)


def _supervise(places: Places, given: argparse.Namespace) -> int:
    from workers import supervisor

    return supervisor.main(places, is_service=given.service, takes_over=given.take_over)


def _write(places: Places, given: argparse.Namespace) -> int:
    from workers import child

    return child.main(
        places, is_service=given.service, cause=given.cause, restarts=given.restarts, hangs=given.hangs
    )


def _keep(places: Places) -> int:
    from workers import keeper

    return keeper.main(places)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        sys.exit(EXIT_CRASH)
