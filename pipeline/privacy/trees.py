"""
Values inside values: names over texts, numbers, lists and objects, and JSON inside a text.

Beside `{"password": …}` three other shapes give a value its name: `{"name": "API_KEY", "value": …}`, the pair
`["authorization", …]`, and `["--token", …]` in a list of arguments. A JSON schema of a sensitive name,
`{"password": {"type": "string"}}`, is left as it is.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import orjson

from pipeline.host import handlers
from pipeline.privacy.display import MASKED
from pipeline.privacy.effort import CROWDED_RULE
from pipeline.privacy.texts import NAME_RULE, encoded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.privacy.display import Display
    from pipeline.privacy.effort import Effort
    from pipeline.privacy.names import Names
    from pipeline.privacy.texts import Texts

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
_LEAVES: Final = frozenset([int, float, bool, type(None)])
_LEAVES_AND_TEXTS: Final = _LEAVES | {str}
_REST_MAX: Final = 100
"""Values side by side that are still looked at one by one, from outside, when the effort is spent."""
_LOOKS_PER_NODE: Final = 0.5
_LOOKS_PER_NAME: Final = 0.5
_LOOKS_PER_SCAN: Final = 0.25
"""Their times, in those of a look."""

Path: TypeAlias = "tuple[Path, Any] | None"
"""Where a value is: the path of what it is in, and its key or its number there."""


class Finding(NamedTuple):
    """What was masked: where, `args.command` or `items[2]`, and by which rule."""

    path: str
    rule: str


class Walk:
    """One masking of one value."""

    def __init__(self, names: Names, texts: Texts, display: Display, effort: Effort) -> None:
        self._found: list[tuple[Path, str]] = []
        self._names = names
        self._texts = texts
        self._display = display
        self._effort = effort
        self._inner = 0

    @property
    def rules(self) -> list[str]:
        """The rule of each thing that was found."""
        return [rule for _, rule in self._found]

    @property
    def findings(self) -> list[Finding]:
        """What was found."""
        return [Finding(_told(path), rule) for path, rule in self._found]

    def masked(self, value: Any, path: Path = None) -> Any:
        """Return a value masked; the value itself is not changed."""
        if type(value) is str:
            return self._text(value, path)
        if type(value) is dict:
            return self._whole(value, path) if self._effort.is_spent else self._object(value, path)
        if type(value) is list or type(value) is tuple:
            return self._whole(value, path) if self._effort.is_spent else self._list(value, path)
        return value

    def _object(self, value: dict[str, Any], path: Path) -> dict[str, Any]:
        self._effort.pay(_LOOKS_PER_NODE)
        labelled = self._is_labelled(value)
        has_quiet_keys = self._are_quiet(value)
        plain = _LEAVES_AND_TEXTS if self._are_quiet(value.values()) else _LEAVES
        masked: dict[str, Any] = {}
        numbers: dict[str, int] = {}
        for number, (key, part) in enumerate(value.items()):
            if self._effort.is_spent and len(value) - number > _REST_MAX:
                rest = dict(itertools.islice(value.items(), number, None))
                masked |= {MASKED: MASKED} if self._is_crowded(rest, path, is_certain=labelled) else rest
                break
            shown = key if has_quiet_keys else self._key(key, path)
            if shown in masked:  # two secrets may look the same
                shown = _free(shown, masked, numbers)
            if not self._is_secret(key, part, labelled=labelled):
                masked[shown] = part if type(part) in plain else self.masked(part, (path, shown))
            elif self._display.removes:
                self._note((path, shown))
            else:
                masked[shown] = self._secret(part, (path, shown))
        return masked

    def _is_secret(self, key: Any, part: Any, *, labelled: bool) -> bool:
        if not (labelled and key == "value") and not (type(key) is str and self._names.has(key)):
            return False
        self._effort.pay(_LOOKS_PER_NAME)
        is_answer = type(part) in (bool, int, float) and self._names.asks(key)
        return not (is_answer or _says_nothing(part) or _is_schema(part))

    def _key(self, key: Any, path: Path) -> Any:
        """Return a key, which may be a secret too."""
        raw = self._suspicious(key) if type(key) is str else None
        return key if raw is None else self._masked(key, raw, path)

    def _list(self, items: list[Any] | tuple[Any, ...], path: Path) -> list[Any]:
        self._effort.pay(_LOOKS_PER_NODE)
        is_pair = len(items) == _PAIR and type(items[0]) is str and self._names.has(items[0])
        plain = _LEAVES_AND_TEXTS if self._are_quiet(items) else _LEAVES
        masked: list[Any] = []
        before = ""
        for number, item in enumerate(items):
            if self._effort.is_spent and len(items) - number > _REST_MAX:
                with_name = items[max(0, number - 1) :]  # what is before may be a name
                is_crowded = self._is_crowded(with_name, path)
                masked += [MASKED] * (len(items) - number) if is_crowded else items[number:]
                break
            if before and self._is_named(before, item, is_pair=is_pair):
                masked.append(self._secret(item, (path, number)))
            else:
                masked.append(item if type(item) in plain else self.masked(item, (path, number)))
            before = item if type(item) is str else ""
        return masked

    def _is_named(self, before: str, item: Any, *, is_pair: bool) -> bool:
        """Tell whether what stands before an item is its name."""
        if not (is_pair or (before.startswith("--") and self._names.has(before))) or _says_nothing(item):
            return False
        return not (type(item) is str and item.startswith("-"))

    def _is_labelled(self, value: dict[str, Any]) -> bool:
        if "value" not in value:
            return False
        labels = [label for name in _LABELS if type(label := value.get(name)) is str]
        return any(self._names.has(label) for label in labels)

    def _secret(self, value: Any, path: Path) -> Any:
        shown = self._texts.shown(value) if type(value) is str else self._display.value(value)
        if shown != value:
            self._note(path)
        return shown

    def _note(self, path: Path) -> None:
        self._effort.pay(1)
        self._found.append((path, NAME_RULE))

    def _text(self, text: str, path: Path) -> str:
        raw = self._suspicious(text)
        if raw is None:
            return text
        is_looked_into = self._inner < _INNER_MAX and not self._effort.is_spent
        inner = _json_in(text) if is_looked_into else None
        return self._masked(text, raw, path) if inner is None else self._inner_json(text, inner, path)

    def _are_quiet(self, values: Iterable[Any]) -> bool:
        """Tell whether there is nothing to mask in the texts among some values, by one scan of all."""
        texts = [value for value in values if type(value) is str]
        return not texts or self._suspicious("\n".join(texts)) is None

    def _suspicious(self, text: str) -> bytes | None:
        """Return a text encoded if there may be anything to mask in it."""
        if len(text) < self._texts.chars_min:
            return None
        self._effort.pay(_LOOKS_PER_SCAN)
        raw = encoded(text)
        return raw if self._texts.is_suspicious(raw) else None

    def _whole(self, value: Any, path: Path) -> Any:
        return MASKED if self._is_crowded(value, path) else value

    def _is_crowded(self, value: Any, path: Path, *, is_certain: bool = False) -> bool:
        """Tell whether a value has to be masked whole that cannot be looked into any more."""
        if not is_certain and not self._texts.is_suspicious_json(value):
            return False
        self._found.append((path, CROWDED_RULE))
        return True

    def _masked(self, text: str, raw: bytes, path: Path) -> str:
        masked, rules = self._texts.masked(raw, self._effort)
        self._found.extend((path, rule) for rule in rules)
        return masked.decode("utf-8", "surrogatepass") if rules else text

    def _inner_json(self, text: str, inner: Any, path: Path) -> str:
        """Mask JSON that is a text. Its spaces are lost only if something in it is masked."""
        before = len(self._found)
        self._inner += 1
        try:
            masked = self.masked(inner, path)
        finally:
            self._inner -= 1
        return text if len(self._found) == before else orjson.dumps(masked).decode()


def _free(shown: str, taken: dict[str, Any], numbers: dict[str, int]) -> str:
    """Return a key with the next number that makes it one of its own."""
    free = shown
    while free in taken:
        numbers[shown] = numbers.get(shown, 1) + 1
        free = f"{shown} ({numbers[shown]})"
    return free


def _told(path: Path) -> str:
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if type(step) is int else f".{step}")
    return "".join(reversed(steps)).lstrip(".")


def _json_in(text: str) -> Any:
    """Return the object or list that a text is in JSON, None when it is none."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        inner = orjson.loads(text)
    except (ValueError, RecursionError) as error:
        trace = error.__traceback__
        if trace is not None and trace.tb_next is not None:  # it was not loads() itself that raised it
            handlers.let_through(error)  # takes 0.3 ms, and a list may have many texts that begin with `[`
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
