"""What a rule for a value is, and the judgement of what only looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

Accept = Callable[[bytes, bytes], bool]
"""(what was found, what follows it) -> whether it is one"""

KEY, PLAIN, USER = "key", "plain", "user"
"""How the `mask` strategy shows it: `sk-***[MASKED 44 chars]***`, `[MASKED]`, `[USER]`."""

BEFORE: Final = r"(?:^|[^0-9A-Za-z]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
"""What stands before a secret, in a text or in the escaped form of one."""
GATE_COUNT_MAX: Final = 6


class Rule(NamedTuple):
    """
    A form of secret.

    Both patterns are RE2's: linear in the text, whatever the text is. Group 1 of `pattern` is what is
    masked. `gate` is a shorter one that stands in every JSON form of a text in which the rule would find
    something. It doesn't look at what stands before the secret, which may be the `n` of an escaped line
    break, has no quotes and no blanks but plain ones, and counts nothing that could begin everywhere: many
    such counters at once are what makes an automaton grow. Upper and lower case are the same to it.
    """

    name: str
    gate: str
    pattern: str
    source: str
    style: str = KEY
    accept: Accept | None = None
    needles: tuple[str, ...] = ()
    """Expressions for `needles`: one is found in whatever the rule finds. None: there is no first look."""


def key(name: str, prefixes: str, tail: str, count: int, source: str, accept: Accept | None = None) -> Rule:
    """Return the rule of a key: one of some fixed texts, and then `count` characters of `tail` or more."""
    prefix = "(?:" + "|".join(map(re.escape, prefixes.split())) + ")"
    gate = f"{prefix}{tail}{{{min(count, GATE_COUNT_MAX)}}}"
    needles = tuple(map(re.escape, prefixes.lower().split()))
    return Rule(name, gate, f"{BEFORE}({prefix}{tail}{{{count},}})", source, KEY, accept, needles)


def has_digit(found: bytes, _after: bytes) -> bool:
    """Tell a key from words with dashes between them."""
    return re.search(rb"[0-9]", found) is not None


def is_token(found: bytes, _after: bytes) -> bool:
    """Tell what follows `Bearer` from a word of prose."""
    return len(found) >= 20 or has_digit(found, b"")  # noqa: PLR2004 - no word is as long


def is_base64(found: bytes, _after: bytes) -> bool:
    """Tell what follows `Basic` from a word of prose."""
    return len(found) >= 20 or re.search(rb"[0-9+/=]", found) is not None  # noqa: PLR2004 - no word is as long


def is_jwt(found: bytes, _after: bytes) -> bool:
    """Tell a token from the base64 of a small object: header, claim and signature take more."""
    return len(found) >= 40  # noqa: PLR2004


def ends_there(_found: bytes, after: bytes) -> bool:
    """Tell a key of fixed length from the beginning of something longer."""
    return not after.isalnum()


def is_written(found: bytes, _after: bytes) -> bool:
    """Tell a password in a statement from a placeholder, and from the prompt of git."""
    return not found.startswith((b"http", b"%", b"?", b":", b"$", b"{"))


def is_phone(found: bytes, after: bytes) -> bool:
    """Tell by the number of digits, E.164."""
    digits = sum(character in b"0123456789" for character in found)
    return 8 <= digits <= 15 and not after.isalnum()  # noqa: PLR2004


def is_card(found: bytes, after: bytes) -> bool:
    """Tell by the check digit."""
    digits = [character - ord("0") for character in found if character in b"0123456789"]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return not after.isalnum() and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
