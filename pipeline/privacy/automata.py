"""
RE2, which reads each byte of a text once whatever the pattern is: the only module that imports it.

Imported by start_pipeline(), never by `import pipeline`. All of it works on bytes; our own patterns are ASCII
and see bytes, a caller's see characters.

Two things to know of it. A search adds states to its automaton, under a lock: in the child of a fork, which
another thread may have held it for ever, nothing of the parent's is used (`MaskingEncoder.become_child`). And
a search lets go of the interpreter's lock, as every matcher does that was tried (decision 11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

Search = Callable[[bytes], list[int]]
"""The numbers of the patterns that are found in a text; an empty list is false."""
_MEMORY_MAX: Final = 16 << 20
"""
Bound on the states of one automaton; when it is reached they are thrown away and made anew.

Ordinary records need about 1 MiB of it.
"""


class Span(NamedTuple):
    """A match: its own bounds, and those of each group, (-1, -1) for one that took no part."""

    start: int
    end: int
    groups: tuple[tuple[int, int], ...]


def search_any(patterns: Sequence[str], *, is_text: bool = False) -> Search:
    """Return what tells whether any of the patterns is found: [0] or []. One pattern is faster than many."""
    return search_each(["|".join(f"(?:{pattern})" for pattern in patterns)], is_text=is_text)


def search_each(patterns: Sequence[str], *, is_text: bool = False) -> Search:
    """Return what tells which of the patterns are found, upper and lower case being the same."""
    from re2 import _re2

    options = _options(is_text=is_text)
    options.case_sensitive = False
    searched = _re2.Set(_re2.RE2.Anchor.UNANCHORED, options)
    added = [searched.Add(pattern.encode()) for pattern in patterns]
    if -1 in added or not searched.Compile():  # it would find nothing, and say nothing
        raise ValueError(f"RE2 cannot search for all of {len(added)} patterns at once")
    found: Search = searched.Match
    return found


class Expression:
    """One compiled pattern. ValueError when RE2 does not take it."""

    def __init__(self, pattern: str, *, is_text: bool = False) -> None:
        import re2

        try:
            self._compiled = re2.compile(pattern.encode(), _options(is_text=is_text))
        except re2.error as error:
            raise ValueError(f"a pattern that RE2 takes: {_told(error)}") from error
        self.groups: int = self._compiled.groups

    def matches(self, text: bytes) -> Iterator[Span]:
        """Yield the matches from left to right, none overlapping another."""
        for match in self._compiled.finditer(text):
            groups = tuple(match.span(group) for group in range(1, self.groups + 1))
            start, end = match.span()
            yield Span(start, end, groups)


def _options(*, is_text: bool) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY_MAX
    options.log_errors = False
    options.never_nl = False
    options.encoding = re2.Options.Encoding.UTF8 if is_text else re2.Options.Encoding.LATIN1
    return options


def _told(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
