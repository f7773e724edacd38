"""The nearest spelling: what somebody probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: object, words: Iterable[str], at_least: float = 0.6) -> str:
    """Return the word that is nearest in spelling, whatever its case; empty when none is near."""
    import difflib

    folded = {one.lower(): one for one in words}
    close = difflib.get_close_matches(str(word).lower(), folded, n=1, cutoff=at_least)
    return folded[close[0]] if close else ""


def hint(word: object, words: Iterable[str]) -> str:
    """Return the question that names it, with a space before it; empty when none is near."""
    found = nearest(word, words)
    return f" Did you mean {found}?" if found else ""
