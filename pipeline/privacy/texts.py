"""One text and the secrets in it: by their own form, and by what the text calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.host.forks import made_once
from pipeline.privacy.automata import Expression, Search, search_each
from pipeline.privacy.display import MASKED
from pipeline.privacy.effort import CROWDED_RULE, TooMuchError
from pipeline.privacy.named_text import NamedText
from pipeline.privacy.rules import KEY, PLAIN, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.privacy.display import Display
    from pipeline.privacy.effort import Effort
    from pipeline.privacy.policy import Policy

NAME_RULE: Final = "name"
"""The rule that goes by names, in counts and findings."""
PATTERN_RULE: Final = "pattern"
"""A pattern of the user's: `pattern 1` is the first."""
_ON_THE_LINE: Final = frozenset({"home_directory", "home_directory_windows"})
"""Rules that may work on a record as it is encoded: nothing that JSON escapes is in what they find."""
_LOOKS_PER_RULE: Final = 0.25
"""To search a text by one rule, beside what each match takes."""
_CHARS_MIN: Final = 4
"""No rule finds anything in less; a name takes itself and what binds it."""
_KEY_BYTES_MIN: Final = 15
"""No key that is shown as one is shorter."""


class Place(NamedTuple):
    """A part of a text that is masked, and why."""

    start: int
    end: int
    rule: str
    style: str


class Texts:
    """The rules for texts, compiled."""

    def __init__(self, policy: Policy, display: Display) -> None:
        self._policy = policy
        self._rules = policy.rules
        self._expressions: dict[int, Expression] = {}
        self._patterns = [Expression(pattern, is_text=True) for pattern in policy.patterns]
        self._allowed = {text.encode("utf-8", "surrogatepass") for text in policy.allowed}
        self._display = display
        names = min(len("".join(words)) for words in policy.names.phrases)
        self.chars_min = 0 if policy.patterns else min(_CHARS_MIN, names + 1)
        """A shorter text has nothing to mask in it."""

    # Compiled when they are needed: all at once would take as long as the rest of start_pipeline().
    @made_once
    def _which(self) -> Search:
        return search_each(self._policy.gates)

    @made_once
    def _named(self) -> NamedText:
        return NamedText(self._policy.names, self._policy.names_in_text)

    def _rule(self, number: int) -> tuple[Rule, Expression]:
        """Return a rule by its number in the scan, where 0 is the names."""
        rule = self._rules[number - 1]
        expression = self._expressions.get(number)
        if expression is None:
            expression = self._expressions[number] = Expression(rule.pattern)
        return rule, expression

    def masked_line(self, line: bytes, effort: Effort) -> tuple[bytes, list[str]] | None:
        """
        Return an encoded record masked as a line, and the rule of each thing that was.

        None when its values have to be looked at one by one, or too many places of it.
        """
        which = self._which(line)
        if self._patterns or not all(self._is_of_lines(number) for number in which):
            return None
        try:
            return self._replaced(line, self._by_rules(line, which, effort))
        except TooMuchError:
            return None

    def _is_of_lines(self, number: int) -> bool:
        return number > 0 and self._rules[number - 1].name in _ON_THE_LINE

    def masked(self, text: bytes, effort: Effort) -> tuple[bytes, list[str]]:
        """
        Return a text with what is secret in it replaced, and the rule of each thing that was.

        It is in UTF-8, or any encoding that has ASCII in it. One that asks for too much is masked whole.
        """
        try:
            effort.spend()
            return self._masked(text, effort)
        except TooMuchError:
            return MASKED.encode(), [CROWDED_RULE]

    def _masked(self, text: bytes, effort: Effort) -> tuple[bytes, list[str]]:
        which = self._which(text)
        effort.pay(_LOOKS_PER_RULE * len(which))
        rules: list[str] = []
        if which != [0]:
            text, rules = self._replaced(text, self._by_rules(text, filter(None, which), effort))
        if 0 in which:
            text, further = self._replaced(text, self._by_names(text, effort))
            rules += further
        if self._patterns:
            text, further = self._replaced(text, self._by_patterns(text, effort))
            rules += further
        return text, rules

    def shown(self, secret: str) -> str:
        """Return what is shown of a text that is secret as a whole, because of its name."""
        raw = encoded(secret)
        if raw in self._allowed:
            return secret
        return self._display.text(raw, self._style(raw)).decode("utf-8", "surrogatepass")

    def is_suspicious(self, text: bytes) -> bool:
        """Tell whether there may be anything to mask in a text."""
        return bool(self._policy.scan(text))

    def is_suspicious_json(self, value: Any) -> bool:
        """Tell the same of JSON's types; what is none of them is suspicious."""
        try:
            return self.is_suspicious(orjson.dumps(value))
        except TypeError:
            return True

    def _style(self, secret: bytes) -> str:
        """Return the style of the rule whose form a secret has, that of a plain one if it has none."""
        if len(secret) < _KEY_BYTES_MIN:
            return PLAIN
        keys = (number for number in self._which(secret) if number and self._rules[number - 1].style == KEY)
        return KEY if any(self._is_whole(number, secret) for number in keys) else PLAIN

    def _is_whole(self, number: int, secret: bytes) -> bool:
        rule, expression = self._rule(number)
        spans = expression.search(secret)
        whole = spans is not None and spans[1] == (0, len(secret))
        return whole and (rule.accept is None or rule.accept(secret, b""))

    def _by_rules(self, text: bytes, numbers: Iterable[int], effort: Effort) -> Iterator[Place]:
        for number in numbers:
            rule, expression = self._rule(number)
            for _, (start, end) in expression.matches(text, effort):
                if rule.accept is None or rule.accept(text[start:end], text[end : end + 1]):
                    yield Place(start, end, rule.name, rule.style)

    def _by_names(self, text: bytes, effort: Effort) -> Iterator[Place]:
        for start, end in self._named.found(text, effort):
            # A key has been replaced already, unless what stands before it hid it: the D of %3D.
            style = self._style(text[start:end]) if text[start - 1 : start].isalnum() else PLAIN
            yield Place(start, end, NAME_RULE, style)

    def _by_patterns(self, text: bytes, effort: Effort) -> Iterator[Place]:
        """Find the user's patterns; one with a group masks what is in its first group."""
        for number, expression in enumerate(self._patterns, 1):
            for whole, *groups in expression.matches(text, effort):
                start, end = groups[0] if groups and groups[0][0] >= 0 else whole
                if end > start:
                    yield Place(start, end, f"{PATTERN_RULE} {number}", PLAIN)

    def _replaced(self, text: bytes, places: Iterable[Place]) -> tuple[bytes, list[str]]:
        """Return a text with places replaced, the first and longest where they overlap, and their rules."""
        pieces: list[bytes] = []
        rules: list[str] = []
        done = 0
        for place in sorted(places, key=lambda place: (place.start, -place.end)):
            start = max(place.start, done)
            if start >= place.end or text[place.start : place.end] in self._allowed:
                continue
            secret = text[start : place.end]
            shown = self._display.text(secret, place.style if start == place.start else PLAIN)
            if shown == secret:
                continue
            pieces += (text[done:start], shown)
            done = place.end
            rules.append(place.rule)
        return (b"".join((*pieces, text[done:])), rules) if pieces else (text, rules)


def encoded(text: str) -> bytes:
    """Return a text as the rules look at it."""
    return text.encode("utf-8", "surrogatepass")
