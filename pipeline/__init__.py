"""
A flight recorder for Python applications.

Any number of processes `emit()` structured records; a supervised writer puts them into daily JSONL files.
Once `emit()` has returned a number, nothing short of losing the machine loses that record, and nothing writes
it twice.

    from pipeline import start_pipeline

    pl = start_pipeline("logs")
    pl.emit("tool_call", tool_name="bash", args={"command": "ls"})
"""

from pipeline.app import Pipeline, attach, close, emit, flush, start_pipeline
from pipeline.errors import NotDurable, PipelineError, SettingsError
from pipeline.launch import VERSION as __version__  # noqa: N811 - the attribute's name is Python's
from pipeline.logger import get_logger
from pipeline.records.context import context

__all__ = [
    "NotDurable",
    "Pipeline",
    "PipelineError",
    "SettingsError",
    "__version__",
    "attach",
    "close",
    "context",
    "emit",
    "flush",
    "get_logger",
    "start_pipeline",
]
