"""
Short expressions, most of them fixed texts, of which one is found in every record with anything to mask.

They are for the first look of all (`first_look`), which has to be cheap and may be wrong in one direction: a
needle in a record says nothing, none in it says that no rule and no name has anything to find there. For each
name and each rule the needles are a part of what its gate needs, which `test_masking_needles` tries with
texts made from the gates.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from pipeline.privacy import names as name_lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.privacy.names import Names
    from pipeline.privacy.rules import Rule

Words = tuple[str, ...]

_SEPARATORS: Final = ("", "-", "_", ".", " ")
"""What may stand between the words of a name, as in `Names.expression`."""
_DIGITS: Final = "0123456789"
_ENDS: Final = (
    *"\"'`\\ :=>%])",
    *_DIGITS,
    *("_" + digit for digit in _DIGITS),
    *("-" + digit for digit in _DIGITS),
)
"""What stands right behind a name that is bound to a value, as in `names.BOUND` and `names.OPTION`."""
_INSIDE_OTHERS: Final = frozenset({"auth", "pat", "token"})
"""
Names that stand in many harmless words: author, path, max_tokens. They are looked for with what ends them.

So is a name of the user's, of which nothing is known. All names with their ends would take 30 ms to compile.
"""


def needles_of(names: Names, rules: Iterable[Rule]) -> list[str] | None:
    """Return the needles, None where a rule has none, or a name may stand anywhere."""
    rules = list(rules)
    if names.anywhere or not all(rule.needles for rule in rules):
        return None
    found = {needle for rule in rules for needle in rule.needles}
    forms = itertools.chain.from_iterable(map(_forms, _shortest(set(names.phrases))))
    return sorted(found.union(map(re.escape, forms)))


def _forms(words: Words) -> Iterator[str]:
    if len(words) == 1 and _needs_end(words[0]):
        yield from (words[0] + end for end in _ENDS)
    else:
        for between in itertools.product(_SEPARATORS, repeat=len(words) - 1):
            yield "".join(itertools.chain(*zip(words, (*between, ""), strict=True)))


def _shortest(phrases: set[Words]) -> Iterator[Words]:
    """Yield the names in which no other one stands in a form that is looked for."""
    for words in phrases:
        endings = (words[start:] for start in range(1, len(words)))
        bare = (word for word in words[:-1] if (word,) in phrases and not _needs_end(word))
        if not any(ending in phrases for ending in endings) and not any(bare):
            yield words


def _needs_end(word: str) -> bool:
    return word in _INSIDE_OTHERS or word not in name_lists.FIELDS
