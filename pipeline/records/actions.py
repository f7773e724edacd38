"""The 19 action types: what a user, an agent, a model, a tool, a session, a hook or the system did."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from pipeline.records.typed import (
    DurationMs,
    ErrorMessage,
    ErrorType,
    Model,
    PermissionLevel,
    Provider,
    Record,
    RequestId,
    ToolName,
    ToolUseId,
)

HookName = Annotated[str, Meta(description="Name of the hook.")]
HookType = Annotated[str, Meta(description="How it is run, such as `command`.")]


class UserInput(Record):
    """A user has said something."""

    content: Annotated[str, Meta(description="What was said.")]
    input_mode: Annotated[str, Meta(description="Where it came from, such as `interactive`.")] | None = None


class UserCommand(Record):
    """A user has given a command to the application itself."""

    command: Annotated[str, Meta(description="The command, such as `/status`.")]
    args: Annotated[list[Any], Meta(description="Its arguments.")] | None = None


class AgentStateChange(Record):
    """An agent has gone from one state to another."""

    to_state: Annotated[str, Meta(description="State it is in now.")]
    from_state: Annotated[str, Meta(description="State it was in.")] | None = None
    reason: Annotated[str, Meta(description="Why.")] | None = None


class AgentThinking(Record):
    """An agent has thought. Off unless `action_types` switches it on."""

    thinking_content: Annotated[str, Meta(description="What it thought.")] | None = None
    duration_ms: DurationMs | None = None


class LlmRequest(Record):
    """A model is asked."""

    model: Model
    provider: Provider | None = None
    messages_count: Annotated[int, Meta(description="Messages that were sent.")] | None = None
    tools_count: Annotated[int, Meta(description="Tools that were offered.")] | None = None
    temperature: Annotated[float, Meta(description="Temperature asked for.")] | None = None
    max_tokens: Annotated[int, Meta(description="Longest answer asked for, in tokens.")] | None = None
    request_id: RequestId | None = None


class LlmResponse(Record):
    """A model has answered."""

    request_id: RequestId | None = None
    response_type: Annotated[str, Meta(description="What the answer is, such as `tool_use`.")] | None = None
    tool_calls: (
        Annotated[
            list[dict[str, Any]],
            Meta(description="Tools it wants used: objects with `tool` and `tool_use_id`."),
        ]
        | None
    ) = None
    input_tokens: Annotated[int, Meta(description="Tokens of the request.")] | None = None
    output_tokens: Annotated[int, Meta(description="Tokens of the answer.")] | None = None
    duration_ms: DurationMs | None = None
    provider: Provider | None = None
    model: Model | None = None


class LlmError(Record):
    """A model has not answered."""

    error_type: ErrorType
    error_message: ErrorMessage | None = None
    request_id: RequestId | None = None
    retry_after: Annotated[float, Meta(description="When to try again, in seconds.")] | None = None
    duration_ms: DurationMs | None = None
    provider: Provider | None = None
    model: Model | None = None


class ToolCall(Record):
    """A tool is called."""

    tool_name: ToolName
    tool_use_id: ToolUseId | None = None
    args: Annotated[dict[str, Any], Meta(description="Its arguments by name.")] | None = None
    permission_level: PermissionLevel | None = None


class ToolResult(Record):
    """A tool has done its work."""

    tool_use_id: ToolUseId | None = None
    tool_name: ToolName | None = None
    success: Annotated[bool, Meta(description="Whether it reached what it was called for.")] | None = None
    output: Annotated[Any, Meta(description="What it gave back: text, or any other value.")] = None
    duration_ms: DurationMs | None = None


class ToolError(Record):
    """A tool has failed."""

    error_type: ErrorType
    error_message: ErrorMessage | None = None
    tool_use_id: ToolUseId | None = None
    tool_name: ToolName | None = None
    duration_ms: DurationMs | None = None


class ToolPermission(Record):
    """A user was asked whether a tool may be used."""

    user_decision: Annotated[str, Meta(description="What the user decided, such as `approved`.")]
    permission_level: PermissionLevel | None = None
    decision_time_ms: Annotated[float, Meta(description="How long that took, in ms.")] | None = None
    tool_use_id: ToolUseId | None = None
    tool_name: ToolName | None = None


class _Session(Record):
    project_name: Annotated[str, Meta(description="Project that the session works on.")] | None = None
    metadata: (
        Annotated[dict[str, Any], Meta(description="What else there is to know, such as the platform.")]
        | None
    ) = None


class SessionStart(_Session):
    """A session has begun."""


class SessionEnd(_Session):
    """A session has ended."""

    reason: Annotated[str, Meta(description="Why.")] | None = None
    duration_ms: DurationMs | None = None
    error_type: ErrorType | None = None
    error_message: ErrorMessage | None = None


class SessionPause(_Session):
    """A session rests."""

    reason: Annotated[str, Meta(description="Why.")] | None = None


class SessionResume(_Session):
    """A session goes on."""

    reason: Annotated[str, Meta(description="Why.")] | None = None


class HookExecute(Record):
    """A hook has run. Off unless `action_types` switches it on."""

    hook_name: HookName
    hook_type: HookType | None = None
    duration_ms: DurationMs | None = None


class HookError(Record):
    """A hook has failed."""

    hook_name: HookName
    hook_type: HookType | None = None
    error_type: ErrorType | None = None
    error_message: ErrorMessage | None = None
    duration_ms: DurationMs | None = None


class SystemError(Record):  # noqa: A001 - the documents' name; Python's own is for its interpreter's defects
    """A component of the application has failed."""

    error_message: ErrorMessage
    component: Annotated[str, Meta(description="Which one.")] | None = None
    traceback: Annotated[str, Meta(description="Where in the code, as Python prints it.")] | None = None


class SystemWarning(Record):
    """A component of the application has met something odd."""

    error_message: ErrorMessage
    component: Annotated[str, Meta(description="Which one.")] | None = None
    traceback: Annotated[str, Meta(description="Where in the code, as Python prints it.")] | None = None
