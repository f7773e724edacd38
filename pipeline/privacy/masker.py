"""What is masked and how, in one object: for records, and for whoever wants to mask something by hand."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

import orjson

from pipeline.privacy.display import STRATEGIES, Display
from pipeline.privacy.effort import Effort
from pipeline.privacy.policy import Policy
from pipeline.privacy.texts import Texts
from pipeline.privacy.trees import Finding, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Text = TypeVar("Text", str, bytes)
_URL_NAMES: Final = ("key", "sig", "signature", "code")
"""Query parameters that are secret in a URL that somebody asks to be masked."""


class Masker:
    """
    Masks what is secret by its name or by its form. Making one takes milliseconds; keep it.

    `fields`: further sensitive names. `strategy`: mask, partial, hash or remove. `hash_key`: equal secrets
    look equal under equal keys (64 bytes at most). By keyword also: `patterns`, RE2 patterns of yours, of
    which the first group, or all, is masked; `allow`, names, names of rules and texts that are left as they
    are; `personal_data`, `thinking`, `tracebacks`, `preset`, as in the settings.

    Raises ValueError for a strategy, preset or pattern that there is not. Nothing is changed in place. Safe
    to share between threads.
    """

    def __init__(
        self,
        fields: Iterable[str] = (),
        strategy: str = "mask",
        *,
        hash_key: bytes | None = None,
        **policy: Any,
    ) -> None:
        self._begin(Policy(fields, **policy), strategy, hash_key)

    @classmethod
    def of(cls, policy: Policy, strategy: str, hash_key: bytes | None) -> Self:
        """Return the masker of a policy that stands."""
        masker = cls.__new__(cls)
        masker._begin(policy, strategy, hash_key)  # noqa: SLF001 - a second constructor
        return masker

    def _begin(self, policy: Policy, strategy: str, hash_key: bytes | None) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
        self._names = policy.names
        self._display = Display(strategy, hash_key or os.urandom(32))
        self.texts = Texts(policy, self._display)
        """The rules for texts."""

    def json(self, value: Any) -> Any:
        """Return a tree of JSON's types masked: objects, lists, texts, numbers."""
        return self._walk(_effort_for(value)).masked(value)

    def stream(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """Yield a stream of texts or of bytes masked as it comes, see `privacy.streams`."""
        from pipeline.privacy.streams import mask_chunks

        return mask_chunks(self, chunks)

    def text(self, text: str, effort: Effort | None = None) -> str:
        """Return a text masked; one that is JSON is masked as JSON. `effort`: what it may take."""
        masked: str = self._walk(effort or Effort(len(text))).masked(text)
        return masked

    def raw_text(self, text: bytes, effort: Effort) -> bytes:
        """Return a text masked that is no JSON, in UTF-8 or any encoding that has ASCII in it."""
        return self.texts.masked(text, effort)[0] if self.texts.is_suspicious(text) else text

    def findings(self, value: Any) -> tuple[Any, list[Finding]]:
        """Return a tree masked, and what was found in it: where and by which rule."""
        walk = self._walk(_effort_for(value))
        return walk.masked(value), walk.findings

    def line(self, body: bytes) -> tuple[bytes, list[str]]:
        """Return an object that is JSON on one line masked, and the rule of each thing that was."""
        line = self.texts.masked_line(body, Effort(len(body)))
        if line is not None:
            return line
        walk = self._walk(Effort(len(body)))
        fields = walk.masked(orjson.loads(body))
        rules = walk.rules
        return (orjson.dumps(fields), rules) if rules else (body, rules)

    def body(self, body: Text) -> Text:
        """Return the body of a request or response masked: JSON, a form, or any text."""
        if isinstance(body, bytes):
            return self._body(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return self._body(body)

    def _body(self, text: str) -> str:
        return self._form(text) if _is_form(text) else self.text(text)

    def url(self, url: str) -> str:
        """Return a URL with its password and the sensitive ones of its parameters masked."""
        head, question, rest = url.partition("?")
        query, sharp, fragment = rest.partition("#")
        if question and query:
            query = "&".join(map(self._parameter, query.split("&")))
        return self.text(head + question + query + sharp + fragment)

    def headers(self, headers: Mapping[str, Any] | Iterable[tuple[Any, Any]]) -> Any:
        """Return headers masked, as a dict for a mapping and as a list of pairs for pairs."""
        if not hasattr(headers, "items"):
            return [(name, self._header(name, value)) for name, value in headers]
        masked = {name: self._header(name, value) for name, value in headers.items()}
        return {name: value for name, value in masked.items() if value != "" or not self._display.removes}

    def _walk(self, effort: Effort) -> Walk:
        return Walk(self._names, self.texts, self._display, effort)

    def _header(self, name: Any, value: Any) -> Any:
        label = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        shown = text
        if self._names.has(label) and text:
            is_text = isinstance(text, str)
            shown = self.texts.shown(text) if is_text else self._display.value(text)
        else:
            shown = self.json(text)
        return shown.encode("latin-1") if isinstance(value, bytes) else shown

    def _parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        is_secret = self._names.has(name) or name.lower() in _URL_NAMES
        return f"{name}={self.texts.shown(value)}" if equals and value and is_secret else parameter

    def _form(self, text: str) -> str:
        pairs = parse_qsl(text, keep_blank_values=True)
        masked = [(name, self._header(name, value)) for name, value in pairs]
        return text if masked == pairs else urlencode(masked, safe="[]*")


def _is_form(text: str) -> bool:
    """Tell whether a text looks like `a=1&b=2`."""
    return "=" in text and not any(mark in text for mark in " \n\t{}<>\"'")


def _effort_for(value: Any) -> Effort:
    """Return the effort that a value pays for as JSON; as much as it takes for what is none."""
    try:
        return Effort(len(orjson.dumps(value)))
    except TypeError:
        return Effort(math.inf)
