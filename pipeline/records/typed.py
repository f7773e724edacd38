"""
The base of typed records, and the kinds of fields they share.

A typed record is a `msgspec.Struct`: made in about 0.1 µs, checked by type checkers, and never validated when
it is made: what is wrong in it is found by `emit()`, the same way as in a record given as keywords or as a
mapping. A field that is None is not recorded.

Importing this module imports msgspec, so nothing that `import pipeline` loads does it: the names are in
`pipeline` all the same, loaded at first use.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from pipeline.records import declared
from pipeline.records.forms import type_name

DurationMs = Annotated[float, Meta(description="How long it took, in milliseconds.")]
ErrorType = Annotated[str, Meta(description="Kind of the error, such as the name of its class.")]
ErrorMessage = Annotated[str, Meta(description="What the error says.")]
Model = Annotated[str, Meta(description="Name of the model.")]
PermissionLevel = Annotated[str, Meta(description="NORMAL, DANGEROUS, or a level of the application's own.")]
Provider = Annotated[str, Meta(description="Who runs the model.")]
RequestId = Annotated[str, Meta(description="Ties a request to its response or error.")]
ToolName = Annotated[str, Meta(description="Name of the tool.")]
ToolUseId = Annotated[str, Meta(description="Ties the records of one use of a tool together.")]


class Record(Struct, kw_only=True, omit_defaults=True, tag_field="action_type", tag=type_name):
    """
    Fields that a record of any type may have.

    Subclass it for types of your own: `class CardPaid(Record): amount: float` is recorded as `card_paid`.
    """

    session_id: Annotated[str, Meta(description="Session that it belongs to.")] | None = None
    execution_id: Annotated[str, Meta(description="Run of an agent or job within the session.")] | None = None
    status: (
        Annotated[
            str,
            Meta(
                description="success, error, warning, pending, quota_exceeded, or another word. Without one "
                "it counts as error for `*_error`, warning for `system_warning`, else success. error makes "
                "the record critical."
            ),
        ]
        | None
    ) = None
    level: Annotated[str, Meta(description="DEBUG, INFO, WARNING, ERROR or CRITICAL.")] | None = None
    user_id: Annotated[str | int, Meta(description="On whose behalf.")] | None = None
    trace_id: Annotated[str, Meta(description="Trace of W3C and OpenTelemetry, 32 hex digits.")] | None = None
    span_id: Annotated[str, Meta(description="Span it was emitted in, 16 hex digits.")] | None = None
    parent_span_id: Annotated[str, Meta(description="Span around that one, 16 hex digits.")] | None = None
    baggage: Annotated[dict[str, Any], Meta(description="What travels with the trace.")] | None = None
    sample_rate: (
        Annotated[float, Meta(description="Share of such records that is kept, where they are sampled.")]
        | None
    ) = None

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        declared.note_new_type()
