"""
An exception as an object: type, message, and where it was raised.

The traceback has no source lines: reading them would open files inside emit().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.records.value_bounds import FRAMES_MAX
from pipeline.records.value_texts import clean_text, text_of, type_name

if TYPE_CHECKING:
    from types import TracebackType


def exception_form(error: BaseException) -> dict[str, Any]:
    """Return type, message and, where there are any, notes, traceback, cause and a group's exceptions."""
    form = {
        "type": type_name(type(error)),
        "message": text_of(error),
        "notes": getattr(error, "__notes__", None),
        "traceback": _frames(error.__traceback__),
        "cause": error.__cause__ or (None if error.__suppress_context__ else error.__context__),
        "exceptions": _members(error),
    }
    return {key: part for key, part in form.items() if part is not None and part != []}


def _members(error: BaseException) -> list[BaseException] | None:
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else None


def _frames(traceback: TracebackType | None) -> list[str]:
    """Return `file:line in function` for each frame, the innermost last."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(clean_text(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_qualname}"))
        traceback = traceback.tb_next
    omitted = len(frames) - FRAMES_MAX
    return frames if omitted <= 0 else [f"<{omitted} frames before>", *frames[omitted:]]


def error_fields(error: BaseException | None) -> dict[str, Any]:
    """Return what a record says of the error that something has ended with: its status, type and message."""
    if error is None:
        return {}
    return {
        "status": "error",
        "error_type": type(error).__qualname__,
        "error_message": text_of(error, chars_max=None),
    }


def is_plain_exit(error: BaseException | None) -> bool:
    """Whether there was no error, or only the `sys.exit()` of a program that ends well."""
    return error is None or (isinstance(error, SystemExit) and error.code in (None, 0))
