"""
Secrets in a text that names them: `password=…`, `"token": "…"`, `--api-key …`, `<secret>…</secret>`.

RE2 finds the name and what binds it to a value; where the value ends depends on its quotes, which is decided
here. A value goes on to its quote, to the end of the line for a header, else to the next blank or separator.

What is left as it is: type names and words of code (`token: str`), placeholders (`${TOKEN}`, `<token>`,
`***`), calls, and behind a colon plain words, unless the name is that of a password.
"""

from __future__ import annotations

import itertools
import operator
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.privacy.automata import Expression
from pipeline.privacy.display import SHOWN, SHOWN_FORMS
from pipeline.privacy.names import HEADERS, PASSWORDS, TAIL, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.privacy.automata import Spans
    from pipeline.privacy.effort import Effort

_BLANK: Final = r"(?:[ \t]|\\t)"
_HARMLESS_BYTES_MAX: Final = 200
"""A longer value is masked whatever it looks like. It also bounds what is looked at twice: see `found`."""
_OPENERS_MAX: Final = 4096
_OPENER_BYTES_MAX: Final = 200
"""Openers that are kept with what was made of them, and how long they may be."""
_ESCAPES_MAX: Final = 63
"""In front of a quote: JSON inside of JSON, six times. A value that opens deeper ends as one that deep."""
_BARE_CHAR: Final = r"[^\s\v\"'`<>&;,)}\]\\|]"
_BARE: Final = re.compile(_BARE_CHAR.encode() + b"*")
_LINE: Final = re.compile(rb"[^\r\n\"'\\]+")
_WHOLE_LINE: Final = re.compile(rb"[^\r\n]+")
_SCHEME: Final = re.compile(
    rb"(?:bearer|basic|token|digest|negotiate|apikey)(?: +|%20|\+)(?=\S)", re.IGNORECASE
)
_GENERIC: Final = b"optional union annotated secretstr list dict".split()
_WORDS: Final = frozenset(
    b"str string int integer number float bool boolean bytes object any none null nil undefined true false "
    b"required missing empty unset hidden redacted self".split()
).union(_GENERIC)
_PLACEHOLDER: Final = (
    rb"\$(?:[A-Z_][A-Z0-9_]*|\{+[^{}]*\}*|\([^()]*\)?)|%\(?\w*\)?s?|\{+[\s\w.]*\}*|<[^<>]*>?"
    rb"|[^0-9A-Za-z\x80-\xff]+|[A-Za-z_][\w.]*[(\[]"
)
_HARMLESS: Final = re.compile(
    rb"(?i:%b)[.!?]?|(?is:(?:%b)\[.*)|%b|%b"
    % (b"|".join(sorted(_WORDS)), b"|".join(_GENERIC), _PLACEHOLDER, SHOWN.pattern)
)
_WORD: Final = re.compile(rb"[A-Za-z]+[.!?]?|[0-9]{1,3}")


_NESTING: Final = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]
"""What each byte adds to the number of brackets that are open."""


class Opener(NamedTuple):
    """A name and what binds it to the value behind it, as a text has them."""

    name: str
    has_quotes: bool
    is_header: bool
    is_password: bool
    binder: bytes
    ends_in_colon: bool
    quote: bytes
    """What opens the value, with the escapes in front of it."""


class NamedText:
    """Finds what the names of a list give away in a text."""

    def __init__(self, names: Names, in_text: Names) -> None:
        self._names = names
        self._in_text = in_text
        self._passwords = Names(PASSWORDS)
        self._headers = Names(HEADERS)
        words = names.expression()
        opener = (
            rf"(?i)([0-9A-Z_.\[\]-]*{words}{TAIL})(\\*[\"'`])?{_BLANK}*(=>|:=|[:=]|%3[ad]){_BLANK}*"
            rf"(?:[bfru]{{0,2}}(\\*[\"'`]))?"
        )
        self._parts = Expression(opener)
        self._bound = Expression(opener, has_groups=False)
        self._option = Expression(rf"(?i)(--[0-9A-Z_-]*{words}){_BLANK}+(\\*[\"'`])?")
        self._tag = Expression(rf"(?i)<(?:\w+:)?([0-9A-Z_.-]*{words})(?:\s[^<>]*)?>([^<>]+)</")
        self._bare_or_shown = Expression(
            rf"(?:{SHOWN_FORMS.decode()}|{_BARE_CHAR})+".replace(r"\s", r"\s\v"), has_groups=False
        )
        self._openers: dict[bytes, Opener | None] = {}
        self._quotes: dict[bytes, Expression] = {}

    def found(self, text: bytes, effort: Effort) -> Iterator[tuple[int, int]]:
        """
        Yield where there is something to be masked; places of different kinds may overlap.

        What lies in a value that is masked already is not looked at: without that, values that never end
        would be read to the end of the text again and again.
        """
        covered = 0
        for ((start, end),) in self._bound.matches(text, effort):
            if end < covered:
                continue
            place = self._assigned(text, start, end, effort)
            if place is not None:
                covered = place[1]
                yield place
        if b"--" in text:
            yield from self._options(text, effort)
        if b"</" in text:
            yield from self._tags(text, effort)

    def _options(self, text: bytes, effort: Effort) -> Iterator[tuple[int, int]]:
        for (_, at), name, quote in self._option.matches(text, effort):
            effort.pay(1)  # groups take as long again
            if self._names.has(text[slice(*name)].decode()) and text[at : at + 1] != b"-":
                end = self._value_end(text, at, text[slice(*quote)] if quote[0] >= 0 else b"")
                place = _worth_masking(text, at, end)
                if place is not None:
                    yield place

    def _tags(self, text: bytes, effort: Effort) -> Iterator[tuple[int, int]]:
        for _, name, value in self._tag.matches(text, effort):
            effort.pay(1)
            place = _worth_masking(text, *value) if self._names.has(text[slice(*name)].decode()) else None
            if place is not None:
                yield place

    def _assigned(self, text: bytes, start: int, at: int, effort: Effort) -> tuple[int, int] | None:
        """Return where the value is that belongs to the opener at a place."""
        if text[start - 1 : start] == b"%":  # of %3F, say
            start += 2
        opener = self._opener(text[start:at], effort)
        if opener is None:
            return None
        if opener.quote:
            return _worth_masking(text, at, self._value_end(text, at, opener.quote))
        if text[at : at + 1] in (b"{", b"["):
            return (at, _closing_bracket(text, at)) if opener.has_quotes else None
        if opener.is_header and opener.binder == b":":
            return _header(text, at)
        if opener.ends_in_colon and text[start - 1 : start] == b":":  # a:b:secret:d is a path
            return None
        return self._bare(text, at, opener)

    def _opener(self, written: bytes, effort: Effort) -> Opener | None:
        """Return what an opener is made of; None when its name is not sensitive. Texts use few of them."""
        if written in self._openers:
            return self._openers[written]
        effort.pay(2)
        spans = self._parts.fullmatch(written)
        opener = None if spans is None else self._judged(written, spans)
        if len(self._openers) < _OPENERS_MAX and len(written) <= _OPENER_BYTES_MAX:
            self._openers[written] = opener
        return opener

    def _judged(self, written: bytes, spans: Spans) -> Opener | None:
        name, name_quote, binder, quote = (
            written[start:end] if start >= 0 else b"" for start, end in spans[1:]
        )
        known = name.decode()
        if not (self._names if name_quote else self._in_text).has(known):
            return None
        return Opener(
            known,
            bool(name_quote),
            self._headers.has(known),
            self._passwords.has(known),
            binder,
            written.endswith(b":"),
            quote,
        )

    def _value_end(self, text: bytes, at: int, quote: bytes) -> int:
        """
        Return where a value ends that begins at a place, behind its opening quote if it has one.

        That is its line's end, or the first such quote with no more escapes than the opening one has; where
        that has none, with an even number of them.
        """
        if not quote:
            return self._bare_end(text, at)
        quote = quote[-_ESCAPES_MAX - 1 :]
        if quote not in self._quotes:
            escapes = rf"\\{{0,{len(quote) - 1}}}" if len(quote) > 1 else r"(?:\\\\)*"
            self._quotes[quote] = Expression(rf"[\r\n]|[^\\]{escapes}{quote[-1:].decode()}")
        found = self._quotes[quote].search(text, at - 1)  # what stands before a value is no escape
        if found is None:
            return len(text)
        end = found[0][0]
        return end if text[end] in b"\r\n" else end + 1

    def _bare_end(self, text: bytes, at: int) -> int:
        """Return where a value ends that has no quotes; what is a display already is a part of it."""
        end = _BARE.match(text, at).end()  # type: ignore[union-attr] # it matches nothing at least
        if text.find(b"[", at, end + 7) < 0:  # no display, and none that begins in front of its end
            return end
        spans = self._bare_or_shown.match(text, at)
        return spans[0][1] if spans else at

    def _bare(self, text: bytes, at: int, opener: Opener) -> tuple[int, int] | None:
        scheme = _SCHEME.match(text, at)
        if scheme is not None:
            at = scheme.end()
        end = self._bare_end(text, at)
        if not opener.is_password and _WORD.fullmatch(text, at, end):
            is_prose = opener.binder == b":" and not opener.has_quotes
            if is_prose or text[at:end].lower() == opener.name.rpartition(".")[2].lower().encode():
                return None
        return _worth_masking(text, at, end)


def _header(text: bytes, at: int) -> tuple[int, int] | None:
    rest = _WHOLE_LINE if text[at : at + 6].lower() == b"digest" else _LINE
    match = rest.match(text, at)
    return _worth_masking(text, at, at + len(match[0].rstrip(b" \t\"'"))) if match is not None else None


def _worth_masking(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return where a value is without the blanks behind it; None if it says nothing."""
    value = text[start:end].rstrip()
    return None if not value or _is_harmless(value) else (start, start + len(value))


def _is_harmless(value: bytes) -> bool:
    if len(value) > _HARMLESS_BYTES_MAX:
        return False
    if value.isalnum():
        return value.lower() in _WORDS
    scheme = _SCHEME.match(value)
    return _HARMLESS.fullmatch(value, scheme.end() if scheme else 0) is not None


def _closing_bracket(text: bytes, at: int) -> int:
    """Return the place behind the bracket that closes the one at a place, or the end of the text."""
    open_after_each = itertools.accumulate(map(_NESTING.__getitem__, memoryview(text)[at:]))
    try:
        return at + operator.indexOf(open_after_each, 0) + 1
    except ValueError:
        return len(text)
