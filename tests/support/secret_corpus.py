"""
The corpus of secrets and look-alikes: values are made of their documented form, so that no file holds one.

`{alnum:36}` in a form stands for 36 random letters and digits; `ALPHABETS` has the others.
"""

from __future__ import annotations

import re
import string
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    import random

DIRECTORY = Path(__file__).parents[1] / "corpus" / "secrets"
PLACE = "<S>"
_ALNUM = string.ascii_letters + string.digits
ALPHABETS = {
    "alnum": _ALNUM,
    "alpha": string.ascii_letters,
    "b32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "b64": _ALNUM + "+/",
    "b64url": _ALNUM + "_-",
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "d19": "23456789",
    "digit": string.digits,
    "hex": "0123456789abcdef",
    "lower": string.ascii_lowercase,
    "pw": _ALNUM + "!#%*+.~^",
    "upper": string.ascii_uppercase + string.digits,
}
_PART = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CARDS = {"visa": "4", "visa_spaced": "4", "mastercard": "51", "amex": "37"}
_TELLING_CHARS = 8
"""So many characters of the random part in a row are a leak; a display shows three at either end."""


class Made(NamedTuple):
    """A secret made of its form, and the random parts of it."""

    text: str
    random_parts: list[str]

    def leaks_into(self, output: str) -> bool:
        """Tell whether a telling piece of a random part can be read in the output."""
        return any(piece in output for part in self.random_parts for piece in _pieces(part))


def _pieces(part: str) -> list[str]:
    size = min(_TELLING_CHARS, len(part))
    return [part[start : start + size] for start in range(len(part) - size + 1)]


def cases(name: str) -> list[dict[str, Any]]:
    """Return the lines of `positives` or `negatives`."""
    return [orjson.loads(line) for line in (DIRECTORY / f"{name}.jsonl").read_bytes().splitlines()]


def made(form: str | None, chance: random.Random) -> Made:
    """Make a secret of a form. Neighbouring random pieces of four characters and more count as parts."""
    parts: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        part = _random_part(match[1], match[2], chance)
        if len(part) >= 4:
            parts.append(part)
        return part

    text = _PART.sub(replaced, form or "")
    return Made(text, parts or [text] * bool(text))


def _random_part(kind: str, size: str | None, chance: random.Random) -> str:
    if kind == "uuid":
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))
    if kind in {"word", "user"}:
        return "q" + "".join(chance.choices(ALPHABETS["lower"], k=7))
    if kind == "card":
        return _card(str(size), chance)
    alphabet, count = ALPHABETS[kind], int(size or 1)
    # As vendors make them: at least one letter and one digit where there is room, and no punctuation at the
    # ends.
    while True:
        text = "".join(chance.choices(alphabet, k=count))
        if count < 6 or kind in {"digit", "alpha", "lower", "d19"}:
            return text
        if (
            re.search(r"[A-Za-z]", text)
            and re.search(r"\d", text)
            and text[0].isalnum()
            and text[-1].isalnum()
        ):
            return text


def _card(brand: str, chance: random.Random) -> str:
    size = 15 if brand == "amex" else 16
    digits = _CARDS[brand] + "".join(chance.choices(string.digits, k=size - 1 - len(_CARDS[brand])))
    total = sum(_luhn(int(digit), place) for place, digit in enumerate(reversed(digits)))
    digits += str(-total % 10)
    return " ".join(digits[at : at + 4] for at in range(0, size, 4)) if brand.endswith("spaced") else digits


def _luhn(digit: int, place: int) -> int:
    doubled = digit * 2 if place % 2 == 0 else digit
    return doubled - 9 if doubled > 9 else doubled


def filled(record: Any, secret: str) -> Any:
    """Return the record with the secret in its places; in a text that is JSON it is escaped as there."""
    if isinstance(record, dict):
        return {filled(key, secret): filled(value, secret) for key, value in record.items()}
    if isinstance(record, list):
        return [filled(item, secret) for item in record]
    if not isinstance(record, str) or PLACE not in record:
        return record
    try:
        inner = orjson.loads(record)
    except ValueError:
        inner = None
    if isinstance(inner, dict | list):
        return orjson.dumps(filled(inner, secret)).decode()
    return record.replace(PLACE, secret)
