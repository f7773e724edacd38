"""
The checks of the settings: each takes what was given and returns what is used.

What it cannot use is a ValueError whose text is what is allowed, to be read behind "… is not"; a WrongWord
where the nearest of the words that are allowed may be what was meant.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

Check = Callable[[Any], Any]
POLICIES: Final = ("drop_oldest", "drop_newest", "drop_low", "block")
_POLICY_WORDS: Final = {"Block": "block", "Discard": "drop_newest", "DiscardLowLevel": "drop_low"}
ACTION_TYPES_OFF: Final = {"agent_thinking": False, "hook_execute": False}
"""What is not recorded unless it is switched on; every other type is, known or not."""
ROTATIONS: Final = ("day", "hour", "minute", "second")
_FINEST: Final = (("s", "second"), ("m", "minute"), ("H", "hour"), ("d", "day"))
"""Letters of a date pattern, the finest first, and the period that each is about."""
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_DAYS: Final = {"w": 7.0, "d": 1.0, "h": 1 / 24, "m": 1 / 1440, "s": 1 / 86_400}
_MEBIBYTES: Final = {"k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}
_DATE_PATTERN: Final = re.compile(r"%d\{([^}]*)\}")
_MODE_MAX: Final = 0o7777
_TRUE: Final = {"1", "true", "yes", "on"}
_FALSE: Final = {"0", "false", "no", "off"}


class WrongWord(ValueError):
    """Not one of the words that are allowed."""

    def __init__(self, words: Iterable[str], allowed: str = "") -> None:
        self.words = tuple(words)
        super().__init__(allowed or "one of " + ", ".join(self.words))


def text(value: Any) -> str:
    """Take a text or a path."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError("a text")  # noqa: TRY004 - one kind of error for every check
    found = os.fspath(value)
    if not isinstance(found, str) or _is_broken(found):
        raise ValueError("a text in UTF-8")
    return found


def _is_broken(value: str) -> bool:
    """Whether a text has bytes in it that were no UTF-8: the workers get it as JSON, which has no such."""
    return any("\ud800" <= character <= "\udfff" for character in value)


def switch(value: Any) -> bool:
    """Take true or false, also as an environment variable says it."""
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise WrongWord(("true", "false"), "true or false")
    return word in _TRUE


def number(low: float, high: float) -> Check:
    """Return the check for a number within bounds, both included."""

    def check(value: Any) -> float:
        number = _to_float(value)
        if number is None or not low <= number <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return check


def whole(low: int, high: int) -> Check:
    """Return the check for a whole number within bounds, both included."""

    def check(value: Any) -> int:
        number = _to_float(value)
        if number is None or number != int(number) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(number)

    return check


def days(low: float, high: float) -> Check:
    """Return the check for a time in days; a text may have a unit, such as `30d`, `12h`, `2w`."""
    return _with_units(_DAYS, low, high, "days, or a time such as 30d or 12h,")


def mebibytes(low: float, high: float) -> Check:
    """Return the check for a size in MiB; a text may have a unit, such as `500MB` or `1GB`."""
    return _with_units(_MEBIBYTES, low, high, "MiB, or a size such as 500MB or 1GB,")


def _with_units(units: Mapping[str, float], low: float, high: float, what: str) -> Check:
    def check(value: Any) -> float:
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        factor = units.get(match[2].lower().removesuffix("ib").removesuffix("b")) if match else None
        found = float(match[1]) * factor if match and factor else _to_float(value)
        if found is None or not low <= found <= high:
            raise ValueError(f"{what} from {low:g} to {high:g}")
        return found

    return check


def _to_float(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def one_of(*words: str) -> Check:
    """Return the check for one of these words."""

    def check(value: Any) -> str:
        if value not in words:
            raise WrongWord(words)
        return str(value)

    return check


def names(value: Any) -> tuple[str, ...]:
    """Take a list of names; as a text, with commas between them."""
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("a list of names")
    if any(map(_is_broken, items)):
        raise ValueError("a list of names in UTF-8")
    return tuple(items)


def patterns(value: Any) -> tuple[str, ...]:
    """Take a list of regular expressions that RE2 knows; as a text, one of them or a JSON list."""
    try:
        items = orjson.loads(value) if isinstance(value, str) and value.startswith('["') else value
    except ValueError:
        items = value
    items = [items] if isinstance(items, str) and items else items or []
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item for item in items):
        raise ValueError("a list of regular expressions")
    for item in items:
        _compiled(item)
    return tuple(items)


def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"a regular expression that RE2 takes, {pattern!r}: {error}") from error


def words(value: Any) -> tuple[str, ...]:
    """Take a command as a list of words, also as a JSON list; one of them has to hold `{path}`."""
    try:
        items = orjson.loads(value) if isinstance(value, str) and value.startswith("[") else value or ()
    except ValueError:
        items = ""
    is_list = isinstance(items, list | tuple) and all(isinstance(item, str) and item for item in items)
    if not is_list or (items and not any("{path}" in item for item in items)):
        raise ValueError('a list of words such as ["upload", "{path}"]')
    if any(map(_is_broken, items)):
        raise ValueError("a list of words in UTF-8")
    return tuple(items)


def _rotation_word(value: Any) -> str | None:
    """Return the period that a pattern such as `%d{yyyy-MM-dd-HH}` is about, None when it is no such."""
    found = _DATE_PATTERN.search(str(value))
    return next((every for mark, every in _FINEST if found and mark in found[1]), None)


def rotation(value: Any) -> str:
    """Take a period by its name, or as the date pattern of a file name: `%d{yyyy-MM-dd-HH}` is an hour."""
    if value in ROTATIONS:
        return str(value)
    word = _rotation_word(value)
    if word is None:
        raise WrongWord(ROTATIONS, "day, hour, minute, second or a pattern such as %d{yyyy-MM-dd-HH}")
    return word


def policy_word(value: Any) -> str:
    """Take a policy of the full queue, in either vocabulary."""
    word = _POLICY_WORDS.get(value, value) if isinstance(value, str) else value
    if word not in POLICIES:
        raise WrongWord((*POLICIES, *_POLICY_WORDS))
    return str(word)


def file_mode_bits(value: Any) -> int:
    """Take the mode of a file; a text is octal."""
    try:
        number = int(value, 8) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or not 0 <= number <= _MODE_MAX:
        raise ValueError('a file mode such as "0640"')
    return number


def pool_roles(value: Any) -> dict[str, int]:
    """Take workers by role, also as a JSON text."""
    try:
        pool = orjson.loads(value) if isinstance(value, str) else value
    except ValueError:
        pool = None
    if not isinstance(pool, Mapping) or set(pool) - {"writer"}:
        raise ValueError('a table of roles such as {"writer": 1}')
    if pool.get("writer", 1) != 1:
        raise ValueError("writer = 1: a second writer could not keep the order of a producer's records")
    return {"writer": 1}


def rates(value: Any) -> dict[str, float]:
    """Take shares from 0 to 1 by name; as a text, `DEBUG=0.1,logger:urllib3=0.01` or JSON."""
    return _numbers_by_name(value, 0.0, 1.0, 'shares by name such as {"DEBUG": 0.1}')


def limits(value: Any) -> dict[str, float]:
    """Take records per second by name, in the same forms."""
    return _numbers_by_name(value, 0.001, 1e9, 'records a second by name such as {"heartbeat": 10}')


def _numbers_by_name(value: Any, low: float, high: float, allowed: str) -> dict[str, float]:
    table = _table_in(value) if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        raise ValueError(allowed)  # noqa: TRY004 - as above
    found = {str(name): _to_float(number) for name, number in table.items()}
    if any(number is None or not low <= number <= high for number in found.values()):
        raise ValueError(f"{allowed}, each from {low:g} to {high:g}")
    return {name: number for name, number in found.items() if number is not None}


def _table_in(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return orjson.loads(text)
        except ValueError:
            return None
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    return {name.strip(): number.strip() for name, _, number in pairs}


def type_switches(value: Any) -> dict[str, bool]:
    """Take action types by name, on or off, also as a JSON text; the others keep their default."""
    try:
        switches = orjson.loads(value) if isinstance(value, str) else value
    except ValueError:
        switches = None
    if not isinstance(switches, Mapping):
        raise ValueError('a table of types such as {"agent_thinking": true}')  # noqa: TRY004 - as above
    return ACTION_TYPES_OFF | {str(name): switch(is_on) for name, is_on in switches.items()}


def zone(value: Any) -> str:
    """Take the name of a time zone."""
    import zoneinfo

    if value in ("", "UTC"):
        return "UTC"
    try:
        zoneinfo.ZoneInfo(value)
    except Exception as error:
        raise WrongWord(zoneinfo.available_timezones(), "a time zone name such as Europe/Berlin") from error
    return str(value)
