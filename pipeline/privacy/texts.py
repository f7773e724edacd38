"""One text and the secrets in it: by their own form, and by what the text calls them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.privacy.automata import Expression, Search, search_each
from pipeline.privacy.named_text import NamedText
from pipeline.privacy.rules import KEY, PLAIN, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipeline.privacy.display import Display
    from pipeline.privacy.policy import Policy

NAME_RULE: Final = "name"
"""The rule that goes by names, in counts and findings."""
PATTERN_RULE: Final = "pattern"
"""A pattern of the user's: `pattern 1` is the first."""
_ON_THE_LINE: Final = frozenset({"home_directory", "home_directory_windows"})
"""Rules that may work on a record as it is encoded: nothing that JSON escapes is in what they find."""


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

    # Compiled when they are needed: all at once would take as long as the rest of start_pipeline().
    @cached_property
    def _which(self) -> Search:
        return search_each(self._policy.gates)

    @cached_property
    def _named(self) -> NamedText:
        return NamedText(self._policy.names, self._policy.names_in_text)

    def _rule(self, number: int) -> tuple[Rule, Expression]:
        """Return a rule by its number in the scan, where 0 is the names."""
        rule = self._rules[number - 1]
        expression = self._expressions.get(number)
        if expression is None:
            expression = self._expressions[number] = Expression(rule.pattern)
        return rule, expression

    def masked_line(self, line: bytes, note: Callable[[str], object]) -> bytes | None:
        """Return an encoded record masked as a line, None when its values have to be looked at one by one."""
        which = self._which(line)
        if self._patterns or not all(self._is_of_lines(number) for number in which):
            return None
        return self._replaced(line, self._by_rules(line, which), note)

    def _is_of_lines(self, number: int) -> bool:
        return number > 0 and self._rules[number - 1].name in _ON_THE_LINE

    def masked(self, text: str, note: Callable[[str], object]) -> str:
        """Return a text with what is secret in it replaced; `note` is called with the rule of each."""
        raw = text.encode("utf-8", "surrogatepass")
        masked = self.masked_bytes(raw, note)
        return text if masked is raw else masked.decode("utf-8", "surrogatepass")

    def masked_bytes(self, text: bytes, note: Callable[[str], object]) -> bytes:
        """Return the same of a text in UTF-8, or any encoding that has ASCII in it; itself if it is clean."""
        which = self._which(text)
        if not which and not self._patterns:
            return text
        text = self._replaced(text, self._by_rules(text, [number for number in which if number]), note)
        if 0 in which:
            text = self._replaced(text, self._by_names(text), note)
        return self._replaced(text, self._by_patterns(text), note) if self._patterns else text

    def shown(self, secret: str, note: Callable[[str], object]) -> str:
        """Return what is shown of a text that is secret as a whole, because of its name."""
        raw = secret.encode("utf-8", "surrogatepass")
        if raw in self._allowed:
            return secret
        shown = self._display.text(raw, self._style(raw))
        if shown != raw:
            note(NAME_RULE)
        return shown.decode("utf-8", "surrogatepass")

    def may_hold(self, text: str) -> bool:
        """Tell whether there may be anything to mask in a text."""
        return self.is_suspicious(text.encode("utf-8", "surrogatepass"))

    def is_suspicious(self, text: bytes) -> bool:
        """Tell the same of a text in bytes."""
        return bool(self._policy.scan(text))

    def _style(self, secret: bytes) -> str:
        """Return the style of the rule whose form a secret has, that of a plain one if it has none."""
        for number in self._which(secret):
            if number and self._rules[number - 1].style == KEY:
                for place in self._by_rules(secret, [number]):
                    if (place.start, place.end) == (0, len(secret)):
                        return KEY
        return PLAIN

    def _by_rules(self, text: bytes, numbers: Iterable[int]) -> Iterator[Place]:
        for number in numbers:
            rule, expression = self._rule(number)
            for match in expression.matches(text):
                start, end = match.groups[0]
                if rule.accept is None or rule.accept(text[start:end], text[end : end + 1]):
                    yield Place(start, end, rule.name, rule.style)

    def _by_names(self, text: bytes) -> Iterator[Place]:
        for start, end, _name in self._named.found(text):
            yield Place(start, end, NAME_RULE, self._style(text[start:end]))

    def _by_patterns(self, text: bytes) -> Iterator[Place]:
        """Find the user's patterns; one with a group masks what is in its first group."""
        for number, expression in enumerate(self._patterns, 1):
            for match in expression.matches(text):
                start, end = match.groups[0] if match.groups and match.groups[0][0] >= 0 else match[:2]
                if end > start:
                    yield Place(start, end, f"{PATTERN_RULE} {number}", PLAIN)

    def _replaced(self, text: bytes, places: Iterable[Place], note: Callable[[str], object]) -> bytes:
        """Return a text with places replaced, the first and longest where they overlap; itself if none is."""
        pieces: list[bytes] = []
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
            note(place.rule)
        return b"".join((*pieces, text[done:])) if pieces else text
