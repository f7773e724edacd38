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
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pipeline.privacy.effort import Effort

Search = Callable[[bytes], list[int]]
"""The numbers of the patterns that are found in a text; an empty list is false."""
_MEMORY_MAX: Final = 16 << 20
"""
Bound on the states of one automaton; when it is reached they are thrown away and made anew.

Ordinary records need about 1 MiB of it.
"""


Spans = list[tuple[int, int]]
"""Where a match is, then where each of its groups is; (-1, -1) for one that took no part."""


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
    """
    One compiled pattern. ValueError when RE2 does not take it.

    A match takes 0.8 µs, with groups 1.5 to 2.7, and half as much again if it goes through the package's
    Python.
    """

    def __init__(self, pattern: str, *, is_text: bool = False, has_groups: bool = True) -> None:
        from re2 import _re2

        options = _options(is_text=is_text)
        options.never_capture = not has_groups
        compiled = _re2.RE2(pattern.encode(), options)
        if not compiled.ok():
            raise ValueError(f"a pattern that RE2 takes: {_told(compiled.error())}")
        self._match = compiled.Match
        self._anywhere = _re2.RE2.Anchor.UNANCHORED
        self._there = _re2.RE2.Anchor.ANCHOR_START
        self._whole = _re2.RE2.Anchor.ANCHOR_BOTH

    def search(self, text: bytes, start: int = 0) -> Spans | None:
        """Return the first match that begins at a place or behind it."""
        spans: Spans = self._match(self._anywhere, text, start, len(text))
        return None if spans[0][0] < 0 else spans

    def match(self, text: bytes, start: int) -> Spans | None:
        """Return the match that begins at a place."""
        spans: Spans = self._match(self._there, text, start, len(text))
        return None if spans[0][0] < 0 else spans

    def fullmatch(self, text: bytes) -> Spans | None:
        """Return the match that is the whole text."""
        spans: Spans = self._match(self._whole, text, 0, len(text))
        return None if spans[0][0] < 0 else spans

    def matches(self, text: bytes, effort: Effort) -> Iterator[Spans]:
        """Yield the matches from left to right, none overlapping another; an empty one is none."""
        match, anywhere, size = self._match, self._anywhere, len(text)
        at = 0
        while at <= size:
            spans: Spans = match(anywhere, text, at, size)
            start, end = spans[0]
            if start < 0:
                return
            if end > start:
                effort.spend()
                yield spans
            at = end if end > start else end + 1


def _options(*, is_text: bool) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY_MAX
    options.log_errors = False
    options.never_nl = False
    options.encoding = re2.Options.Encoding.UTF8 if is_text else re2.Options.Encoding.LATIN1
    return options


def _told(error: bytes | str) -> str:
    return error.decode(errors="replace") if isinstance(error, bytes) else error
