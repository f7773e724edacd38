"""What is written from now on, file after file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.query.passage import forwards
from pipeline.query.report import Report
from pipeline.query.run import found
from pipeline.query.scan import Scan
from pipeline.query.sources import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.query.plan import Plan
    from pipeline.query.scan import Found


def follow(plan: Plan, is_over: Callable[[], bool], poll_sec: float) -> Iterator[Found]:
    """Yield the last records if the plan has a tail, then later ones until it is over."""
    scan = Scan(plan.question, Report(), completes=plan.completes)
    read = {source.stem: source.size for source in sources(plan.log_dir, "", "", {})}
    if plan.tail:
        yield from found(plan, Report())
    while not is_over():
        for source in sources(plan.log_dir, "", "", {}):
            start = read.setdefault(source.stem, 0)
            if source.packing or source.size <= start:
                continue
            for chunk in forwards(source, start):
                yield from scan.records(chunk, source.name)
                read[source.stem] = chunk.offset + chunk.end
        time.sleep(poll_sec)
