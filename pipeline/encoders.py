"""How the records of a process are encoded: by `records`, masked and cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pipeline.privacy.encoder import MaskingEncoder
from pipeline.records.importance import ACTION_TYPE_CHARS_MAX
from pipeline.records.output_cut import output_cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings import Settings

_LONG_TYPE_CHARS: Final = 4096


def masking_of(settings: Settings, *, is_on: bool) -> MaskingEncoder:
    """Return what masks and cuts what is encoded; not on for the pipeline's own records."""
    is_cut = settings.truncate_large_output and settings.truncate_fields
    cut = output_cut(settings.truncate_fields, settings.max_output_chars) if is_cut else None
    return MaskingEncoder(settings, cut, is_on=is_on)


def quoted_type(encode: Callable[[dict[str, Any]], bytes], action_type: str) -> bytes:
    """Return an action_type as JSON text, masked before it is cut: half a secret is not recognised."""
    if len(action_type) > ACTION_TYPE_CHARS_MAX:
        action_type = orjson.loads(encode({"": action_type[:_LONG_TYPE_CHARS]}))[""]
    return encode({"": action_type[:ACTION_TYPE_CHARS_MAX]})[4:-1]
