"""
Keys that the documents name and that have no effect yet, each with what it waits for.

They are accepted wherever a setting is, so that a file can be used as it is; `pipeline config check` lists
those that a file has. Whoever builds one adds its row to the table and takes its line away here.
"""

from __future__ import annotations

from typing import Final

LATER: Final[dict[str, str]] = {
    "FailoverAppender": "a callback at the change to the fallback store",
}
"""Names in the `logging` block, and in a file of our own."""

OBSERVABILITY: Final[dict[str, str]] = {
    "enabled": "metrics and traces",
    "metrics_enabled": "metrics",
    "tracing_enabled": "traces",
    "profiling_enabled": "profiling",
    "metrics.collection_interval": "metrics",
    "metrics.storage_backend": "metrics",
    "metrics.retention_days": "metrics",
    "tracing.sampling_rate": "sampling of traces",
    "tracing.exporter": "traces",
    "tracing.batch_size": "traces",
    "tracing.export_interval": "traces",
    "profiling.enabled": "profiling; the same switch as profiling_enabled",
    "profiling.cpu_profiling": "profiling",
    "profiling.memory_profiling": "profiling",
    "profiling.io_profiling": "profiling",
}
"""Keys below `[observability]`."""
