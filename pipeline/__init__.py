"""
A flight recorder for Python applications.

Any number of processes `emit()` structured records; a supervised writer puts them into daily JSONL files.
Once `emit()` has returned a number, nothing short of losing the machine loses that record, and nothing writes
it twice.

    from pipeline import start_pipeline

    pl = start_pipeline("logs")
    pl.emit("tool_call", tool_name="bash", args={"command": "ls"})
"""

from typing import TYPE_CHECKING

from pipeline.app import (
    Pipeline,
    attach,
    close,
    emit,
    flush,
    get_tracer,
    llm,
    session,
    span,
    start_pipeline,
    tool,
)
from pipeline.errors import NotDurable, PipelineError, RecordError, SettingsError
from pipeline.launch import VERSION as __version__  # noqa: N811 - the attribute's name is Python's
from pipeline.logger import get_logger
from pipeline.metrics import get_metrics_collector
from pipeline.profiling import profile
from pipeline.records.context import bind, context, unbind

if TYPE_CHECKING:
    from pipeline.keeping.lifecycle import LogLifecycle as LogLifecycleManager
    from pipeline.query import LogQueryEngine
    from pipeline.records.actions import (
        AgentStateChange,
        AgentThinking,
        HookError,
        HookExecute,
        LlmError,
        LlmRequest,
        LlmResponse,
        SessionEnd,
        SessionPause,
        SessionResume,
        SessionStart,
        SystemError,  # noqa: A004 - the type's name
        SystemWarning,
        ToolCall,
        ToolError,
        ToolPermission,
        ToolResult,
        UserCommand,
        UserInput,
    )
    from pipeline.records.observations import ApiRequest, Log, Metric, Profile, Span
    from pipeline.records.typed import Record
else:

    def __getattr__(name: str) -> object:
        """Load what is asked for at its first use: who only emits needs neither types nor engine."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "LogQueryEngine":
            from pipeline.query import LogQueryEngine

            return LogQueryEngine
        if name == "LogLifecycleManager":
            from pipeline.keeping.lifecycle import LogLifecycle as LogLifecycleManager

            return LogLifecycleManager
        from pipeline.records import actions, observations, typed

        for module in (actions, observations, typed):
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AgentStateChange",
    "AgentThinking",
    "ApiRequest",
    "HookError",
    "HookExecute",
    "LlmError",
    "LlmRequest",
    "LlmResponse",
    "Log",
    "LogLifecycleManager",
    "LogQueryEngine",
    "Metric",
    "NotDurable",
    "Pipeline",
    "PipelineError",
    "Profile",
    "Record",
    "RecordError",
    "SessionEnd",
    "SessionPause",
    "SessionResume",
    "SessionStart",
    "SettingsError",
    "Span",
    "SystemError",
    "SystemWarning",
    "ToolCall",
    "ToolError",
    "ToolPermission",
    "ToolResult",
    "UserCommand",
    "UserInput",
    "__version__",
    "attach",
    "bind",
    "close",
    "context",
    "emit",
    "flush",
    "get_logger",
    "get_metrics_collector",
    "get_tracer",
    "llm",
    "profile",
    "session",
    "span",
    "start_pipeline",
    "tool",
    "unbind",
]
