"""Records made to be slow for the rules: work grows with the length and no faster, and nothing leaks."""

from __future__ import annotations

import base64
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.secret_corpus import cases, filled, made
from support.slow_texts import FORMS, HEADS, Case, every_case, listed, repeated

from pipeline.privacy import effort
from pipeline.privacy.effort import BYTES_PER_LOOK, CROWDED_RULE, FREE_LOOKS
from pipeline.privacy.masker import Masker
from pipeline.privacy.streams import Stream

if TYPE_CHECKING:
    from types import FrameType

SIZES = (1 << 13, 1 << 15)
LONG_SIZES = (1 << 18, 1 << 20)
GROWTH_MAX = 12
"""Four times the length is four times the work; quadratic work would be sixteen times."""
BRIEF_SEC = 0.2
STEPS_PER_BYTE = 2
"""Calls of functions, ours and the interpreter's. The table's worst took 1.4."""
SECRET = made("ghp_{alnum:36}", random.Random(5)).text
TABLE = list(every_case(7, 0))
"""Thousands: each run of the tests takes some of them, by its seed."""

SLOW_ONCE = [
    Case("escapes that never end", lambda size: {"text": 'token="' + "\\" * size}),
    Case("escapes and quotes", lambda size: {"text": 'token=\\"' + '\\\\"' * (size // 3)}),
    Case(
        "keys that look the same when they are masked",
        lambda size: {"sk-aaaaaaaaaaaaaaaaaaa" + str(number): 1 for number in range(size // 30)},
    ),
    Case("texts that begin as JSON", lambda size: {"list": listed('"token":[password', size)}),
    Case("a value without quotes", lambda size: {"text": "token=" + "a1" * (size // 2)}),
    Case("brackets that never close", lambda size: {"text": '"token":' + "[" * size}),
]


def seconds(masker: Masker, record: Any) -> float:
    """Return the processor time that one record takes."""
    line = orjson.dumps(record)
    began = time.process_time()
    masker.line(line)
    return time.process_time() - began


def steps(masker: Masker, line: bytes) -> int:
    """Return how many functions are called for one record."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        masker.line(line)
    finally:
        sys.setprofile(None)
    return count


def grows_evenly(masker: Masker, records: list[Any]) -> bool:
    """Tell whether a record four times as long takes about four times the time, in one of three tries."""
    for _ in range(3):
        small, large = (seconds(masker, record) for record in records)
        if large < max(BRIEF_SEC, GROWTH_MAX * small):
            return True
    return False


def some_of_the_table(seed: int, count: int) -> list[Case]:
    """Return what was slow once, and cases that chance takes and makes."""
    chance = random.Random(seed)
    by_chance = list(every_case(seed, count))[-count:]
    return [*SLOW_ONCE, *chance.sample(TABLE, count), *by_chance]


@pytest.fixture(scope="module")
def masker() -> Masker:
    """Give a masker that is warm."""
    warm = Masker(personal_data=True)
    seconds(warm, {"text": " ".join((*HEADS, *FORMS)), "password": "x"})
    return warm


def test_a_record_made_against_the_rules_takes_no_more_steps_than_its_length_pays_for(
    masker: Masker, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is repeated: a byte is not worth more than so many calls, in a short record and a long one."""
    monkeypatch.setattr(effort, "FREE_LOOKS", 10)  # short records would be free else
    tried = {
        (case.name, size): steps(masker, line) / len(line)
        for case in some_of_the_table(seed, 80)
        for size in SIZES
        for line in [orjson.dumps(case.fields(size))]
    }
    assert {case: found for case, found in tried.items() if found > STEPS_PER_BYTE} == {}


def test_nothing_takes_quadratic_time_inside_of_one_step(masker: Masker, seed: int) -> None:
    """A guard against hanging, for what a matcher does by itself; it says nothing about speed."""
    uneven = [
        case.name
        for case in some_of_the_table(seed, 60)
        if not grows_evenly(masker, [case.fields(size) for size in SIZES])
    ]
    assert uneven == []


@pytest.mark.soak
def test_the_whole_table_grows_evenly(masker: Masker, seed: int) -> None:
    """The same for all of it, and for lengths as they are allowed."""
    for case in [*SLOW_ONCE, *every_case(seed, 200)][:: 1 + seed % 7]:
        assert grows_evenly(masker, [case.fields(size) for size in LONG_SIZES]), case.name


def test_random_bytes_in_base64_take_linear_time(masker: Masker, seed: int) -> None:
    """An image has every text of three letters in it: what stops the scan there must be cheap to dismiss."""
    image = base64.b64encode(random.Random(seed).randbytes(SIZES[1])).decode()
    assert grows_evenly(masker, [{"text": "key=" + image[:size]} for size in SIZES])


def test_a_text_with_more_places_than_it_pays_for_is_masked_whole(masker: Masker) -> None:
    """What stands beside it stays as it is; the rule that is counted says why."""
    crowded = repeated("pwd=a1 ", 1 << 16)
    line, rules = masker.line(orjson.dumps({"tool": "env", "output": crowded, "n": 1, "ok": [True, "yes"]}))
    assert orjson.loads(line) == {"tool": "env", "output": "[MASKED]", "n": 1, "ok": [True, "yes"]}
    assert rules == [CROWDED_RULE]


def test_a_text_that_pays_for_its_places_is_masked_place_by_place(masker: Masker) -> None:
    """Thousands of secrets, one a line, or all that are free, are found one by one."""
    for count, rest in ((8000, " in a line of its own as logs have it"), (FREE_LOOKS // 2, "")):
        text = f"pwd=a1{rest}\n" * count
        line, rules = masker.line(orjson.dumps({"text": text}))
        assert orjson.loads(line)["text"] == text.replace("a1", "[MASKED]")
        assert rules == ["name"] * count


def test_a_list_with_more_secrets_than_it_pays_for_keeps_its_length(masker: Masker) -> None:
    """Its first objects are masked one by one, the rest as a whole; what has none is not touched."""
    size = 10 * FREE_LOOKS * BYTES_PER_LOOK
    records = {"users": listed({"pwd": 1}, size), "points": listed([1, 2], size), "path": "/srv/x"}
    line, rules = masker.line(orjson.dumps(records))
    found = orjson.loads(line)
    assert len(found["users"]) == len(records["users"])
    assert (found["users"][0], found["users"][-1]) == ({"pwd": "[MASKED]"}, "[MASKED]")
    assert (found["points"], found["path"]) == (records["points"], "/srv/x")
    assert rules.count(CROWDED_RULE) == 1


@pytest.mark.parametrize("free", [0, 1, 2, 5, 20])
def test_no_secret_leaks_however_soon_the_effort_is_spent(
    free: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corpus, among harmless neighbours, with hardly any effort to look at it."""
    monkeypatch.setattr(effort, "FREE_LOOKS", free)
    monkeypatch.setattr(effort, "BYTES_PER_LOOK", 1 << 30)
    monkeypatch.setattr("pipeline.privacy.trees._REST_MAX", free)
    chance = random.Random(seed)
    masker = Masker()
    leaked = []
    for case in cases("positives"):
        if "settings" not in case and case["secret"]:
            secret = made(case["secret"], chance)
            before: list[Any] = [{"a": [1]}] * chance.randrange(4)
            record = {"list": [*before, filled(case["record"], secret.text), "--x", 1], "n": {"b": 2}}
            if secret.leaks_into(masker.line(orjson.dumps(record))[0].decode()):
                leaked.append(case["case"])
    assert leaked == []


@pytest.mark.parametrize("begin", ["token=a ", "-----BEGIN PRIVATE KEY-----\n"])
def test_a_stream_in_small_pieces_is_not_looked_at_with_each(
    begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line or a key that does not end, fed byte by byte, is searched a few times and not each time."""
    text = begin + repeated("token=a " if "KEY" not in begin else "abc\n", 1 << 17)
    searched = 0
    search = Stream._ready_bytes

    def counted(stream: Stream) -> int:
        nonlocal searched
        searched += len(stream._held)
        return search(stream)

    monkeypatch.setattr(Stream, "_ready_bytes", counted)
    assert b"".join(Masker().stream(bytes([byte]) for byte in text.encode()))
    assert searched < 40 * len(text)
