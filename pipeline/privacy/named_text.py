"""
Secrets in a text that names them: `password=…`, `"token": "…"`, `--api-key …`, `<secret>…</secret>`.

RE2 finds the name and what binds it to a value; where the value ends depends on its quotes, which is decided
here. A value goes on to its quote, to the end of the line for a header, else to the next blank or separator.

What is left as it is: type names and words of code (`token: str`), placeholders (`${TOKEN}`, `<token>`,
`***`), calls, and behind a colon plain words, unless the name is that of a password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.privacy.automata import Expression
from pipeline.privacy.display import SHOWN, SHOWN_FORMS
from pipeline.privacy.names import HEADERS, PASSWORDS, TAIL, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANK: Final = r"(?:[ \t]|\\t)"
_QUOTE_OR_END: Final = re.compile(rb"(\\*)[\"'`]|[\r\n]")
_HARMLESS_BYTES_MAX: Final = 200
"""A longer value is masked whatever it looks like. It also bounds what is looked at twice: see `found`."""
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_BARE: Final = re.compile(rb"(?:" + SHOWN_FORMS + rb"|[^\s\"'`<>&;,)}\]\\|])+")
_LINE: Final = re.compile(rb"[^\r\n\"'\\]+")
_WHOLE_LINE: Final = re.compile(rb"[^\r\n]+")
_SCHEME: Final = re.compile(
    rb"(?:bearer|basic|token|digest|negotiate|apikey)(?: +|%20|\+)(?=\S)", re.IGNORECASE
)
_WORDS: Final = re.compile(
    rb"(?:str|string|int|integer|number|float|bool|boolean|bytes|object|any|none|null|nil|undefined|true|false|"
    rb"required|optional|missing|empty|unset|hidden|redacted|self|(?:optional|union|annotated|secretstr|list|dict)"
    rb"(?:\[.*)?)[.!?]?",
    re.IGNORECASE | re.DOTALL,
)
_PLACEHOLDER: Final = re.compile(
    rb"\$(?:[A-Z_][A-Z0-9_]*|\{+[^{}]*\}*|\([^()]*\)?)|%\(?\w*\)?s?|\{+[\s\w.]*\}*|<[^<>]*>?"
    rb"|[^0-9A-Za-z\x80-\xff]+|[A-Za-z_][\w.]*[(\[]"
)
_WORD: Final = re.compile(rb"[A-Za-z]+[.!?]?|[0-9]{1,3}")


class Named(NamedTuple):
    """A value in a text that its name gives away."""

    start: int
    end: int
    name: str


class NamedText:
    """Finds what the names of a list give away in a text."""

    def __init__(self, names: Names, in_text: Names) -> None:
        self._names = names
        self._in_text = in_text
        self._passwords = Names(PASSWORDS)
        self._headers = Names(HEADERS)
        words = names.expression()
        self._bound = Expression(
            rf"(?i)([0-9A-Z_.\[\]-]*{words}{TAIL})(\\*[\"'`])?{_BLANK}*(=>|:=|[:=]|%3[ad]){_BLANK}*"
            rf"(?:[bfru]{{0,2}}(\\*[\"'`]))?"
        )
        self._option = Expression(rf"(?i)(--[0-9A-Z_-]*{words}){_BLANK}+(\\*[\"'`])?")
        self._tag = Expression(rf"(?i)<(?:\w+:)?([0-9A-Z_.-]*{words})(?:\s[^<>]*)?>([^<>]+)</")

    def found(self, text: bytes) -> Iterator[Named]:
        """
        Yield what is to be masked; places of different kinds may overlap.

        What lies in a value that is masked already is not looked at: without that, values that never end
        would be read to the end of the text again and again.
        """
        covered = 0
        for match in self._bound.matches(text):
            if match.end < covered:
                continue
            for place in self._assigned(text, match.end, match.groups):
                covered = place.end
                yield place
        for match in self._option.matches(text):
            (start, end), quote = match.groups
            if self._names.has(text[start:end].decode()) and text[match.end : match.end + 1] != b"-":
                yield from self._checked(text, match.end, _value_end(text, match.end, quote), text[start:end])
        for match in self._tag.matches(text):
            name, value = match.groups
            if self._names.has(text[slice(*name)].decode()):
                yield from self._checked(text, *value, text[slice(*name)])

    def _assigned(self, text: bytes, at: int, groups: tuple[tuple[int, int], ...]) -> Iterator[Named]:
        name_span, name_quote, binder, value_quote = groups
        start = name_span[0] + 2 * (text[name_span[0] - 1 : name_span[0]] == b"%")  # behind %3F, say
        name = text[start : name_span[1]]
        is_quoted_name = name_quote[0] >= 0
        if not (self._names if is_quoted_name else self._in_text).has(name.decode()):
            return
        if value_quote[0] >= 0:
            yield from self._checked(text, at, _value_end(text, at, value_quote), name)
        elif text[at : at + 1] in (b"{", b"["):
            if is_quoted_name:
                yield Named(at, _closing_bracket(text, at), name.decode())
        elif text[slice(*binder)] == b":" and self._headers.has(name.decode()):
            yield from self._header(text, at, name)
        elif not (text[start - 1 : start] == b":" and text[at - 1 : at] == b":"):  # a:b:secret:d is a path
            yield from self._bare(
                text, at, name, is_prose=text[slice(*binder)] == b":" and not is_quoted_name
            )

    def _header(self, text: bytes, at: int, name: bytes) -> Iterator[Named]:
        rest = _WHOLE_LINE if text[at : at + 6].lower() == b"digest" else _LINE
        match = rest.match(text, at)
        if match is not None:
            yield from self._checked(text, at, at + len(match[0].rstrip(b" \t\"'")), name)

    def _bare(self, text: bytes, at: int, name: bytes, *, is_prose: bool) -> Iterator[Named]:
        scheme = _SCHEME.match(text, at)
        match = _BARE.match(text, scheme.end() if scheme else at)
        if match is None:
            return
        is_word = _WORD.fullmatch(match[0]) is not None
        is_password = self._passwords.has(name.decode())
        if is_word and not is_password and (is_prose or match[0].lower() == name.rpartition(b".")[2].lower()):
            return
        yield from self._checked(text, match.start(), match.end(), name)

    def _checked(self, text: bytes, start: int, end: int, name: bytes) -> Iterator[Named]:
        value = text[start:end].rstrip()
        if not value or _is_harmless(value):
            return
        yield Named(start, start + len(value), name.decode())


def _is_harmless(value: bytes) -> bool:
    if len(value) > _HARMLESS_BYTES_MAX:
        return False
    scheme = _SCHEME.match(value)
    bare = value[scheme.end() :] if scheme else value
    return any(form.fullmatch(bare) for form in (_WORDS, _PLACEHOLDER, SHOWN))


def _value_end(text: bytes, at: int, quote: tuple[int, int]) -> int:
    """Return where a value ends that begins at a place, behind an opening quote if it has one."""
    if quote[0] < 0:
        match = _BARE.match(text, at)
        return match.end() if match else at
    depth, mark = quote[1] - quote[0] - 1, text[quote[1] - 1]
    for match in _QUOTE_OR_END.finditer(text, at):
        if match[1] is None:
            return match.start()
        escapes = len(match[1])
        if text[match.end() - 1] == mark and (escapes <= depth if depth else escapes % 2 == 0):
            return match.start()
    return len(text)


def _closing_bracket(text: bytes, at: int) -> int:
    """Return the place behind the bracket that closes the one at a place, or the end of the text."""
    depth = 0
    for match in _BRACKET.finditer(text, at):
        depth += 1 if match[0] in b"[{" else -1
        if depth == 0:
            return match.end()
    return len(text)
