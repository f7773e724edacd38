"""
Fakes for tests, ours and yours.

    with capture_events() as events:         # what this process emits, as a list of dicts
        pipeline.emit("user_input", content="hi")
    assert events[0]["content"] == "hi"

    agent = Agent(MemoryPipeline())          # a pipeline without processes and files

    with FakeClock() as clock:               # timestamps, durations and limits go by it
        clock.advance(3600)

    with LogDirectoryAway("logs"):           # an outage of a pipeline that runs
        ...

    with FaultyDirectory(path) as disk:      # what this process writes below `path` fails as you say
        disk.refuses["write"] = errno.EIO

    with FragileDirectory(path) as disk:     # a directory that forgets what was not synced
        ...                                  # write below `path`, in this process
        disk.cut_power(random.Random(7))     # below `path` is now what a power cut may leave

Tests with pytest have the fixture `pipeline_records`, which is `capture_events()` around a test.
"""

from pipeline.testing.clock import FakeClock
from pipeline.testing.faulty import FaultyDirectory, LogDirectoryAway
from pipeline.testing.fragile import FragileDirectory
from pipeline.testing.memory import MemoryPipeline, capture_events

__all__ = [
    "FakeClock",
    "FaultyDirectory",
    "FragileDirectory",
    "LogDirectoryAway",
    "MemoryPipeline",
    "capture_events",
]
