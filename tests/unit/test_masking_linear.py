"""Strings made to be slow for a rule: work grows with the length and no faster."""

from __future__ import annotations

import base64
import random
import time

import orjson
import pytest

from pipeline.privacy.masker import Masker

SIZES = (1 << 14, 1 << 16)
LONG_SIZES = (1 << 18, 1 << 20)
GROWTH_MAX = 12
"""Four times the length is four times the work; quadratic work would be sixteen times."""
BRIEF_SEC = 0.2

UNITS = [
    "token=",
    'token=\\"',
    "token=\"token='token=`",
    "token=[MASKED",
    "token={[",
    '"token":[',
    '"token":{"',
    "token:\n",
    "token=${",
    "--token ",
    "<token>",
    "<token ",
    "cookie:",
    "password_",
    "password '",
    "login a password ",
    "bearer ",
    "basic aaaaaaaa",
    "eyJ",
    "eyJaaaaaaaa.",
    "sk-",
    "sk-a1-",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "://",
    "://a:b",
    "://a:b@",
    ".aaaaaa.",
    "a@b.",
    "4 ",
    "/ho" + "me/a",
    "\\",
    '"',
    "[",
    '{"a":',
]


def seconds(masker: Masker, text: str) -> float:
    """Return the processor time that one text takes."""
    line = orjson.dumps({"text": text})
    began = time.process_time()
    masker.line(line)
    return time.process_time() - began


def grows_evenly(masker: Masker, texts: list[str]) -> bool:
    """Tell whether a text four times as long takes about four times the time, in one of three tries."""
    for _ in range(3):
        small, large = (seconds(masker, text) for text in texts)
        if large < max(BRIEF_SEC, GROWTH_MAX * small):
            return True
    return False


@pytest.fixture(scope="module")
def masker() -> Masker:
    """Give the masker with the most rules that is warm."""
    warm = Masker(personal_data=True)
    seconds(warm, " ".join(UNITS))
    return warm


@pytest.mark.parametrize(
    "sizes", [SIZES, pytest.param(LONG_SIZES, marks=pytest.mark.soak)], ids=["short", "long"]
)
@pytest.mark.parametrize("unit", UNITS)
def test_a_text_made_against_a_rule_takes_linear_time(
    masker: Masker, unit: str, sizes: tuple[int, int]
) -> None:
    """Nothing that can be repeated makes a rule read the same bytes again and again."""
    assert grows_evenly(masker, [(unit * (size // len(unit) + 1))[:size] for size in sizes])


def test_values_that_never_end_are_not_read_again_and_again(masker: Masker) -> None:
    """Openings of which each needs a longer ending than all before, and would be read to the end."""
    texts = []
    for size in SIZES:
        openings = ["token=" + "\\" * depth + '"' for depth in range(1, int((2 * size) ** 0.5))]
        texts.append("".join(openings)[:size])
    assert grows_evenly(masker, texts)


def test_random_bytes_in_base64_take_linear_time(masker: Masker, seed: int) -> None:
    """An image has every text of three letters in it: what stops the scan there must be cheap to dismiss."""
    image = base64.b64encode(random.Random(seed).randbytes(SIZES[1])).decode()
    assert grows_evenly(masker, ["key=" + image[:size] for size in SIZES])
