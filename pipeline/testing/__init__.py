"""
Fakes for tests, ours and yours.

    with capture_events() as events:         # what this process emits, as a list of dicts
        pipeline.emit("user_input", content="hi")
    assert events[0]["content"] == "hi"

    agent = Agent(MemoryPipeline())          # a pipeline without processes and files

    with FragileDirectory(path) as disk:     # a directory that forgets what was not synced
        ...                                  # write below `path`, in this process
        disk.cut_power(random.Random(7))     # below `path` is now what a power cut may leave

Tests with pytest have the fixture `pipeline_records`, which is `capture_events()` around a test.
"""

from pipeline.testing.fragile import FragileDirectory
from pipeline.testing.memory import MemoryPipeline, capture_events

__all__ = ["FragileDirectory", "MemoryPipeline", "capture_events"]
