"""
A mapped segment's view and head words with fail points between every two stores.

Used in place of the plain ones when a test armed a fail point: the append itself stays what is shipped.
"""

from __future__ import annotations

from pipeline.host import failpoint
from pipeline.queue.layout import HEAD_WORD


class ArmedView:
    """The bytes of a segment; a store can stop half way, and between body and head."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def __getitem__(self, at: slice) -> memoryview:
        return self._view[at]

    def __setitem__(self, at: slice, data: bytes) -> None:
        if failpoint.is_aimed_at("emit.append.partial"):
            half = len(data) // 2
            self._view[at.start : at.start + half] = data[:half]
            failpoint.reach("emit.append.partial")
        self._view[at] = data
        failpoint.reach("emit.append.body")

    def release(self) -> None:
        """Let go of the mapping."""
        self._view.release()


class ArmedWords:
    """The words of a header; behind a store of the head its record is committed, emit() not yet back."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def __getitem__(self, at: int) -> int:
        return int(self._words[at])

    def __setitem__(self, at: int, word: int) -> None:
        self._words[at] = word
        if at == HEAD_WORD:
            failpoint.reach("emit.append.head")

    def release(self) -> None:
        """Let go of the mapping."""
        self._words.release()
