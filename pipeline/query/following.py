"""
What is written from now on, file after file: over rotation, new parts, files of other instances.

A file is known by its name without packing, and read from where it was left. One that is packed meanwhile has
been read to its end before, or is read on from the same place in the packed one. One that was cut (somebody
emptied it, or a tail in doubt was taken back) is read on from its new end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.query import waiting
from pipeline.query.passage import end_of_lines, forwards, head
from pipeline.query.report import Report
from pipeline.query.run import found
from pipeline.query.scan import START, Scan
from pipeline.query.sources import sources
from pipeline.query.spans import days_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.query.plan import Plan
    from pipeline.query.scan import Found
    from pipeline.query.sources import Source


def follow(plan: Plan, is_over: Callable[[], bool], poll_sec: float) -> Iterator[Found]:
    """Yield the last records if the plan has a tail, then later ones until it is over."""
    follower = _Follower(plan)
    if plan.tail:
        yield from follower.last()
    while True:
        is_last_look = is_over()
        yield from follower.later()
        if is_last_look:
            return
        time.sleep(poll_sec)


class _Follower:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._scan = Scan(plan.question, Report(), completes=plan.completes)
        there = self._sources()
        self._read = {source.stem: end_of_lines(source) for source in there if not source.packing}
        self._finished = {source.stem for source in there if source.packing}

    def last(self) -> Iterator[Found]:
        """Yield the last records of what was there at the beginning."""
        return found(self._plan, Report(), ends=self._read)

    def later(self) -> Iterator[Found]:
        """Yield what was written since the last look, and remember how far that is."""
        for source in self._sources():
            if source.stem in self._finished:
                continue
            start = self._read.setdefault(source.stem, 0)
            if source.packing:
                self._finished.add(source.stem)
            elif source.size <= start:
                self._read[source.stem] = source.size
                continue
            yield from self._on(source, start)

    def _on(self, source: Source, start: int) -> Iterator[Found]:
        try:
            is_ours = head(source).startswith(START)
            for chunk in forwards(source, start):
                self._read[source.stem] = chunk.offset + chunk.end
                yield from self._scan.records(chunk, source.name, is_ours=is_ours)
        except OSError:
            return  # gone, or not to be read now: the next look sees

    def _sources(self) -> list[Source]:
        plan = self._plan
        look = waiting.look(plan.log_dir, Report(), fallback=False, queue=False)
        return sources(plan.log_dir, *days_of(plan.question), look.cuts)
