"""
What `import pipeline` offers is exactly what the documentation promises, and each name says what it is.

A name that slips in is a promise nobody meant to give; one that slips out breaks somebody's application.
"""

import inspect
import re
import types
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).parents[2]

PUBLIC_NAMES = [
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
PIPELINE_MEMBERS = [
    *("aemit", "aflush", "close", "emit", "flush", "health", "queue", "wants"),
    *("llm", "session", "span", "tool"),
]


def test_public_names_are_the_documented_list() -> None:
    """`pipeline.__all__` is the list above; adding to it is a decision that this test asks for."""
    assert sorted(pipeline.__all__) == PUBLIC_NAMES


def test_nothing_else_looks_public() -> None:
    """A name of the package without underscore is in `__all__`, or is one of its modules."""
    # "@py_assert" and its like are pytest's, which rewrites the packages that plugins are in.
    others = {name for name in vars(pipeline) if not name.startswith(("_", "@"))} - set(pipeline.__all__)
    strangers = sorted(name for name in others if not is_own_module(getattr(pipeline, name)))
    assert strangers in ([], ["annotations"], ["TYPE_CHECKING"])


def is_own_module(value: object) -> bool:
    """Say whether the value is a module inside our package."""
    return isinstance(value, types.ModuleType) and value.__name__.startswith("pipeline.")


@pytest.mark.parametrize("name", [name for name in PUBLIC_NAMES if not name.startswith("_")])
def test_public_name_has_a_docstring_of_its_own(name: str) -> None:
    """`help()` on a public name tells what it does, and not what a base class does."""
    assert inspect.cleandoc(getattr(pipeline, name).__doc__ or "")


@pytest.mark.parametrize("name", PIPELINE_MEMBERS)
def test_pipeline_member_has_a_docstring(name: str) -> None:
    """`help(Pipeline)` tells what each promised member does."""
    member = inspect.getattr_static(pipeline.Pipeline, name)
    assert inspect.cleandoc(inspect.getdoc(member) or ""), name


@pytest.mark.parametrize("name", [name for name in PUBLIC_NAMES if not name.startswith("_")])
def test_public_name_is_in_the_documentation(name: str) -> None:
    """README or a page under docs shows the name as code."""
    pages = [*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")]
    assert any(re.search(rf"\b{name}\b", page.read_text("utf-8")) for page in pages)


def test_version_is_the_one_of_the_distribution() -> None:
    """`pipeline.__version__` cannot differ from what pip shows."""
    from importlib.metadata import version

    assert pipeline.__version__ == version("lossless-pipeline")
