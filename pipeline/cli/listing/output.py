"""Where lines go: a terminal with a pager where they are many, a pipe, a file, or a host program's stream."""

from __future__ import annotations

import os
import select
import sys
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WIDTH_ELSE: Final = 100
_HEIGHT_ELSE: Final = 24
_PROMPT_LINES: Final = 1
_FRAME_LINES: Final = 8
"""Of a table, its footer, and the prompt."""
_LESS: Final = "LESS"
_LESS_OPTIONS: Final = "FRX"


def _size() -> os.terminal_size:
    import shutil

    return shutil.get_terminal_size((_WIDTH_ELSE, _HEIGHT_ELSE))


def _has_keys() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class Output(NamedTuple):
    """A stream, and what may be sent to it."""

    stream: Any
    """A text stream; its buffer is used where it has one."""
    is_terminal: bool
    has_color: bool
    has_pager: bool

    @classmethod
    def to(cls, stream: Any, color: str = "auto", *, may_page: bool = True) -> Output:
        """Return the output to a text stream; `color` is auto, always or never."""
        is_terminal = bool(getattr(stream, "isatty", bool)())
        wants = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        has_color = color == "always" or (color == "auto" and wants)
        # A pager reads keys, and is of use for our own stdout alone.
        has_pager = may_page and is_terminal and stream is sys.stdout and _has_keys()
        return cls(stream, is_terminal, has_color, has_pager)

    @property
    def width(self) -> int | None:
        """The cells of a line of the terminal, None where lines may be as long as they are."""
        return _size().columns if self.is_terminal else None

    @property
    def encoding(self) -> str:
        """What text is encoded with."""
        return getattr(self.stream, "encoding", None) or "utf-8"

    def fits(self, lines: int) -> bool:
        """Whether so many lines are shown at once, and not in a pager."""
        return not self.is_terminal or lines < _size().lines - _FRAME_LINES

    def text(self, lines: Iterable[str]) -> None:
        """Write lines of text; what the encoding lacks becomes an escape."""
        self.raw(map(self.encode, lines))

    def raw(self, lines: Iterable[bytes]) -> None:
        """Write lines as they are. BrokenPipeError when nobody reads them any more."""
        rest = iter(lines)
        if self.has_pager:
            height = _size().lines - _PROMPT_LINES
            first = list(islice(rest, height + 1))
            if len(first) > height:
                self._page(chain(first, rest))
                return
            rest = iter(first)
        self._write(rest)

    def now(self, lines: Iterable[bytes | str]) -> None:
        """Write lines and let them be seen at once, without a pager: more of them are to come."""
        self._write(line if isinstance(line, bytes) else self.encode(line) for line in lines)

    def has_reader(self) -> bool:
        """Whether somebody still reads; BrokenPipeError when the reader of a pipe has gone away."""
        try:
            look = select.poll()
            look.register(self.stream.fileno(), 0)
        except (AttributeError, OSError, ValueError):
            return True  # no descriptor: a stream of the host program
        if any(event & select.POLLERR for _, event in look.poll(0)):
            raise BrokenPipeError
        return True

    def encode(self, line: str) -> bytes:
        """Return a line of text as the stream's bytes."""
        return line.encode(self.encoding, "backslashreplace")

    def _write(self, lines: Iterator[bytes]) -> None:
        binary: BinaryIO | None = getattr(self.stream, "buffer", None)
        for line in lines:
            if binary is None:
                self.stream.write(line.decode(self.encoding, "backslashreplace") + "\n")
            else:
                binary.write(line + b"\n")
        self.stream.flush()

    def _page(self, lines: Iterator[bytes]) -> None:
        """Show lines in $PAGER or less; who leaves it has seen enough."""
        import click

        texts = (line.decode(self.encoding, "backslashreplace") + "\n" for line in lines)
        # As git does: leave at once if it fits, keep the colours, do not chop, do not clear.
        is_ours = os.environ.setdefault(_LESS, _LESS_OPTIONS) is _LESS_OPTIONS
        try:
            click.echo_via_pager(texts, color=self.has_color)
        finally:
            if is_ours:
                del os.environ[_LESS]
