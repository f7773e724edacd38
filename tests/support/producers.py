"""
The application of the crash tests: sources in threads, in forked and in spawned children.

Run as a script with a plan in JSON. Fail points are armed in the producers, or in the workers they start,
or in both, by when the variable is set: each process reads it once, when it imports the library.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from support.ledger import Ledger
from support.oracle import digest

if TYPE_CHECKING:
    from pipeline import Pipeline

_VARIABLE = "PIPELINE_FAILPOINT"
_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789 \n\t"\\{}[]:,äöüß€😀\u2028'
_TEXT = "".join(random.Random(1).choices(_LETTERS, k=1 << 16)) * 8


def produce(pipeline: Pipeline, plan: dict[str, Any], source: int) -> None:
    """Emit until the test says stop."""
    ledger = Ledger.open(plan["ledger"])
    row = ledger.row(source)
    row.claim()
    dice = random.Random(plan["seed"] * 1000 + source)
    left = plan["records"] or float("inf")
    while row.has_room and left > 0 and not ledger.is_stopped:
        for _ in range(dice.randrange(1, plan["burst"] + 1)):
            if not row.has_room or left <= 0:
                break
            sequence = row.begin()
            is_big = dice.random() < plan["big_share"]
            length = dice.randrange(plan["big_chars"] if is_big else plan["small_chars"])
            start = dice.randrange(1 << 16)
            payload = _TEXT[start : start + length]
            is_durable = plan["durable_share"] > 0 and dice.random() < plan["durable_share"]
            every = plan["critical_every"]
            begun = time.monotonic_ns()
            waits = is_durable
            number, is_durable = emitted(
                pipeline,
                is_durable,
                level="ERROR" if every and sequence % every == 0 else "INFO",
                source=source,
                seq=sequence,
                payload=payload,
                digest=digest(source, sequence, payload),
            )
            row.acknowledge(sequence, number, is_durable=is_durable)
            if not waits:
                row.note_duration(time.monotonic_ns() - begun)
            left -= 1
        time.sleep(plan["pause_sec"])
    row.finish()


def emitted(pipeline: Pipeline, is_durable: bool, **fields: Any) -> tuple[int, bool]:
    """Emit a record; its number, and whether emit() has said that it is on the disk."""
    from pipeline import NotDurable  # not before main() has armed its fail points

    try:
        number = pipeline.emit("crash_probe", durable=is_durable, **fields)
    except NotDurable as error:
        return error.action_number, False
    return number, is_durable


def produce_all(pipeline: Pipeline, plan: dict[str, Any], sources: list[int]) -> None:
    """Run some sources in threads, the first one in this one; then end as the plan says."""
    threads = [threading.Thread(target=produce, args=(pipeline, plan, source)) for source in sources[1:]]
    for thread in threads:
        thread.start()
    for source in sources[:1]:
        produce(pipeline, plan, source)
    for thread in threads:
        thread.join()
    if plan["closes"]:
        pipeline.close(plan["close_timeout_sec"])


def run_spawned(handle: bytes, plan: dict[str, Any], sources: list[int]) -> None:
    """Be a spawned child; it imports the library when it unpickles the handle."""
    _set_back(plan)
    pipeline = _armed(plan, lambda: pickle.loads(handle))
    produce_all(pipeline, plan, sources)


def main() -> None:
    """Start the pipeline, the children, and the sources of the main process."""
    plan = json.loads(sys.argv[1])
    failpoint = plan["failpoint"]
    _set_back(plan)
    library = _armed(plan, lambda: __import__("pipeline"))
    if failpoint and plan["aim"] in ("workers", "all"):
        os.environ[_VARIABLE] = failpoint
    pipeline = library.start_pipeline(plan["log_dir"], **plan["settings"])
    children = []
    for sources in plan["forked"]:
        context = multiprocessing.get_context("fork")
        children.append(context.Process(target=produce_all, args=(pipeline, plan, sources)))
    for sources in plan["spawned"]:
        context = multiprocessing.get_context("spawn")
        handle = pickle.dumps(pipeline)
        children.append(context.Process(target=run_spawned, args=(handle, plan, sources)))
    for child in children:
        child.start()
    produce_all(pipeline, plan, plan["main"])
    for child in children:
        child.join()


def _armed(plan: dict[str, Any], load: Any) -> Any:
    """Import the library with its fail points armed in this process alone."""
    if not plan["failpoint"] or plan["aim"] not in ("producers", "all"):
        return load()
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = plan["failpoint"]
    loaded = load()
    if before is None:
        del os.environ[_VARIABLE]
    return loaded


def _set_back(plan: dict[str, Any]) -> None:
    """Let this process emit records of an earlier day; before the library is imported."""
    if plan["age_sec"]:
        now = time.time_ns
        time.time_ns = lambda: now() - plan["age_sec"] * 10**9


if __name__ == "__main__":
    main()
