"""
Values inside values: names over texts, numbers, lists and objects, and JSON inside a text.

Beside `{"password": …}` three other shapes give a value its name: `{"name": "API_KEY", "value": …}`, the pair
`["authorization", …]`, and `["--token", …]` in a list of arguments. A JSON schema of a sensitive name,
`{"password": {"type": "string"}}`, is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pipeline.host import handlers

if TYPE_CHECKING:
    from pipeline.privacy.display import Display
    from pipeline.privacy.names import Names
    from pipeline.privacy.texts import Texts

from pipeline.privacy.texts import NAME_RULE

_INNER_MAX: Final = 8
"""JSON inside a text inside JSON … so many times; deeper it is text."""
_LABELS: Final = ("name", "key", "header", "field", "variable")
_SCHEMA_WORDS: Final = frozenset(
    [
        "type",
        "format",
        "title",
        "description",
        "minLength",
        "maxLength",
        "pattern",
        "nullable",
        "readOnly",
        "writeOnly",
        "deprecated",
    ]
)
_SCHEMA_TYPES: Final = frozenset(["string", "number", "integer", "boolean", "object", "array", "null"])
_PAIR: Final = 2


class Finding(NamedTuple):
    """What was masked: where, `args.command` or `items[2]`, and by which rule."""

    path: str
    rule: str


class Walk:
    """One masking of one value; what was found is in `findings`."""

    def __init__(self, names: Names, texts: Texts, display: Display) -> None:
        self.findings: list[Finding] = []
        self._names = names
        self._texts = texts
        self._display = display
        self._path: list[str] = []
        self._inner = 0

    def note(self, rule: str) -> None:
        """Take down that a rule found something at the place that is being looked at."""
        self.findings.append(Finding("".join(self._path).lstrip("."), rule))

    def masked(self, value: Any) -> Any:
        """Return a value masked; the value itself is not changed."""
        if type(value) is str:
            return self._text(value)
        if type(value) is dict:
            return self._object(value)
        if type(value) is list or type(value) is tuple:
            return self._list(value)
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        labelled = self._is_labelled(value)
        masked: dict[str, Any] = {}
        for key, part in value.items():
            shown = self._key(key, masked)
            self._path.append(f".{shown}")
            if not self._is_secret(key, part, labelled=labelled):
                masked[shown] = self.masked(part)
            elif self._display.removes:
                self.note(NAME_RULE)
            else:
                masked[shown] = self._secret(part)
            self._path.pop()
        return masked

    def _is_secret(self, key: Any, part: Any, *, labelled: bool) -> bool:
        if not (labelled and key == "value") and not (type(key) is str and self._names.has(key)):
            return False
        is_answer = type(part) in (bool, int, float) and self._names.asks(key)
        return not (is_answer or _says_nothing(part) or _is_schema(part))

    def _key(self, key: Any, taken: dict[str, Any]) -> Any:
        """Return a key, which may be a secret too; two secrets may look the same then."""
        if type(key) is not str:
            return key
        shown = self._texts.masked(key, self.note)
        free, number = shown, 1
        while free in taken:
            number += 1
            free = f"{shown} ({number})"
        return free

    def _list(self, items: list[Any] | tuple[Any, ...]) -> list[Any]:
        names = [item if type(item) is str else "" for item in items]
        is_pair = len(items) == _PAIR and bool(names[0]) and self._names.has(names[0])
        masked: list[Any] = []
        for number, item in enumerate(items):
            self._path.append(f"[{number}]")
            before = names[number - 1] if number else ""
            is_named = is_pair or (before.startswith("--") and self._names.has(before))
            is_secret = (
                bool(before) and is_named and not _says_nothing(item) and not names[number].startswith("-")
            )
            masked.append(self._secret(item) if is_secret else self.masked(item))
            self._path.pop()
        return masked

    def _is_labelled(self, value: dict[str, Any]) -> bool:
        if "value" not in value:
            return False
        labels = [label for name in _LABELS if type(label := value.get(name)) is str]
        return any(self._names.has(label) for label in labels)

    def _secret(self, value: Any) -> Any:
        if type(value) is str:
            return self._texts.shown(value, self.note)
        self.note(NAME_RULE)
        return self._display.value(value)

    def _text(self, text: str) -> str:
        if not self._texts.may_hold(text):
            return text
        inner = _json_in(text) if self._inner < _INNER_MAX else None
        return self._texts.masked(text, self.note) if inner is None else self._inner_json(text, inner)

    def _inner_json(self, text: str, inner: Any) -> str:
        """Mask JSON that is a text. Its spaces are lost only if something in it is masked."""
        before = len(self.findings)
        self._inner += 1
        try:
            masked = self.masked(inner)
        finally:
            self._inner -= 1
        return text if len(self.findings) == before else orjson.dumps(masked).decode()


def _json_in(text: str) -> Any:
    """Return the object or list that a text is in JSON, None when it is none."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        inner = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        handlers.let_through(error)
        return None
    return inner if type(inner) in (dict, list, str) else None


def _says_nothing(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _is_schema(value: Any) -> bool:
    return (
        type(value) is dict
        and type(value.get("type")) is str
        and value["type"] in _SCHEMA_TYPES
        and _SCHEMA_WORDS.issuperset(value)
    )
