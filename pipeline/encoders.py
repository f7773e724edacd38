"""How the records of a process are encoded: by `records`, masked and cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.privacy.encoder import MaskingEncoder
from pipeline.queue.layout import MASKED, TRUNCATED
from pipeline.records.body_cut import cut_body
from pipeline.records.importance import ACTION_TYPE_CHARS_MAX
from pipeline.records.output_cut import output_cut

if TYPE_CHECKING:
    from pipeline.settings import Settings

Count = Callable[[str, str], object]
_LONG_TYPE_CHARS: Final = 4096


def masking_of(settings: Settings, *, count: Count, is_on: bool) -> MaskingEncoder:
    """
    Return what masks and cuts what is encoded; not on for the pipeline's own records.

    `count` is called with what happened, and the rule or the setting by which it did.
    """
    is_cut = settings.truncate_large_output and settings.truncate_fields
    cut = output_cut(settings.truncate_fields, settings.max_output_chars) if is_cut else None
    return MaskingEncoder(
        settings,
        _counted(cut, count) if cut else None,
        count=lambda rule: count(MASKED, rule),
        is_on=is_on,
    )


def shortening_of(masking: MaskingEncoder, bytes_max: int, count: Count) -> Callable[[bytes], bytes]:
    """Return what cuts long outputs of a masked body, and then what makes it larger than any may be."""

    def shortened(body: bytes) -> bytes:
        body = masking.shortened(body)
        if len(body) > bytes_max:
            body = cut_body(body, bytes_max)
            count(TRUNCATED, "max_record_bytes")
        return body

    return shortened


def _counted(cut: Callable[[bytes], bytes], count: Count) -> Callable[[bytes], bytes]:
    def cut_and_count(body: bytes) -> bytes:
        shorter = cut(body)
        if len(shorter) < len(body):
            count(TRUNCATED, "max_output_chars")
        return shorter

    return cut_and_count


def quoted_type(encode: Callable[[dict[str, Any]], bytes], action_type: str) -> bytes:
    """Return an action_type as JSON text, masked before it is cut: half a secret is not recognised."""
    if len(action_type) > ACTION_TYPE_CHARS_MAX:
        action_type = orjson.loads(encode({"": action_type[:_LONG_TYPE_CHARS]}))[""]
    return encode({"": action_type[:ACTION_TYPE_CHARS_MAX]})[4:-1]
