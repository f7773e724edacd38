"""
Text for a terminal: what a terminal would obey, or not show at all, is written as an escape that can be read.

A record holds whatever somebody sent: colours and cursor movements, titles, clipboard writes (OSC 52), and
characters that turn the direction of text or take no room. Shown as they are, they would make the screen tell
something else than the file.

Covered: C0 and C1 controls with ESC and DEL, line and paragraph separators, bidirectional overrides,
characters of no width, lone surrogates, private and unassigned code points (all that `str.isprintable`
refuses), and what Unicode calls default ignorable though it counts as a letter or a mark. Wide and narrow
spaces are let through.
"""

from __future__ import annotations

import re
from typing import Final

_SPACES: Final = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_IGNORABLE: Final = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)
# Source: DerivedCoreProperties.txt, Default_Ignorable_Code_Point, without what is of category Cf or Cn.
_HIDDEN: Final = re.compile(f"[{_IGNORABLE}]")
_IS_SPACE: Final = re.compile(f"[{_SPACES}]")


def visible(text: str | bytes) -> str:
    """Return the text so that a terminal shows it and obeys none of it; line breaks and tabs are escaped."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if _is_harmless(text):
        return text
    return "".join(char if _is_shown(char) else _python_escape(char) for char in text)


def visible_json(line: str | bytes) -> str:
    """
    Return a JSON text so that a terminal shows it and obeys none of it, and it means the same.

    Outside of strings JSON has only printable characters and white space; inside, any may be an escape.
    """
    if isinstance(line, bytes):
        line = line.decode("utf-8", "backslashreplace")
    if _is_harmless(line):
        return line
    return "".join(char if _is_shown(char) else _json_escape(char) for char in line)


def _is_harmless(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _HIDDEN.search(text) is None)


def _is_shown(char: str) -> bool:
    if char.isprintable():
        return _HIDDEN.match(char) is None
    return _IS_SPACE.match(char) is not None


def _python_escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
