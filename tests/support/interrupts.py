"""
An exception at each place where CPython runs signal handlers: behind a call, and at the entry of a function.

A handler of the user's may raise there (Ctrl+C does). A profile function sees the same places, one after the
other, so each of them can be tried in turn, which no storm of real signals does. Places inside the standard
library are left out: what is raised there arrives in our code behind the call, which is a place of its own.
"""

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pipeline

_OURS = os.path.dirname(pipeline.__file__) + os.sep


class Interrupted(BaseException):
    """What the user's signal handler raised."""


def interrupted_at(place: int, action: Callable[[], Any]) -> bool:
    """Run an action and raise in it at the nth place, from 0; False when it has fewer and ran to its end."""
    left = place

    def look(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal left
        if _is_place(frame, event):
            left -= 1
            if left < 0:
                raise Interrupted

    return _ran_into(look, action)


def places_in(action: Callable[[], Any]) -> int:
    """Run an action to its end and return how many places it has."""
    count = 0

    def look(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += _is_place(frame, event)

    _ran_into(look, action)
    return count


def _ran_into(look: Callable[[FrameType, str, object], None], action: Callable[[], Any]) -> bool:
    sys.setprofile(look)
    try:
        action()
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return False


def _is_place(frame: FrameType, event: str) -> bool:
    if event in ("call", "c_return"):
        return _is_ours(frame)
    return event == "return" and (_is_ours(frame) or _is_ours(frame.f_back))


def _is_ours(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename.startswith(_OURS)
