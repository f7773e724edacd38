"""
The language of `where`: conditions on fields, joined by `and`, `or`, `not` and parentheses.

    status = error and duration_ms > 500
    tool_name in (bash, grep) or args.command ~ "rm -rf"
    not (level = DEBUG) and exists(session_id)

    name            a field; dots lead into objects (args.command), quotes hold anything ("my field"."x")
    = == !=         the same value: 5 is a number and "5" a text; null is a field that is null or missing
    < <= > >=       numbers with numbers, texts with texts (timestamps are texts that sort as time does)
    ~ !~            a regular expression is found in a text
    in (a, b)       one of these values
    exists(name)    the field is there and not null

A value without quotes is a number, `true`, `false`, `null`, else a text. Of a list each element is asked, and
one that fits is enough. `!=` and `!~` hold exactly where `=` and `~` do not, so also where the field is
missing. `status` and `tool_name` are completed as everywhere in queries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.errors import QueryError
from pipeline.query.conditions import TOOL_NAME, Condition, all_of, any_of, field_is, none_of
from pipeline.query.facts import status_of, values_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipeline.query.facts import Record

_QUOTED: Final = r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' """
_BARE: Final = r"""[^\s"'=!<>~(),]+"""
_REST: Final = rf"(?:\.(?:{_BARE}|{_QUOTED}))"
_TOKEN: Final = re.compile(
    rf"""\s*(?:
        (?P<path>(?:{_QUOTED}){_REST}+ | {_BARE}(?<=\.)(?:{_QUOTED}){_REST}*)
      | (?P<quoted>{_QUOTED})
      | (?P<operator>==|!=|<=|>=|!~|=|<|>|~|\(|\)|,)
      | (?P<word>{_BARE})
    )""",
    re.VERBOSE,
)
_PART: Final = re.compile(rf"""{_QUOTED} | [^."']+ | (?<![^.])(?=\.) | (?<=\.)$ """, re.VERBOSE)
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_DEPTH_MAX: Final = 100


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def condition(text: str) -> Condition:
    """Return what an expression asks of a record. QueryError points at what cannot be understood."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def parse(self) -> Condition:
        found = self._either()
        if self._peek().kind != "end":
            raise self._error("`and` or `or` is missing here")
        return found

    def _split(self) -> Iterator[_Token]:
        place = 0
        while match := _TOKEN.match(self._text, place):
            kind = match.lastgroup or ""
            yield _Token(kind, match[kind], match.start(kind))
            place = match.end()
        rest = self._text[place:]
        if rest.strip():
            raise self._error(
                "this text is never closed or is no sign", place + len(rest) - len(rest.lstrip())
            )
        yield _Token("end", "", len(self._text))

    def _either(self) -> Condition:
        found = [self._both()]
        while self._takes_word("or"):
            found.append(self._both())
        return any_of(found)

    def _both(self) -> Condition:
        found = [self._one()]
        while self._takes_word("and"):
            found.append(self._one())
        return all_of(found)

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._error(f"more than {_DEPTH_MAX} conditions stand inside each other here")
        try:
            if self._takes_word("not"):
                return none_of([self._one()])
            if self._takes("("):
                found = self._either()
                self._expect(")")
                return found
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        token = self._peek()
        if token.kind == "word" and token.text == "exists" and self._peek(1).text == "(":
            self._next += 2
            path = self._name()
            self._expect(")")
            return none_of([_equal(path, None)])
        path = self._name()
        if self._takes_word("in"):
            return any_of([_equal(path, value) for value in self._values()])
        operator = self._take()
        build = _OPERATORS.get(operator.text) if operator.kind == "operator" else None
        if build is None:
            raise self._error("one of = != < <= > >= ~ !~ in is missing here", operator.place)
        place = self._peek().place
        try:
            return build(path, self._value())
        except re.error as error:
            raise self._error(f"no regular expression: {error}", place) from error

    def _name(self) -> tuple[str, ...]:
        token = self._take()
        if token.kind not in ("word", "quoted", "path"):
            raise self._error("the name of a field is missing here", token.place)
        if token.kind == "word":
            path = tuple(token.text.split("."))
        else:
            path = tuple(_unquoted(part) for part in _PART.findall(token.text))
        if "" in path:
            raise self._error("a part of this name is empty", token.place)
        return path

    def _values(self) -> list[Any]:
        self._expect("(")
        found = [self._value()]
        while self._takes(","):
            found.append(self._value())
        self._expect(")")
        return found

    def _value(self) -> Any:
        token = self._take()
        if token.kind == "quoted":
            return _unquoted(token.text)
        if token.kind != "word":
            raise self._error("a value is missing here", token.place)
        if token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if _NUMBER.fullmatch(token.text):
            return float(token.text) if set(token.text) & set(".eE") else int(token.text)
        return token.text

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _takes(self, sign: str) -> bool:
        found = self._peek().kind == "operator" and self._peek().text == sign
        self._next += found
        return found

    def _takes_word(self, word: str) -> bool:
        found = self._peek().kind == "word" and self._peek().text.lower() == word
        self._next += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._error(f"`{sign}` is missing here")

    def _error(self, what: str, place: int | None = None) -> QueryError:
        at = self._peek().place if place is None else place
        line = self._text.replace("\n", " ").replace("\t", " ")
        return QueryError(
            "the condition cannot be understood",
            where="where",
            cause=f"{what}, at character {at + 1}\n    {line}\n    {' ' * at}^\n",
        )


def _unquoted(text: str) -> str:
    if text[:1] not in ("'", '"'):
        return text
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _values_of(path: tuple[str, ...]) -> Callable[[Record], Any]:
    if path == ("status",):
        return lambda record: values_at(status_of(record), ())
    return lambda record: values_at(record, path)


def _condition(path: tuple[str, ...], holds: Callable[[Iterable[Any]], bool]) -> Condition:
    values = _values_of(path)
    return Condition(lambda record: holds(values(record)), asks_tool_name=path[0] == TOOL_NAME)


def _equal(path: tuple[str, ...], wanted: Any) -> Condition:
    if isinstance(wanted, str):
        return field_is(path, (wanted,))
    if wanted is None:
        return _condition(path, lambda values: all(value is None for value in values))
    kinds = (bool,) if isinstance(wanted, bool) else (int, float)
    return _condition(path, lambda values: any(type(value) in kinds and value == wanted for value in values))


def _ordered(is_so: Callable[[Any, Any], bool]) -> Callable[[tuple[str, ...], Any], Condition]:
    def build(path: tuple[str, ...], wanted: Any) -> Condition:
        kinds: tuple[type, ...] = (str,) if isinstance(wanted, str) else (int, float)
        if isinstance(wanted, bool) or wanted is None:
            kinds = ()  # nothing is less than `true`
        return _condition(
            path, lambda values: any(type(value) in kinds and is_so(value, wanted) for value in values)
        )

    return build


def _found(path: tuple[str, ...], wanted: Any) -> Condition:
    search = re.compile(str(wanted)).search
    return _condition(
        path, lambda values: any(isinstance(value, str) and search(value) is not None for value in values)
    )


_OPERATORS: Final[dict[str, Callable[[tuple[str, ...], Any], Condition]]] = {
    "=": _equal,
    "==": _equal,
    "!=": lambda path, wanted: none_of([_equal(path, wanted)]),
    "<": _ordered(lambda value, wanted: bool(value < wanted)),
    "<=": _ordered(lambda value, wanted: bool(value <= wanted)),
    ">": _ordered(lambda value, wanted: bool(value > wanted)),
    ">=": _ordered(lambda value, wanted: bool(value >= wanted)),
    "~": _found,
    "!~": lambda path, wanted: none_of([_found(path, wanted)]),
}
