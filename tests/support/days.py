"""A log directory with several days in it, as real producers and a real writer have left them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.apps import Site
from support.rig import Rig

from pipeline.verification import verify

DAY_SEC = 86_400
DAYS = tuple(f"2025-11-{day}" for day in range(21, 27))
"""The days of a history, the last one still going on when everybody ended."""


def history(target: Path, days: int = len(DAYS), records: int = 30, **settings: object) -> Path:
    """Make a log directory with so many days, whose writer has ended; return it."""
    rig = Rig(**settings)
    try:
        write_days(rig, days, records)
        end(rig)
        rig.copy_to(target)
    finally:
        rig.close()
    assert not verify(target).findings
    return target


@contextmanager
def site_over(days: Path, home: Path) -> Iterator[Site]:
    """Give a site over a copy of a log directory; this process looks for its pipeline there, too."""
    with Site(home) as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_RUNTIME_ROOT", str(site.root))
        shutil.copytree(days, site.log_dir)
        yield site


def write_days(rig: Rig, days: int, records: int = 30) -> None:
    """Let a producer emit on so many days; the clock then stands in the last of them."""
    producer = rig.emitters[0] if rig.emitters else rig.producer()
    for day in range(days):
        if day:
            rig.pass_time(DAY_SEC)
            rig.drain()
        for tag in range(records):
            rig.emit(producer, day * 1000 + tag, size=100)
        rig.drain()


def end(rig: Rig) -> None:
    """End producers and writer as a stop does."""
    for producer in list(rig.emitters):
        rig.close_producer(producer)
    rig.drain()
    rig.writer.stop_own_lane("stopped")
    rig.kill_writer()
