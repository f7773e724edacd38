"""How much of a caller's values is converted: bounds on depth, number and length."""

from __future__ import annotations

from typing import Final

DEPTH_MAX: Final = 200
"""Levels of nesting kept. orjson refuses at 255, and some readers of JSON much earlier."""

VALUES_MAX: Final = 250_000
"""
Values of one record that are converted. Twenty objects that all refer to each other have more paths
through them than there is time for; this many take half a second.
"""

TEXT_CHARS_MAX: Final = 10_000
"""Characters kept of what an object says of itself. Text that the caller passed is not cut."""

FRAMES_MAX: Final = 50
"""Innermost frames kept of a traceback; a RecursionError has a thousand."""
