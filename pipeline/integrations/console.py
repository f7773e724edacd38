"""Log lines for people at a terminal, and as JSON where nobody sits before one (a container)."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from pipeline.integrations.logging import JsonFormatter

if TYPE_CHECKING:
    from typing import TextIO


def console_handler(
    level: int | str = logging.INFO,
    *,
    stream: TextIO | None = None,
    is_json: bool | None = None,
    markup: bool = False,
) -> logging.Handler:
    """
    Return a handler for `logging` that writes to `stream` (stderr): coloured lines at a terminal, else JSON.

    `is_json` decides for itself what is written. `markup` lets messages use Rich's markup; leave it off
    where messages hold what others wrote.
    """
    target = stream or sys.stderr
    if is_json is None:
        is_json = not target.isatty()
    handler = logging.StreamHandler(target) if is_json else _for_people(target, markup=markup)
    if is_json:
        handler.setFormatter(JsonFormatter())
    handler.setLevel(level)
    return handler


def _for_people(stream: TextIO, *, markup: bool) -> logging.Handler:
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(file=stream, force_terminal=True)
    rich = RichHandler(console=console, markup=markup, rich_tracebacks=True, show_path=True)
    rich.setFormatter(_Shown("%(message)s", datefmt="[%X]"))
    return rich


class _Shown(logging.Formatter):
    """Shows control characters of a message instead of sending them: a log line must not move the cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return shown(super().formatMessage(record))


def shown(text: str) -> str:
    """Return a text with its control characters, but line breaks and tabs, in the form Python writes them."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
